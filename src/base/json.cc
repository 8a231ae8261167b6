#include "base/json.h"

namespace pare::base {

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

}  // namespace pare::base
