// http: one request; its status and its body are looked at.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/text.h"
#include "check/body_match.h"
#include "check/talk.h"

namespace pare::check {
namespace {

bool expects_no_body(const Spec& spec) {
  return spec.allow_empty || spec.expect == 204 || spec.expect == 205 || spec.expect == 304;
}

std::string wrong_with(const Spec& spec, const HttpResponse& response, const BodyMatch* match) {
  if (!response.complete) return response.problem;
  if (spec.expect != 0 && response.status != spec.expect) {
    return fmt::format("HTTP {} instead of {}", response.status, spec.expect);
  }
  if (spec.expect == 0 && (response.status < 200 || response.status > 299)) {
    return fmt::format("HTTP {}", response.status);
  }
  if (match != nullptr) {
    return match->matches(response.body) ? "" : fmt::format("body does not match /{}/", spec.match);
  }
  if (base::trim(response.body).empty() && !expects_no_body(spec)) return "empty body";
  return "";
}

}  // namespace

Prepared prepare_http(const Spec& spec, const Subject& subject) {
  std::string method = spec.method;
  if (method.empty()) method = spec.body.empty() ? "GET" : "POST";
  HttpRequest request = request_to(spec, subject, method, spec.path);
  request.body = spec.body;
  std::optional<BodyMatch> match;
  if (!spec.match.empty()) {
    auto compiled = BodyMatch::compile(spec.match);
    if (!compiled) return tl::unexpected(Attempt{.why = compiled.error().message});
    match = std::move(*compiled);
  }
  return [spec, request, match]() {
    HttpResponse response = exchange(request);
    std::string why = wrong_with(spec, response, match ? &*match : nullptr);
    if (!why.empty()) return failed(response, why);
    return Attempt{.pass = true,
                   .answered = true,
                   .body = response.body,
                   .output = response.body,
                   .seconds = response.seconds};
  };
}

}  // namespace pare::check
