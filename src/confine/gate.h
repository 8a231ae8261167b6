// Inbound to a server whose network namespace has only its loopback: a gate listens outside, and
// makes the inner connection inside that namespace, on a thread that has entered it. Nothing of the
// host becomes reachable from inside.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "confine/gate_loop.h"
#include "confine/gate_types.h"

namespace pare::confine {

// A bound socket (bind_publish) and the port in the container that it leads to.
struct Door {
  UniqueFd socket;
  uint16_t inner_port = 0;
};

struct Inside {
  int pid = 0;                        // its network namespace is entered
  std::string address = "192.0.2.1";  // of the container's `lo`; not 127.0.0.1: a server may trust
                                      // what comes from there
};

class Gate {
 public:
  // Listens from now on. `threads` 0: one for each two processors, and at least two: a busy host
  // leaves little to one. The doors have to outlive it: a later gate, to the server's next
  // container, goes on with them and with what waits there.
  static Result<std::unique_ptr<Gate>> open(const std::vector<const Door*>& doors,
                                            const Inside& inside, const Limits& limits,
                                            unsigned threads = 0);
  // As GateLoop's, over all threads.
  bool drain(std::chrono::milliseconds limit);
  Counters counters() const;

 private:
  std::vector<std::unique_ptr<GateLoop>> loops_;
};

// A non-blocking TCP socket of the calling thread's network namespace, connecting or connected.
// `over_loopback`: bound to `lo`, so that the kernel takes it for what it is, and ports in
// TIME_WAIT are used again (tcp_tw_reuse of ip-sysctl.rst, default 2).
Result<UniqueFd> connect_to(const std::string& address, uint16_t port, bool over_loopback = false);

}  // namespace pare::confine
