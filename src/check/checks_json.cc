// The full form of checks, as it stands in a file: nothing needs escaping there.
#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "check/spec_parts.h"

namespace pare::check {
namespace {

using base::Json;

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorKind::kUsage, std::move(message));
}

// `name=value` with what separates modifiers escaped.
std::string modifier(const std::string& name, const std::string& value) {
  std::string out = ";" + name + "=";
  for (char c : value) {
    if (c == ';') out += '\\';
    out += c;
  }
  return out;
}

std::string plain(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return base::write_json(value);
}

// Headers as "Name: value", as a list of these, or as an object.
Result<std::string> header_modifiers(const Json& value) {
  if (value.is_string()) return modifier("header", plain(value));
  std::string out;
  if (!value.is_array() && !value.is_object()) {
    return wrong("header is neither a string nor a list nor an object");
  }
  for (const auto& [name, entry] : value.items()) {
    if (!entry.is_primitive()) return wrong("a header is not a string");
    out += modifier("header", value.is_object() ? name + ":" + plain(entry) : plain(entry));
  }
  return out;
}

Result<std::string> one_modifier(const std::string& key, const Json& value) {
  if (key == "header" || key == "headers") return header_modifiers(value);
  if (value.is_boolean()) return value.get<bool>() ? ";" + key : std::string();
  // A body in JSON may be written as what it is.
  bool composed = value.is_object() || value.is_array();
  if (value.is_null() || (composed && key != "body")) {
    return wrong(fmt::format("{} has no plain value", key));
  }
  return modifier(key, plain(value));
}

// What is checked: `check: SPEC` or `exec: [WORDS]`.
Result<std::string> subject_of(const Json& entry) {
  auto check = entry.find("check");
  auto exec = entry.find("exec");
  if ((check == entry.end()) == (exec == entry.end())) {
    return wrong("it needs either check: (a URL or a curl line) or exec: (a list of words)");
  }
  if (check != entry.end()) {
    if (!check->is_string()) return wrong("check is not a string");
    return check->get<std::string>();
  }
  std::vector<std::string> words;
  if (!exec->is_array()) return wrong("exec is not a list of words");
  for (const Json& word : *exec) {
    if (!word.is_string()) return wrong("exec is not a list of words");
    words.push_back(word.get<std::string>());
  }
  return "exec:" + base::shell_join(words);
}

Result<Spec> parse_entry(const Json& entry) {
  if (entry.is_string()) return parse_unnamed(entry.get<std::string>());
  if (!entry.is_object()) return wrong("it is neither a string nor an object");
  PARE_TRY(std::string text, subject_of(entry));
  for (const auto& [key, value] : entry.items()) {
    if (key == "check" || key == "exec") continue;
    PARE_TRY(std::string more, one_modifier(key, value));
    text += more;
  }
  return parse_unnamed(text);
}

}  // namespace

Result<std::vector<Spec>> parse_checks(const Json& checks) {
  if (!checks.is_array()) return wrong("checks: is not a list");
  std::vector<Spec> specs;
  for (const Json& entry : checks) {
    Result<Spec> spec = parse_entry(entry);
    if (!spec) {
      return wrong(fmt::format("checks: entry {}: {}", specs.size() + 1, spec.error().message));
    }
    specs.push_back(std::move(*spec));
  }
  PARE_CHECK_OK(name_specs(specs));
  return specs;
}

}  // namespace pare::check
