#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "check/kind.h"
#include "check/spec_parts.h"
#include "check/words.h"

namespace pare::check {
namespace {

constexpr size_t kBodyFileLimit = 64U << 20;

// A body from a file: a device or a pipe would never end.
Result<std::string> read_body_file(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) == 0) {
    if (!S_ISREG(st.st_mode)) return fail(ErrorKind::kUsage, path + " is not a regular file");
    if (static_cast<size_t>(st.st_size) > kBodyFileLimit) {
      return fail(ErrorKind::kUsage, path + " is larger than 64 MiB");
    }
  }
  return base::read_file(path);
}

std::string known_schemes() {
  std::vector<std::string> examples;
  for (const Kind& kind : kinds()) examples.emplace_back(kind.example);
  return base::join(examples, ", ") + " or a curl line";
}

// The last word of a path ("/v1/health/ready" -> "ready"), in characters a name may have.
std::string name_of_path(std::string_view path) {
  path = path.substr(0, path.find('?'));
  std::string name;
  for (const auto& part : base::split(path, '/')) {
    if (!part.empty()) name = part;
  }
  name.resize(std::min<size_t>(name.size(), 40));
  for (char& c : name) {
    if (!isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') c = '-';
  }
  return name.empty() ? "root" : name;
}

Result<Spec> parse_plain(std::string_view text, const FileReader& read) {
  // The path may hold "\;", as modifiers may.
  size_t end = 0;
  while (end < text.size() && text[end] != ';') end += text[end] == '\\' ? 2 : 1;
  end = std::min(end, text.size());
  std::string first(text.substr(0, end));
  for (size_t at; (at = first.find("\\;")) != std::string::npos;) first.erase(at, 1);
  PARE_TRY(Url url, parse_url(first, ""));
  Spec spec;
  spec.kind = url.scheme == "https" ? "http" : url.scheme;
  if (url.scheme == "https") spec.scheme = "https";
  const Kind* kind = find_kind(spec.kind);
  if (kind == nullptr || kind->adopt == nullptr) {
    std::vector<std::string> names;
    for (const Kind& row : kinds()) names.emplace_back(row.name);
    std::string near = base::nearest(url.scheme, names);
    return fail(ErrorKind::kUsage,
                fmt::format("'{}' is no kind of check: {}", url.scheme,
                            near.empty() ? "use " + known_schemes()
                                         : fmt::format("did you mean '{}'?", near)));
  }
  PARE_CHECK_OK(adopt_port(spec, url));
  PARE_CHECK_OK(kind->adopt(spec, url.path));
  spec.text = mask_url(text.substr(0, end));
  if (end < text.size()) PARE_CHECK_OK(apply_modifiers(spec, text.substr(end + 1), read));
  if (spec.kind == "http") PARE_CHECK_OK(complete_http(spec, ""));
  return spec;
}

bool has_stray_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) {
    return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
  });
}

std::string default_name(const Spec& spec) {
  std::string name = spec.kind;
  if (spec.kind == "http") name = name_of_path(spec.path);
  if (spec.kind == "kserve") name = name_of_path(spec.model);
  if (spec.kind == "exec") name = name_of_path(spec.argv.front());
  return spec.batch > 1 ? fmt::format("{}-batch{}", name, spec.batch) : name;
}

Result<Spec> read_spec(std::string_view text, const FileReader& read) {
  if (text.empty()) return fail(ErrorKind::kUsage, "it is empty: use " + known_schemes());
  if (has_stray_control(text)) return fail(ErrorKind::kUsage, "it has a control character");
  bool curl =
      base::starts_with(text, "curl") && (text.size() == 4 || text[4] == ' ' || text[4] == '\t');
  if (curl) return parse_curl(text, read);
  if (base::starts_with(text, "exec:")) return parse_exec(text.substr(5), read);
  return parse_plain(text, read);
}

}  // namespace

Result<Spec> parse_exec(std::string_view text, const FileReader& read) {
  PARE_TRY(Command command, split_command(text));
  if (command.words.empty()) {
    return fail(ErrorKind::kUsage, "exec: names no program to run in the container");
  }
  Spec spec;
  spec.kind = "exec";
  for (const Word& word : command.words) spec.argv.push_back(word.value);
  if (spec.argv.front().empty()) {
    return fail(ErrorKind::kUsage, "exec: the name of the program is empty");
  }
  std::string_view first = command.words.front().raw;
  std::string_view last = command.words.back().raw;
  size_t length = static_cast<size_t>(last.data() + last.size() - first.data());
  spec.text = fmt::format("exec:{}", std::string_view(first.data(), length));
  PARE_CHECK_OK(apply_modifiers(spec, command.rest, read));
  return spec;
}

Result<Spec> parse_unnamed(const std::string& text, const FileReader& read) {
  std::string_view trimmed = base::trim(text);
  Result<Spec> spec = read_spec(trimmed, read);
  if (spec) return spec;
  // Up to the first modifier: what follows may hold a secret.
  std::string start = mask_url(trimmed.substr(0, std::min(trimmed.find_first_of(" ;"), 60UL)));
  return fail(spec.error().kind, fmt::format("check '{}': {}", start, spec.error().message),
              spec.error().sys_errno);
}

Result<Spec> parse_unnamed(const std::string& text) {
  return parse_unnamed(text, read_body_file);
}

Result<Spec> parse_spec(const std::string& text, const FileReader& read) {
  PARE_TRY(Spec spec, parse_unnamed(text, read));
  if (spec.name.empty()) spec.name = default_name(spec);
  return spec;
}

Result<Spec> parse_spec(const std::string& text) {
  return parse_spec(text, read_body_file);
}

Status name_specs(std::vector<Spec>& specs) {
  std::set<std::string> taken;
  for (const Spec& spec : specs) {
    if (!spec.name.empty() && !taken.insert(spec.name).second) {
      return fail(ErrorKind::kUsage, fmt::format("two checks are named '{}'", spec.name));
    }
  }
  for (Spec& spec : specs) {
    if (!spec.name.empty()) continue;
    std::string name = default_name(spec);
    spec.name = name;
    for (int n = 2; !taken.insert(spec.name).second; ++n) spec.name = fmt::format("{}-{}", name, n);
  }
  return {};
}

Result<std::vector<Spec>> parse_specs(const std::vector<std::string>& texts) {
  std::vector<Spec> specs;
  for (const auto& text : texts) {
    PARE_TRY(Spec spec, parse_unnamed(text));
    specs.push_back(std::move(spec));
  }
  PARE_CHECK_OK(name_specs(specs));
  return specs;
}

void to_container_ports(std::vector<Spec>& specs,
                        const std::vector<std::pair<uint16_t, uint16_t>>& published) {
  for (Spec& spec : specs) {
    if (!spec.host_port) continue;
    auto found = std::find_if(published.begin(), published.end(),
                              [&](const auto& pair) { return pair.first == spec.port; });
    if (found != published.end()) spec.port = found->second;
    spec.host_port = false;
  }
}

void to_moved_ports(std::vector<Spec>& specs, const std::vector<privilege::PortGrant>& ports) {
  for (Spec& spec : specs) {
    auto moved = std::find_if(ports.begin(), ports.end(), [&](const privilege::PortGrant& grant) {
      return grant.instead != 0 && grant.instead == spec.port;
    });
    if (moved != ports.end()) spec.port = moved->port;
  }
}

}  // namespace pare::check
