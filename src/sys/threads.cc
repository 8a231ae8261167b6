#include "sys/threads.h"

#include <pthread.h>
#include <signal.h>

#include <future>
#include <memory>
#include <system_error>
#include <utility>

namespace pare::sys {

namespace {

// A new thread inherits the mask.
class NoSignals {
 public:
  NoSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;
  ~NoSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

void* run_detached(void* work) {
  std::unique_ptr<std::function<void()>> mine(static_cast<std::function<void()>*>(work));
  (*mine)();
  return nullptr;
}

}  // namespace

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
  std::thread thread;
  Status status;
  {
    NoSignals none;
    try {
      thread = std::thread(std::move(work));
    } catch (const std::system_error& e) {
      status = fail_errno("cannot start a thread", e.code().value());
    }
  }
  if (status) status = known.get();
  if (status) return thread;
  if (thread.joinable()) thread.join();
  return tl::unexpected(status.error());
}

Status start_detached(std::function<void()> work) {
  auto mine = std::make_unique<std::function<void()>>(std::move(work));
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  NoSignals none;
  int error = pthread_create(&thread, &attributes, run_detached, mine.get());
  pthread_attr_destroy(&attributes);
  if (error != 0) return fail_errno("cannot start a thread", error);
  (void)mine.release();  // the thread's
  return {};
}

}  // namespace pare::sys
