// Reading JSON that others may have written: a wrong type is an Error, never an exception outside.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"

namespace pare::base {

using Json = nlohmann::json;

// kUnread with `what` (e.g. "proof.json") and the byte where it stopped.
Result<Json> parse_json(const std::string& text, const std::string& what);

// Runs `read` and turns nlohmann's exceptions into kUnread: "<what>: <field problem>".
template <typename F>
auto read_json(const std::string& what, F&& read) -> Result<decltype(read())> {
  try {
    return read();
  } catch (const Json::exception& e) {
    return fail(ErrorKind::kUnread, what + ": " + e.what());
  }
}

template <typename T>
void put_optional(Json& json, const char* key, const std::optional<T>& value) {
  json[key] = value ? Json(*value) : Json(nullptr);
}

// Absent and null are nullopt.
template <typename T>
std::optional<T> get_optional(const Json& json, const char* key) {
  auto it = json.find(key);
  if (it == json.end() || it->is_null()) return std::nullopt;
  return it->get<T>();
}

}  // namespace pare::base
