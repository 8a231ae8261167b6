// The one phase with a way out: a container of its own, in a namespace with loopback alone, fills a
// volume from the hosts that were named and no other. Each name is an address of the container's
// `lo` (by /etc/hosts); what connects there and asks for that name inside TLS (SNI, RFC 6066) is
// carried to the address that the name had outside when the pull began. There is no resolver, no
// route and no proxy that a program would have to know of.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "confine/gate_loop.h"
#include "confine/serve_plan.h"
#include "engine/engine.h"

namespace pare::confine {

struct PullHost {
  std::string name;  // exact; lower case
  uint16_t port = 443;
  std::string address;  // outside; empty until resolve_hosts()
};

// "huggingface.co", "models.test:8443". kUsage for addresses and wildcards: names are exact.
Result<PullHost> parse_pull_host(const std::string& text);
// Not of the public Internet: loopback, private, link-local, shared, multicast, reserved (RFC
// 6890).
bool is_private(const std::string& address);
// Looks each name up once, so that a name cannot turn to another address meanwhile. `pinned`: as
// curl's --resolve, name and address. kUsage: unknown, or private addresses alone.
Status resolve_hosts(std::vector<PullHost>& hosts,
                     const std::vector<std::pair<std::string, std::string>>& pinned);

// The name in a TLS ClientHello; kMore: not all of it has come; kNone: no TLS, or no name in it.
struct ServerName {
  enum class Kind { kName, kMore, kNone } kind = Kind::kNone;
  std::string name;  // lower case
};
ServerName server_name(std::string_view bytes);

// The ways out of one namespace.
class PullDoors {
 public:
  // `pid`: a process (or thread) in the namespace, whose `lo` is up. `netns`: path of the namespace
  // that the hosts are reached from; empty: pare's own.
  static Result<std::unique_ptr<PullDoors>> open(
      int pid, const std::vector<PullHost>& hosts, const std::string& netns,
      const std::function<void(const std::string&)>& refused);
  // For /etc/hosts of the container.
  std::vector<std::pair<std::string, std::string>> names() const { return names_; }
  Counters counters() const { return loop_->counters(); }

 private:
  PullDoors() = default;
  std::vector<UniqueFd> listeners_;
  std::vector<std::pair<std::string, std::string>> names_;
  std::unique_ptr<GateLoop> loop_;
};

struct PullOptions {
  std::string id, directory;    // as SuperviseOptions'
  std::vector<PullHost> hosts;  // resolved
  std::string netns;
  std::string into;                  // path in the container of the one volume that is written
  std::vector<std::string> command;  // empty: the proof's own, until its checks pass
  std::chrono::milliseconds limit{3'600'000};
  std::function<void(const std::string&)> tell;
  std::function<void(std::string_view)> log;
};

struct Pulled {
  int code = 0;     // of the command; 0 when the server became ready
  std::string why;  // of a failure
  Counters traffic;
};

// Runs it to its end. The plan is the proof's, with the keys that the pull needs in its
// environment; its container has no capability, a read-only root with a tmpfs at /tmp, and the
// volume at `into` writable.
Result<Pulled> pull(ServePlan plan, engine::Engine& engine, const PullOptions& options,
                    const std::atomic<bool>& stop);

}  // namespace pare::confine
