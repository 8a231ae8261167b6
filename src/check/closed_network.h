// A network namespace with loopback alone, ready before the container that joins it runs: what a
// server tries first at start-up already fails the way the policy says.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "check/check.h"
#include "privilege/policy.h"

namespace pare::check {

class ClosedNetwork {
 public:
  static Result<std::unique_ptr<ClosedNetwork>> open(privilege::Refusal refusal);
  ClosedNetwork(const ClosedNetwork&) = delete;
  ClosedNetwork& operator=(const ClosedNetwork&) = delete;
  ~ClosedNetwork();

  // /proc/TID/ns/net, as long as this lives; the namespace itself lives on in who joined it.
  std::string path() const;
  int tid() const { return tid_; }  // of a thread that is in it

 private:
  ClosedNetwork() = default;
  int tid_ = 0;  // of the thread that is the namespace's only member
  std::promise<void> release_;
  std::thread thread_;
};

// The same for the namespace that a container was started in: its `lo` is up and has the address
// that checks speak to, and what else is tried fails as `refusal` says.
Status close_network(const Subject& subject, privilege::Refusal refusal);

}  // namespace pare::check
