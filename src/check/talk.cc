#include "check/talk.h"

#include <fmt/format.h>

#include "base/json.h"

namespace pare::check {

using base::Json;

HttpRequest request_to(const Spec& spec, const Subject& subject, std::string method,
                       std::string path) {
  HttpRequest request;
  request.scheme = spec.scheme;
  request.address = subject.address;
  request.port = spec.port;
  request.method = std::move(method);
  request.path = std::move(path);
  request.headers = spec.headers;
  request.within = spec.within;
  return request;
}

HttpRequest json_request(const Spec& spec, const Subject& subject, std::string path,
                         const Json& body) {
  HttpRequest request = request_to(spec, subject, "POST", std::move(path));
  request.headers.emplace_back("Content-Type: application/json");
  request.body = base::write_json(body);
  return request;
}

Attempt failed(const HttpResponse& response, std::string why) {
  Attempt attempt;
  attempt.answered = response.answered;
  attempt.refused = response.refused;
  attempt.body = response.body;
  attempt.seconds = response.seconds;
  attempt.why = std::move(why);
  return attempt;
}

std::optional<Attempt> not_ok(const HttpResponse& response, std::string_view path) {
  if (!response.complete) return failed(response, response.problem);
  if (response.status == 200) return std::nullopt;
  return failed(response, fmt::format("HTTP {} from {}", response.status, path));
}

const Json* dig(const Json& json, std::initializer_list<std::string_view> path) {
  const Json* at = &json;
  for (std::string_view step : path) {
    if (step == "0" && at->is_array() && !at->empty()) {
      at = &at->front();
      continue;
    }
    if (!at->is_object()) return nullptr;
    auto found = at->find(std::string(step));
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

std::string dig_string(const Json& json, std::initializer_list<std::string_view> path) {
  const Json* found = dig(json, path);
  return found != nullptr && found->is_string() ? found->get<std::string>() : "";
}

Json lenient_json(const std::string& text) {
  return Json::parse(text, nullptr, false);
}

}  // namespace pare::check
