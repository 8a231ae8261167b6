// The seal: once a server is ready it gets no new program, listener, namespace, mount or tracer.
// The calls for that are rare, so the kernel asks here for each of them (seccomp_unotify(2)):
// before the seal what the proof lists goes on, after it nothing does. With this process gone the
// kernel answers ENOSYS by itself: it fails closed.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "privilege/policy.h"

namespace pare::confine {

struct Denial {
  std::string call;      // "execve"
  std::string argument;  // a path, or numbers in hex
  int pid = 0;
  std::string program;  // of the process: /proc/PID/exe, else its comm
  bool sealed = false;  // false: it came before the seal, and the proof does not list it
};

struct SealPlan {
  std::string profile;              // linux.seccomp of an OCI config.json, with listenerPath
  std::set<std::string> notified;   // calls that come here
  std::set<std::string> before;     // of these, what goes on before the seal
  std::set<std::string> after;      // and after it: what the proof saw while it served
  std::set<std::string> as_absent;  // refused with ENOSYS instead of EPERM
};

// For a proof's policy. `listener`: the unix socket that the runtime hands the filter's descriptor
// to. A clone(2) that makes namespaces is notified, clone3(2), whose flags no filter sees, answers
// ENOSYS, so that libc uses clone. Without a profile in the proof all other calls are allowed.
SealPlan plan_seal(const privilege::Policy& policy, const std::string& listener);

// Whether this kernel asks a listener (SECCOMP_RET_USER_NOTIF, Linux 5.0). kHost: it does not.
Status seal_possible();

class Seal {
 public:
  // Listens at `plan`'s socket (its directory exists, the path is free) until it goes. `on_denial`
  // is called on a thread of its own.
  static Result<std::unique_ptr<Seal>> open(const SealPlan& plan, const std::string& listener,
                                            std::function<void(const Denial&)> on_denial);
  Seal(const Seal&) = delete;
  Seal& operator=(const Seal&) = delete;
  ~Seal();

  // Whether the runtime has handed a filter over: without one, nothing is sealed.
  bool attached() const { return attached_; }
  void close_for_good() { sealed_ = true; }
  bool sealed() const { return sealed_; }
  std::map<std::string, uint64_t> denials() const;  // by call

 private:
  Seal(const SealPlan& plan, std::function<void(const Denial&)> on_denial)
      : plan_(plan), on_denial_(std::move(on_denial)) {}
  void run();
  void take_filter();
  bool answer(int filter);
  Denial describe(const std::string& call, int pid, const uint64_t (&arguments)[6]) const;

  SealPlan plan_;
  std::function<void(const Denial&)> on_denial_;
  std::string path_;
  UniqueFd listener_, wake_;
  std::vector<UniqueFd> filters_;
  std::atomic<bool> attached_{false}, sealed_{false}, stop_{false};
  mutable std::mutex mutex_;
  std::map<std::string, uint64_t> denials_;
  std::thread thread_;
};

}  // namespace pare::confine
