#include "prepare/spec.h"

#include <libfyaml.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"

namespace pare::prepare {

using base::Json;

namespace {

// Its messages are read: without an output function they go to stderr, and its errors, when it
// collects them, it leaks (libfyaml 0.7.12).
void keep_message(fy_diag*, void* user, const char* text, size_t length) {
  auto* kept = static_cast<std::string*>(user);
  if (kept->size() < 4096) kept->append(text, length);
}

// "WHAT:2: why" of libfyaml's "<memory...>:2:1: error: why".
std::string first_error(const std::string& messages, const std::string& what) {
  constexpr std::string_view kError = ": error: ";
  std::string line = messages.substr(0, messages.find('\n'));
  size_t at = line.find(kError), place = line.find(">:");
  if (at == std::string::npos || place > at) return what + " is neither YAML nor JSON";
  std::string number = line.substr(place + 2, line.find(':', place + 2) - place - 2);
  return what + ":" + number + ": " + line.substr(at + kError.size());
}

Result<Json> parse_yaml(const std::string& text, const std::string& what) {
  // libfyaml does not come back from "%" and a byte that is not UTF-8.
  if (base::valid_utf8(text) != text) return fail(ErrorKind::kUsage, what + " is not UTF-8");
  std::string messages;
  fy_diag_cfg diag_config;
  fy_diag_cfg_default(&diag_config);
  diag_config.fp = nullptr;
  diag_config.output_fn = keep_message;
  diag_config.user = &messages;
  diag_config.colorize = false;
  std::unique_ptr<fy_diag, decltype(&fy_diag_unref)> diag(fy_diag_create(&diag_config),
                                                          fy_diag_unref);
  fy_parse_cfg config{};
  config.diag = diag.get();
  config.flags = static_cast<fy_parse_cfg_flags>(0);
  std::unique_ptr<fy_document, decltype(&fy_document_destroy)> document(
      fy_document_build_from_string(&config, text.data(), text.size()), fy_document_destroy);
  // Nested aliases are exponential, and a specification is too short to need one.
  void* first = nullptr;
  if (document && fy_document_anchor_iterate(document.get(), &first) != nullptr) {
    return fail(ErrorKind::kUsage, what + " has an anchor: write what it stands for");
  }
  bool whole = document && fy_document_resolve(document.get()) == 0;  // an alias to nothing
  std::unique_ptr<char, decltype(&free)> json(
      whole ? fy_emit_document_to_string(document.get(), FYECF_MODE_JSON_ONELINE) : nullptr, free);
  if (!json) return fail(ErrorKind::kUsage, first_error(messages, what));
  return base::parse_json(json.get(), what);
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

Status check_keys(const Json& json, const std::set<std::string>& known, const std::string& what) {
  if (!json.is_object()) return fail(ErrorKind::kUsage, what + " is not a mapping");
  for (const auto& [key, value] : json.items()) {
    if (known.count(key) > 0) continue;
    std::string near = base::nearest(key, {known.begin(), known.end()});
    std::string text = what;
    text.append(": unknown key '").append(key).append("'");
    if (!near.empty()) text.append(", did you mean '").append(near).append("'?");
    return fail(ErrorKind::kUsage, text);
  }
  return {};
}

Result<Directory> read_directory(const Json& json, const std::string& what) {
  if (json.is_string()) return parse_directory(json.get<std::string>());
  PARE_CHECK_OK(check_keys(json, {"path", "owner", "mode", "setgid", "acl"}, what));
  Directory directory;
  directory.path = text_of(json.at("path"));
  PARE_CHECK_OK(check_inside(directory.path, what));
  if (json.contains("owner")) {
    PARE_TRY(directory.owner, parse_owner(text_of(json.at("owner"))));
  }
  if (json.contains("mode")) {
    PARE_TRY(directory.mode, parse_mode(text_of(json.at("mode"))));
  }
  if (json.value("setgid", false)) directory.mode = directory.mode.value_or(0755) | 02000;
  if (json.contains("acl")) {
    PARE_TRY(directory.default_acl,
             parse_acl(text_of(json.at("acl")), directory.mode.value_or(0755)));
  }
  return directory;
}

Status read_verify(const Json& json, const std::string& what, Spec& spec) {
  if (json.is_string()) {
    spec.verify = json.get<std::string>();
  } else {
    PARE_CHECK_OK(check_keys(json, {"manifest", "sha256", "extra"}, what + ": verify"));
    spec.verify = text_of(json.at("manifest"));
    spec.verify_digest = base::lower(json.value("sha256", ""));
    spec.extra_files = json.value("extra", "refuse") == "allow";
  }
  return check_inside(spec.verify, what + ": verify");
}

Result<Spec> read_spec(const Json& json, const std::string& what) {
  PARE_CHECK_OK(check_keys(
      json,
      {"volume", "directories", "own", "hardLinks", "verify", "manifest", "freeBytes", "foreign"},
      what));
  Spec spec;
  spec.volume = json.value("volume", "");
  int number = 0;
  for (const Json& entry : json.value("directories", Json::array())) {
    std::string where = what + ": directory " + std::to_string(++number);
    PARE_TRY(Directory directory, read_directory(entry, where));
    spec.directories.push_back(std::move(directory));
  }
  if (json.contains("own")) {
    PARE_TRY(spec.own, parse_owner(text_of(json.at("own"))));
  }
  std::string links = json.value("hardLinks", "refuse");
  if (links != "refuse" && links != "skip") {
    return fail(ErrorKind::kUsage, what + ": hardLinks is 'refuse' or 'skip', not '" + links + "'");
  }
  spec.hard_links = links == "skip" ? HardLinks::kSkip : HardLinks::kRefuse;
  if (json.contains("verify")) PARE_CHECK_OK(read_verify(json.at("verify"), what, spec));
  spec.write_manifest = json.value("manifest", "");
  if (!spec.write_manifest.empty()) {
    PARE_CHECK_OK(check_inside(spec.write_manifest, what + ": manifest"));
  }
  spec.free_bytes = json.value("freeBytes", uint64_t{0});
  spec.foreign = json.value("foreign", false);
  return spec;
}

}  // namespace

Status check_inside(const std::string& path, const std::string& what) {
  auto wrong = [&](const char* why) {
    return fail(ErrorKind::kUsage, what + ": '" + path + "' " + why +
                                       "; paths are relative to the volume and stay inside it");
  };
  if (path.empty()) return wrong("is empty");
  if (path[0] == '/') return wrong("is absolute");
  if (path.find('\0') != std::string::npos) return wrong("holds a NUL");
  if (path == ".") return {};
  for (const std::string& part : base::split(path, '/')) {
    if (part == "..") return wrong("holds '..'");
    if (part.empty() || part == ".") return wrong("has an empty component or a '.'");
  }
  return {};
}

Result<Owner> parse_owner(const std::string& text) {
  std::vector<std::string> parts = base::split(text, ':');
  auto uid = base::parse_u64(parts[0]);
  auto gid = parts.size() == 2 ? base::parse_u64(parts[1]) : uid;
  // (uid_t)-1 means "unchanged" to chown(2).
  if (parts.size() > 2 || !uid || !gid || *uid >= UINT32_MAX || *gid >= UINT32_MAX) {
    return fail(ErrorKind::kUsage, "'" + text + "' is not UID:GID, in numbers");
  }
  return Owner{static_cast<uint32_t>(*uid), static_cast<uint32_t>(*gid)};
}

Result<unsigned> parse_mode(const std::string& text) {
  char* end = nullptr;
  unsigned long mode = strtoul(text.c_str(), &end, 8);
  if (text.empty() || text[0] == '-' || *end != '\0' || mode > 07777) {
    return fail(ErrorKind::kUsage, "'" + text + "' is not an octal mode such as 0750 or 02770");
  }
  return static_cast<unsigned>(mode);
}

Result<Directory> parse_directory(const std::string& text) {
  std::vector<std::string> parts = base::split(text, ':');
  Directory directory;
  directory.path = parts[0];
  PARE_CHECK_OK(check_inside(directory.path, "directory '" + text + "'"));
  if (parts.size() > 1) {
    PARE_TRY(directory.mode, parse_mode(parts[1]));
  }
  if (parts.size() > 2) {
    PARE_TRY(directory.owner, parse_owner(base::join({parts.begin() + 2, parts.end()}, ":")));
  }
  return directory;
}

Result<std::vector<AclEntry>> parse_acl(const std::string& text, unsigned mode) {
  using Kind = AclEntry::Kind;
  std::vector<AclEntry> entries;
  auto wrong = [&](const std::string& part) {
    return fail(
        ErrorKind::kUsage,
        "ACL entry '" + part + "' is not such as u::rwx, u:1000:rwx, g::r-x, m::rwx, o::---");
  };
  for (const std::string& part : base::split(text, ',')) {
    std::vector<std::string> fields = base::split(base::trim(part), ':');
    if (fields.size() != 3 || fields[0].empty()) return wrong(part);
    AclEntry entry;
    bool named = !fields[1].empty();
    switch (fields[0][0]) {
      case 'u':
        entry.kind = named ? Kind::kUser : Kind::kOwner;
        break;
      case 'g':
        entry.kind = named ? Kind::kGroup : Kind::kOwningGroup;
        break;
      case 'm':
        entry.kind = Kind::kMask;
        break;
      case 'o':
        entry.kind = Kind::kOther;
        break;
      default:
        return wrong(part);
    }
    if (named) {
      auto id = base::parse_u64(fields[1]);
      if (!id || *id >= UINT32_MAX || fields[0][0] == 'm' || fields[0][0] == 'o')
        return wrong(part);
      entry.id = static_cast<uint32_t>(*id);
    }
    for (char c : fields[2]) {
      if (c == '-') continue;
      if (c != 'r' && c != 'w' && c != 'x') return wrong(part);
      entry.permissions |= c == 'r' ? 4U : c == 'w' ? 2U : 1U;
    }
    entries.push_back(entry);
  }
  auto has = [&](Kind kind) {
    return std::any_of(entries.begin(), entries.end(),
                       [&](const AclEntry& e) { return e.kind == kind; });
  };
  if (!has(Kind::kOwner)) entries.push_back({Kind::kOwner, 0, mode >> 6 & 7});
  if (!has(Kind::kOwningGroup)) entries.push_back({Kind::kOwningGroup, 0, mode >> 3 & 7});
  if (!has(Kind::kOther)) entries.push_back({Kind::kOther, 0, mode & 7});
  if (!has(Kind::kMask) && (has(Kind::kUser) || has(Kind::kGroup))) {
    unsigned mask = 0;
    for (const AclEntry& e : entries) {
      if (e.kind != Kind::kOwner && e.kind != Kind::kOther) mask |= e.permissions;
    }
    entries.push_back({Kind::kMask, 0, mask});
  }
  std::sort(entries.begin(), entries.end(), [](const AclEntry& a, const AclEntry& b) {
    return std::pair(a.kind, a.id) < std::pair(b.kind, b.id);
  });
  return entries;
}

Result<Spec> parse_spec(const std::string& text, const std::string& what) {
  PARE_TRY(Json json, parse_yaml(text, what));
  auto spec = base::read_json(what, [&] { return read_spec(json, what); });
  if (!spec) return fail(ErrorKind::kUsage, spec.error().message);
  return std::move(*spec);
}

}  // namespace pare::prepare
