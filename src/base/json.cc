#include "base/json.h"

namespace pare::base {

namespace {

// As a sentence; empty: none.
std::string bad_number(const Json& json, const std::string& key, const NumberBounds& bounds,
                       int depth) {
  constexpr int kDepth = 8;  // more than any document of ours has
  if (depth > kDepth) return "'" + key + "' is nested too deeply";
  if (json.is_structured()) {
    for (const auto& [name, item] : json.items()) {
      std::string wrong = bad_number(item, json.is_object() ? name : key, bounds, depth + 1);
      if (!wrong.empty()) return wrong;
    }
    return "";
  }
  if (!json.is_number()) return "";
  const auto bound = bounds.find(key);
  if (bound != bounds.end() && !bound->second) return "";
  const bool whole = json.is_number_unsigned() || (json.is_number_integer() && json >= 0);
  if (whole && (bound == bounds.end() || json.get<uint64_t>() < *bound->second)) return "";
  return "'" + key + "' cannot be " + write_json(json);
}

}  // namespace

std::string json_problem(const Json::exception& e) {
  std::string text = e.what();  // "[json.exception.parse_error.101] parse error at line 1, ..."
  size_t end = text.find("] ");
  return text.rfind("[json", 0) == 0 && end != std::string::npos ? text.substr(end + 2) : text;
}

Result<Json> parse_json(const std::string& text, const std::string& what) {
  return read_json(what, [&] { return Json::parse(text); });
}

std::string text_member(const Json& json, const char* key) {
  auto member = json.find(key);  // end() for all but objects
  return member != json.end() && member->is_string() ? member->get<std::string>() : "";
}

Status check_numbers(const Json& json, const NumberBounds& bounds, const std::string& what) {
  std::string wrong = bad_number(json, "", bounds, 0);
  return wrong.empty() ? Status() : fail(ErrorKind::kUnread, what + ": " + wrong);
}

}  // namespace pare::base
