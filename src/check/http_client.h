// One HTTP exchange through libcurl, on the calling thread (and so in its network namespace): no
// proxy, no signals, no redirects, no verification of certificates (a container's own certificate
// cannot name the address that is used here).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace pare::check {

struct HttpRequest {
  std::string scheme = "http";
  std::string address;  // an IP address, IPv6 without brackets
  uint16_t port = 0;
  std::string method = "GET";
  std::string path = "/";
  std::vector<std::string> headers;  // "Name: value"
  std::string body;                  // sent unless empty, or when the method is POST, PUT or PATCH
  std::chrono::milliseconds within{30'000};
  // Prior knowledge (RFC 9113 section 3.3); over TLS by ALPN. Only for what may be asked twice.
  bool http2 = false;
};

struct HttpResponse {
  bool complete = false;  // a whole answer arrived, whatever its status
  bool answered = false;  // at least its status line did
  bool refused = false;   // nothing listens there
  bool spoke = false;     // bytes came that are no HTTP, or it closed the connection on its own
  bool tls = false;       // the TLS handshake succeeded
  int status = 0;
  std::string body;                                          // the first 16 MiB
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case; trailers too
  std::string problem;                                       // unless complete: one clause
  double seconds = 0;
  // The value of the last header of this (lower-case) name; empty when there is none.
  std::string header(const std::string& name) const;
};

HttpResponse exchange(const HttpRequest& request);

// "30 s", "1.5 s", "250 ms".
std::string duration_text(std::chrono::milliseconds duration);

}  // namespace pare::check
