// grpc-health: the standard health service says SERVING (grpc/grpc, doc/health-checking.md).
#include <fmt/format.h>

#include <array>

#include "check/grpc.h"

namespace pare::check {
namespace {

constexpr std::array<std::string_view, 4> kStatus = {"UNKNOWN", "SERVING", "NOT_SERVING",
                                                     "SERVICE_UNKNOWN"};

// Why it does not say SERVING, or "".
std::string wrong_with(const HttpResponse& response) {
  if (!response.complete) return response.problem;
  if (response.status != 200) return fmt::format("HTTP {}", response.status);
  std::string code = response.header("grpc-status");
  if (code == "12") return "the server has no grpc.health.v1.Health";
  if (code == "5") return "the server does not know the service";
  if (code != "0") return code.empty() ? "the answer is not gRPC" : "gRPC status " + code;
  auto message = grpc_message(response.body);
  auto status = message ? health_status(*message) : std::nullopt;
  if (!status || *status >= kStatus.size()) return "the health answer cannot be read";
  return *status == 1 ? "" : std::string(kStatus[*status]);
}

}  // namespace

Prepared prepare_grpc_health(const Spec& spec, const Subject& subject) {
  HttpRequest request =
      grpc_request(spec, subject, "/grpc.health.v1.Health/Check", health_request(spec.service));
  return [request]() {
    HttpResponse response = exchange(request);
    if (std::string why = wrong_with(response); !why.empty()) return failed(response, why);
    return Attempt{.pass = true,
                   .answered = true,
                   .body = "SERVING",
                   .output = "SERVING",
                   .seconds = response.seconds};
  };
}

}  // namespace pare::check
