// Conversations with the checked server that several kinds need.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/json.h"
#include "check/check.h"
#include "check/http_client.h"
#include "check/kind.h"

namespace pare::check {

// A request to the spec's port with its headers and time limit.
HttpRequest request_to(const Spec& spec, const Subject& subject, std::string method,
                       std::string path);
// The same with a JSON body. Bytes that are not UTF-8 are replaced.
HttpRequest json_request(const Spec& spec, const Subject& subject, std::string path,
                         const base::Json& body);

// A failed attempt; takes over what the response says of it.
Attempt failed(const HttpResponse& response, std::string why);
// A failure when there was no whole answer or its status is not 200, else nullopt.
std::optional<Attempt> not_ok(const HttpResponse& response, std::string_view path);

// The value at a path of keys and "0" (first element), or nullptr; never throws.
const base::Json* dig(const base::Json& json, std::initializer_list<std::string_view> path);
// The string there, or "".
std::string dig_string(const base::Json& json, std::initializer_list<std::string_view> path);

// Null (discarded) when the text is not JSON.
base::Json lenient_json(const std::string& text);

}  // namespace pare::check
