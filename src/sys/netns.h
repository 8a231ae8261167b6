// Work inside another process's network namespace, and the few rtnetlink(7) calls that make its
// loopback device stand for the outside world. setns(2) with CLONE_NEWNET is per thread, so work
// runs on a thread of its own; sockets that it makes stay in that namespace.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pare::sys {

class NetNs {
 public:
  // /proc/PID/ns/net. kHost; sys_errno is ENOENT or ESRCH when the process is gone.
  static Result<NetNs> of_process(int pid);

  // True when this is the namespace of the calling process itself: nothing may be changed there.
  Result<bool> is_own() const;

  // Runs `work` on a new thread that has entered the namespace (all signals blocked), and waits.
  // kHost when the thread or the entering failed; then `work` did not run.
  Status run(const std::function<void()>& work) const;

  // The same on `count` threads, which all start work(0) ... work(count - 1) at one moment, when
  // the last of them has entered. Either all of them run or none.
  Status run_at_once(int count, const std::function<void(int)>& work) const;

  // run(), handing back what `work` returns; a Result is not wrapped twice.
  template <typename F>
  auto call(F&& work) const {
    using T = std::invoke_result_t<F>;
    std::optional<T> value;
    Status status = run([&] { value.emplace(work()); });
    if constexpr (requires(T t) { typename T::error_type; }) {
      return status ? std::move(*value) : T(tl::unexpected(std::move(status).error()));
    } else {
      using R = Result<T>;
      return status ? R(std::move(*value)) : R(tl::unexpected(std::move(status).error()));
    }
  }

  // Enters the namespace with the calling thread, which must be one that ends afterwards.
  Status enter() const;

 private:
  explicit NetNs(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// The functions below act on the calling thread's network namespace (use NetNs::call) and may be
// repeated. All are kHost with the errno of the kernel's answer.

// `ip link set lo up`, and forwarding off on it, so that what comes back over lo is dropped
// without a sound (the kernel hands the host's ip_forward=1 to new namespaces, devinet.c).
Status loopback_up();

// `ip address add ADDRESS dev lo` with a prefix of one address; IPv4 or IPv6 by its spelling.
// EACCES for IPv6 where net.ipv6.conf.all.disable_ipv6 is set.
Status add_loopback_address(const std::string& address);

// What happens to a packet for an address that the namespace does not have.
enum class DefaultRoute {
  kNone,      // no route: ENETUNREACH at once
  kLoopback,  // `default dev lo`: leaves through lo, comes back, is dropped: a time-out
  kLocal,     // `local 0.0.0.0/0 dev lo`: every address is this host's: ECONNREFUSED
};
// IPv4, and IPv6 where the namespace has it. Touches only routes that this function makes.
Status set_default_route(DefaultRoute route);

}  // namespace pare::sys
