// The Docker Engine API (docs.docker.com/reference/api/engine, 1.41 and later; Podman's compatible
// API as far as it goes) over its unix socket.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pare::engine {

struct ApiRequest {
  std::string method = "GET";
  std::string path;  // behind the version, with its query: "/containers/json?all=1"
  std::optional<nlohmann::json> body;
  std::chrono::milliseconds timeout{30'000};  // 0: none
  // Gets the body as it comes instead of ApiReply::body (of a successful reply); false ends the
  // exchange.
  std::function<bool(std::string_view)> sink;
  const std::atomic<bool>* cancel = nullptr;  // looked at about once a second
};

struct ApiReply {
  long status = 0;         // of HTTP; 0 when the time was up or it was cancelled before the head
  bool timed_out = false;  // or cancelled
  std::string body;
  std::map<std::string, std::string> headers;  // by lower-case name
  bool ok() const { return status >= 200 && status < 300; }
  // The daemon's own sentence; "HTTP <status>" when it gave none.
  std::string message() const;
};

// Thread-safe: every exchange has a connection of its own.
class DockerApi {
 public:
  // `socket`: a path, or DOCKER_HOST's unix://PATH. Asks for /version; kHost when no daemon answers
  // there (naming the socket and DOCKER_HOST), kUsage for an address that is not a unix socket.
  static Result<std::shared_ptr<const DockerApi>> connect(const std::string& socket);

  // An Error only when no reply came: the daemon is gone or refuses the connection.
  Result<ApiReply> send(const ApiRequest& request) const;
  // The body as JSON. An error status is an Error of `kind`: "<what>: <the daemon's sentence>".
  Result<nlohmann::json> json(const ApiRequest& request, const std::string& what,
                              ErrorKind kind = ErrorKind::kHost) const;

  // "runc 1.1.5 (Docker 20.10.24)".
  const std::string& runtime() const { return runtime_; }
  bool podman() const { return podman_; }

 private:
  explicit DockerApi(std::string socket) : socket_(std::move(socket)) {}
  void take_version(const nlohmann::json& version);

  std::string socket_;
  std::string prefix_;  // "/v1.41"; empty until it is known
  std::string runtime_;
  bool podman_ = false;
};

// For one component of a path or a query's value.
std::string url_escape(std::string_view text);

}  // namespace pare::engine
