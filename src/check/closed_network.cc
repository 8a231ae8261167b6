#include "check/closed_network.h"

#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace pare::check {

Result<std::unique_ptr<ClosedNetwork>> ClosedNetwork::open(privilege::Refusal refusal) {
  std::unique_ptr<ClosedNetwork> network(new ClosedNetwork);
  std::promise<int> entered;  // the thread's id, or -errno
  std::future<int> id = entered.get_future();
  try {
    // unshare(2) of the network concerns the calling thread alone.
    network->thread_ =
        std::thread([done = network->release_.get_future(), in = std::move(entered)]() mutable {
          in.set_value(unshare(CLONE_NEWNET) == 0 ? gettid() : -errno);
          done.wait();
        });
  } catch (const std::system_error& e) {
    return fail(ErrorKind::kHost, std::string("cannot start a thread: ") + e.what());
  }
  network->tid_ = id.get();
  if (network->tid_ < 0) return fail_errno("cannot make a network namespace", -network->tid_);
  Subject member;
  member.pid = network->tid_;
  PARE_CHECK_OK(close_network(member, refusal));
  return network;
}

ClosedNetwork::~ClosedNetwork() {
  if (!thread_.joinable()) return;
  release_.set_value();
  thread_.join();
}

std::string ClosedNetwork::path() const {
  return "/proc/" + std::to_string(tid_) + "/ns/net";
}

Status close_network(const Subject& subject, privilege::Refusal refusal) {
  PARE_CHECK_OK(prepare_network(subject));
  if (refusal == privilege::Refusal::kUnreachable) return {};
  return set_refusal(subject,
                     refusal == privilege::Refusal::kDropped ? Egress::kDropped : Egress::kRefused);
}

}  // namespace pare::check
