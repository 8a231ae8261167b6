// A unary gRPC call over HTTP/2 (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md) and the two messages
// of grpc.health.v1, which need no code generator.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "check/talk.h"

namespace pare::check {

// The request of POST `path`, its one message framed.
HttpRequest grpc_request(const Spec& spec, const Subject& subject, const std::string& path,
                         std::string_view message);

// The first message of a response's body; nullopt when it is cut short or compressed.
std::optional<std::string> grpc_message(std::string_view body);

// HealthCheckRequest{string service = 1}.
std::string health_request(std::string_view service);
// HealthCheckResponse{ServingStatus status = 1}: 0 UNKNOWN, 1 SERVING, 2 NOT_SERVING, 3
// SERVICE_UNKNOWN; nullopt when the message cannot be read.
std::optional<uint64_t> health_status(std::string_view message);

}  // namespace pare::check
