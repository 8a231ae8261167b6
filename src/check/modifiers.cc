// ";name=value" after a check, one table row each.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "base/text.h"
#include "base/time.h"
#include "check/body_match.h"
#include "check/kind.h"
#include "check/spec_parts.h"

namespace pare::check {
namespace {

Result<int> number(std::string_view text, uint64_t least, uint64_t most) {
  auto value = base::parse_u64(text);
  if (value && *value >= least && *value <= most) return static_cast<int>(*value);
  return fail(ErrorKind::kUsage,
              fmt::format("'{}' is not a number from {} to {}", text, least, most));
}

Status set_batch(Spec& spec, std::string_view value, const FileReader&) {
  PARE_TRY(spec.batch, number(value, 1, 256));
  return {};
}
Status set_repeat(Spec& spec, std::string_view value, const FileReader&) {
  PARE_TRY(spec.repeat, number(value, 1, 10'000));
  return {};
}
Status set_expect(Spec& spec, std::string_view value, const FileReader&) {
  PARE_TRY(spec.expect, number(value, 100, 599));
  return {};
}

Status set_within(Spec& spec, std::string_view value, const FileReader&) {
  auto within = base::parse_duration(value);
  if (!within || within->count() <= 0 || *within > std::chrono::hours(24)) {
    return fail(ErrorKind::kUsage,
                fmt::format("'{}' is not a duration such as 250ms, 30s or 10m", value));
  }
  spec.within = *within;
  return {};
}

Status set_match(Spec& spec, std::string_view value, const FileReader&) {
  spec.match = value;
  return BodyMatch::compile(spec.match).map([](const BodyMatch&) {});
}

Status set_header(Spec& spec, std::string_view value, const FileReader&) {
  PARE_TRY(std::string header, parse_header(value));
  spec.headers.push_back(std::move(header));
  return {};
}

Status set_method(Spec& spec, std::string_view value, const FileReader&) {
  spec.method = base::upper(value);
  bool word = !value.empty() && value.size() <= 16 &&
              std::all_of(value.begin(), value.end(), [](unsigned char c) { return isalpha(c); });
  if (word) return {};
  return fail(ErrorKind::kUsage, fmt::format("'{}' is not an HTTP method", value));
}

Status set_body(Spec& spec, std::string_view value, const FileReader& read) {
  spec.body = value;
  if (!base::starts_with(value, "@")) return {};
  PARE_TRY(spec.body, read(std::string(value.substr(1))));
  return {};
}

Status set_name(Spec& spec, std::string_view value, const FileReader&) {
  spec.name = value;
  bool plain = !value.empty() && value.size() <= 64 &&
               std::all_of(value.begin(), value.end(), [](unsigned char c) {
                 return isalnum(c) || c == '.' || c == '_' || c == '-';
               });
  if (plain) return {};
  return fail(ErrorKind::kUsage,
              fmt::format("'{}' is not a name of letters, digits, '.', '_' and '-'", value));
}

// The port that a program speaks to; it stays reachable, and is proved with it.
Status set_port(Spec& spec, std::string_view value, const FileReader&) {
  PARE_TRY(int port, number(value, 1, 65535));
  spec.port = static_cast<uint16_t>(port);
  return {};
}

Status set_allow_empty(Spec& spec, std::string_view, const FileReader&) {
  spec.allow_empty = true;
  return {};
}
Status set_stream(Spec& spec, std::string_view, const FileReader&) {
  spec.stream = true;
  return {};
}
Status set_tls(Spec& spec, std::string_view, const FileReader&) {
  spec.scheme = "https";
  return {};
}

struct Modifier {
  std::string_view name;
  Status (*apply)(Spec&, std::string_view value, const FileReader&);
  bool flag = false;  // stands alone, or with "=1"
};

const std::vector<Modifier>& modifiers() {
  static const std::vector<Modifier> table = {
      {"batch", set_batch},
      {"repeat", set_repeat},
      {"within", set_within},
      {"expect", set_expect},
      {"match", set_match},
      {"header", set_header},
      {"method", set_method},
      {"body", set_body},
      {"name", set_name},
      {"port", set_port},
      {"tls", set_tls, true},
      {"stream", set_stream, true},
      {"allow-empty", set_allow_empty, true},
  };
  return table;
}

// As apply_modifiers reads it back.
std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == ';') out += '\\';
    out += c;
  }
  return out;
}

Status apply_one(Spec& spec, std::string_view text, const FileReader& read) {
  size_t equals = text.find('=');
  std::string_view name = base::trim(text.substr(0, equals));
  std::string taken = find_kind(spec.kind) ? std::string(find_kind(spec.kind)->modifiers) : "";
  auto row = std::find_if(modifiers().begin(), modifiers().end(),
                          [&](const Modifier& m) { return m.name == name; });
  if (row == modifiers().end()) {
    std::vector<std::string> names;
    for (const auto& word : base::split(base::trim(taken), ' ')) names.push_back(word);
    std::string near = base::nearest(name, names);
    return fail(
        ErrorKind::kUsage,
        fmt::format("the modifier '{}' is unknown: {}", name,
                    near.empty() ? fmt::format("{} takes {}", spec.kind, base::join(names, ", "))
                                 : fmt::format("did you mean '{}'?", near)));
  }
  if (taken.find(fmt::format(" {} ", name)) == std::string::npos) {
    return fail(ErrorKind::kUsage,
                fmt::format("a check of kind {} has no modifier '{}'", spec.kind, name));
  }
  std::string_view value;
  if (equals != std::string_view::npos) value = text.substr(equals + 1);
  if (row->flag && equals != std::string_view::npos && value != "1") {
    return fail(ErrorKind::kUsage, fmt::format("the modifier '{}' takes no value", name));
  }
  if (!row->flag && equals == std::string_view::npos) {
    return fail(ErrorKind::kUsage, fmt::format("the modifier '{}' needs a value", name));
  }
  Status status = row->apply(spec, value, read);
  if (!status) status.error().message = fmt::format("{}: {}", name, status.error().message);
  if (!status) return status;
  bool header = name == "header";
  std::string shown = header ? "header=" + mask_header(value) : std::string(base::trim(text));
  spec.text += ";" + escaped(shown);
  return {};
}

}  // namespace

Status apply_modifiers(Spec& spec, std::string_view text, const FileReader& read) {
  if (base::trim(text).empty()) return {};
  std::string one;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '\\' && i + 1 < text.size() && text[i + 1] == ';') {
      one += ';';
      ++i;
    } else if (i < text.size() && text[i] != ';') {
      one += text[i];
    } else {
      if (base::trim(one).empty()) return fail(ErrorKind::kUsage, "a modifier is empty");
      PARE_CHECK_OK(apply_one(spec, one, read));
      one.clear();
    }
  }
  return {};
}

}  // namespace pare::check
