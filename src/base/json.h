// Reading JSON that others may have written: a wrong type is an Error, never an exception outside.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"

namespace pare::base {

using Json = nlohmann::json;

// kUnread with `what` (e.g. "proof.json") and the byte where it stopped.
Result<Json> parse_json(const std::string& text, const std::string& what);

// As text on one line, or indented by `indent`. File names and log lines may hold any bytes: what
// is not UTF-8 becomes U+FFFD.
template <typename J>  // Json or an ordered one
std::string write_json(const J& json, int indent = -1) {
  return json.dump(indent, ' ', false, J::error_handler_t::replace);
}

// What nlohmann's exception says, without the name of its class.
std::string json_problem(const Json::exception& e);

// Runs `read` and turns nlohmann's exceptions into kUnread: "<what>: <field problem>".
template <typename F>
auto read_json(const std::string& what, F&& read) -> Result<decltype(read())> {
  try {
    return read();
  } catch (const Json::exception& e) {
    return fail(ErrorKind::kUnread, what + ": " + json_problem(e));
  }
}

// The first number that a field of this name cannot hold; nullopt: any number will do, fractions
// too.
using NumberBounds = std::map<std::string, std::optional<uint64_t>>;
constexpr uint64_t kPortBound = uint64_t{1} << 16;
constexpr uint64_t kIdBound = uint64_t{1} << 32;  // of a uid or gid

// kUnread where a number does not fit its field: nlohmann's conversions would wrap it. All are
// whole and not negative, but where `bounds` says otherwise; those in a list are their list's.
Status check_numbers(const Json& json, const NumberBounds& bounds, const std::string& what);

// The member's text; empty where there is none, or it is no text, or `json` is no object.
std::string text_member(const Json& json, const char* key);

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
