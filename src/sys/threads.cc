#include "sys/threads.h"

#include <signal.h>

#include <future>
#include <system_error>
#include <utility>

namespace pare::sys {

Result<std::thread> start_thread(std::function<void()> then, const std::function<Status()>& first) {
  std::promise<Status> began;
  std::future<Status> known = began.get_future();
  auto work = [began = std::move(began), &first, then = std::move(then)]() mutable {
    Status status = first ? first() : Status();
    const bool good = status.has_value();
    began.set_value(std::move(status));
    // From here on only what is its own: who started this thread goes on.
    if (good) then();
  };
  // A new thread inherits the mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread;
  Status status;
  try {
    thread = std::thread(std::move(work));
  } catch (const std::system_error& e) {
    status = fail_errno("cannot start a thread", e.code().value());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (status) status = known.get();
  if (status) return thread;
  if (thread.joinable()) thread.join();
  return tl::unexpected(status.error());
}

}  // namespace pare::sys
