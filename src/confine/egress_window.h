// The egress window of one container: nothing leaves but the exceptions, decided in the kernel.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "confine/egress_rules.h"
#include "privilege/policy.h"

namespace pare::confine {

struct WindowOptions {
  std::string cgroup;  // a directory of the v2 hierarchy
  // Not empty: the window holds for the cgroup of this name directly below `cgroup`, from the
  // moment that it is made, and again whenever it is made anew.
  std::string leaf;
  bool anywhere = false;  // `leaf` may be made at any depth below `cgroup`
  privilege::Refusal refusal = privilege::Refusal::kUnreachable;
  bool joined = false;      // the container runs: its sockets may be older than the window
  bool open_names = false;  // any name may be asked for; answers to names of no rule open nothing
  // A directory on a bpf file system where the window outlives this process (see pin_root()).
  // Where one stands there already it is taken over with its rules. Empty: it ends with the object.
  std::string pins;
};

// What was tried since the last look.
struct Tried {
  uint64_t count = 0, bytes = 0;
  uint64_t last_ns = 0;            // CLOCK_MONOTONIC
  std::vector<uint64_t> times_ns;  // of the first ones, at most PARE_EGRESS_TIMES, ascending
  std::string exe, comm;           // file name of the executable; the name that it gives itself
};

struct Attempt : Tried {
  Address address = {};
  uint16_t port = 0;
  uint8_t protocol = 0;
  pare_egress_verdict verdict = PARE_EGRESS_DENIED;
  std::vector<std::string> names;  // of rules whose answers held the address
};

struct Question : Tried {
  std::string name, type;  // "a.example", "AAAA"
  Address resolver = {};
  bool allowed = false;
};

struct Opening {
  Address address = {};
  pare_egress_opening_kind kind = PARE_EGRESS_FIRST_BYTES;
  std::string bytes;
};

struct Look {
  std::vector<Attempt> attempts;
  std::vector<Question> questions;
  std::vector<Opening> openings;
};

// Since the window was opened.
struct WindowTotals {
  uint64_t attempts[PARE_EGRESS_VERDICTS] = {};   // by pare_egress_verdict
  uint64_t questions[PARE_EGRESS_VERDICTS] = {};  // allowed and denied
  uint64_t dropped_packets = 0;
  uint64_t losses[PARE_EGRESS_LOSSES] = {};

  uint64_t denied_attempts() const {
    return attempts[PARE_EGRESS_DENIED] + attempts[PARE_EGRESS_REBOUND] +
           attempts[PARE_EGRESS_PACKET];
  }
};

uint64_t monotonic_ns();  // CLOCK_MONOTONIC
constexpr uint64_t in_ns(std::chrono::milliseconds time) {
  return static_cast<uint64_t>(time.count()) * 1'000'000;
}

// A row of the kernel's table.
struct ActiveException {
  Exception exception;
  uint64_t until_ns = 0;  // CLOCK_MONOTONIC; 0: for good
};

class Window {
 public:
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  virtual ~Window() = default;  // without pins: ends it

  // kHost naming what the kernel refused, kUsage when the cgroup does not exist.
  static Result<std::unique_ptr<Window>> open(const WindowOptions& options);

  // Valid at once. Its row; kUsage when there are PARE_EGRESS_RULES already.
  virtual Result<uint32_t> allow(const Exception& exception) = 0;
  // Connections under it are cut.
  virtual Status revoke(uint32_t row) = 0;
  // Those in force: what its time ended is gone, and its row is free.
  virtual const std::map<uint32_t, ActiveException>& exceptions() = 0;

  // The addresses that names may be asked of, and the domains that its resolver appends.
  virtual Status set_resolvers(const std::vector<Address>& resolvers,
                               const std::vector<std::string>& search) = 0;
  // The container's own addresses: no egress.
  virtual Status set_own(const std::vector<Address>& own) = 0;

  // On the host's end of the container's veth (an interface of the caller's network namespace),
  // drops what no socket was let through with: AF_PACKET.
  virtual Status guard(int ifindex) = 0;

  virtual Look look() = 0;
  virtual WindowTotals totals() const = 0;

  // Ends it, pinned or not.
  virtual Status close() = 0;

 protected:
  Window() = default;
};

// STATE_ROOT/bpf with a bpf file system mounted on it.
Result<std::string> pin_root();
// The windows that stand there, whoever opened them.
std::vector<std::string> pinned_windows();
// The directory below pin_root() for a window on `subject` (any text).
Result<std::string> pins_of(const std::string& subject);
// Whether one stands there.
bool window_stands(const std::string& subject);
// Ends the pinned windows that no process holds; how many there were.
Result<int> sweep_windows();

}  // namespace pare::confine
