#include "base/json.h"

namespace pare::base {

Result<Json> parse_json(const std::string& text, const std::string& what) {
  return read_json(what, [&] { return Json::parse(text); });
}

}  // namespace pare::base
