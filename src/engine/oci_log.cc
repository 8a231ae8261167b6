#include "engine/oci_log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "base/file.h"
#include "sys/threads.h"

namespace pare::engine {

Result<std::unique_ptr<LogPump>> LogPump::open(const std::string& path) {
  std::unique_ptr<LogPump> pump(new LogPump);
  const std::string& file = path.empty() ? "/dev/null" : path;
  pump->file_.reset(
      ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!pump->file_.valid()) return fail_errno("cannot open log " + file, errno);
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return fail_errno("cannot make a pipe", errno);
  pump->read_end_.reset(fds[0]);
  pump->write_end_.reset(fds[1]);
  fcntl(fds[0], F_SETFL, O_NONBLOCK);
  pump->stop_.reset(eventfd(0, EFD_CLOEXEC));
  if (!pump->stop_.valid()) return fail_errno("cannot make an eventfd", errno);
  PARE_TRY(pump->thread_, sys::start_thread([raw = pump.get()] { raw->run(); }));
  return pump;
}

LogPump::~LogPump() {
  finish();
}

void LogPump::finish() {
  if (!thread_.joinable()) return;
  write_end_.reset();
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void LogPump::run() {
  char buffer[65536];
  while (true) {
    ssize_t n = read(read_end_.get(), buffer, sizeof buffer);
    if (n > 0) {
      append(buffer, static_cast<size_t>(n));
      continue;
    }
    if (n == 0) return;
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return;
    pollfd watched[2] = {{read_end_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    poll(watched, 2, -1);
    if (watched[1].revents != 0 && watched[0].revents == 0) return;
  }
}

void LogPump::append(const char* data, size_t size) {
  constexpr std::string_view kCut = "\n[the rest of this log was dropped]\n";
  if (written_ > kLimit) return;
  std::string_view rest(data, std::min(size, kLimit - written_));
  written_ += size;
  if (written_ > kLimit) ++written_;
  // A full disk: the server must not block on it.
  (void)base::write_all(file_.get(), rest, "the log");
  if (written_ > kLimit) (void)base::write_all(file_.get(), kCut, "the log");
}

}  // namespace pare::engine
