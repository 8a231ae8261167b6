// Where a gate listens, and what it lets through.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pare::confine {

// An address of the host: "127.0.0.1:8000", "[::1]:8000", or "unix:/run/llm.sock".
struct Publish {
  std::string address;  // IP address; empty for a unix socket
  uint16_t port = 0;    // on the host; 0 in tests alone: chosen by the kernel
  std::string unix_path;
  uint16_t inner_port = 0;  // in the container; 0: the proof's inference port
};

// "[ADDRESS:]PORT[:INNER]" or "unix:PATH[:INNER]". Without an address it is 127.0.0.1: all
// interfaces have to be asked for by name. kUsage names the part that is wrong.
Result<Publish> parse_publish(const std::string& text);
std::string to_string(const Publish& publish);

// A socket bound there, in the caller's network namespace; listen_on() has not been called. A unix
// socket that nobody listens on any more is replaced; the new one has mode 0660. kUsage when the
// address is taken or not the host's.
Result<UniqueFd> bind_publish(const Publish& publish);
Status listen_on(const UniqueFd& socket);
// The port that a bound IP socket has.
uint16_t bound_port(const UniqueFd& socket);

struct Limits {
  size_t connections = 1024;                // more wait in the listener's queue
  std::chrono::milliseconds idle{900'000};  // without a byte in either direction
  std::chrono::milliseconds connect{5'000};
};

struct Counters {
  uint64_t accepted = 0, open = 0, refused = 0;  // refused: the server did not take it
  uint64_t idle_closed = 0;
  uint64_t bytes_in = 0, bytes_out = 0;  // from clients, to clients
  uint64_t requests = 0, denied = 0;     // of a gate with an allow-list
};

// What was counted, without what is open at the moment.
void add(Counters& sum, const Counters& more);

}  // namespace pare::confine
