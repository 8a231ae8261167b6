// A check's attempts, from a spec to its probes on threads inside the subject's namespace.
#pragma once

#include <vector>

#include "check/kind.h"
#include "sys/netns.h"

namespace pare::check {

// The subject with its namespace held open, for as many attempts as are wanted.
class Bench {
 public:
  // kHost; sys_errno ENOENT or ESRCH when the container is gone.
  static Result<Bench> open(const Subject& subject);

  // "port N is not reachable under this policy", or "".
  std::string refusal(const Spec& spec) const;

  // Prepares and makes `count` attempts at once (none when the preparation already failed: then its
  // one attempt is returned).
  Result<std::vector<Attempt>> attempt(const Spec& spec, int count) const;

  // Runs `work` inside the namespace.
  template <typename F>
  auto inside(F&& work) const {
    return inside_.call(std::forward<F>(work));
  }

  // Where the port's server has no IPv4 address: adds subject.address6 and uses it from now on.
  // False when that is not so.
  bool switch_to_ipv6(uint16_t port);

  const Subject& subject() const { return subject_; }

 private:
  Bench(Subject subject, sys::NetNs inside, sys::NetNs own)
      : subject_(std::move(subject)), inside_(std::move(inside)), own_(std::move(own)) {}
  Subject subject_;
  sys::NetNs inside_;
  sys::NetNs own_;
};

// True for the errors of Bench::open that mean that there is no container any more.
bool container_gone(const Error& error);

}  // namespace pare::check
