#include "confine/serve_log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/text.h"
#include "sys/threads.h"

namespace pare::confine {

namespace {

constexpr size_t kLongestLine = 16 << 10;

}  // namespace

void LogFolder::take(std::string_view bytes, Time now) {
  counters_.bytes += bytes.size();
  while (!bytes.empty()) {
    size_t end = bytes.find('\n');
    partial_.append(bytes.substr(0, end));
    bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + 1);
    if (end == std::string_view::npos && partial_.size() < kLongestLine) return;
    line(partial_, now);
    partial_.clear();
  }
}

void LogFolder::line(std::string_view text, Time now) {
  ++counters_.lines;
  std::string shape = base::without_numbers(text);
  if (counters_.lines > 1 && shape == last_shape_) {
    if (repeats_++ == 0) repeats_since_ = now;
    ++counters_.folded;
    last_ = text;
    return tick(now);
  }
  flush(now);
  last_shape_ = std::move(shape);
  write(text, now);
}

void LogFolder::flush(Time now) {
  if (repeats_ == 0) return;
  // One alone is shown as it is.
  std::string text = repeats_ == 1 ? last_
                                   : last_ + " [" + std::to_string(repeats_) +
                                         " lines like this, the last one shown]";
  repeats_ = 0;
  write(text, now);
}

void LogFolder::tick(Time now) {
  if (repeats_ > 0 && now - repeats_since_ >= limits_.fold) flush(now);
}

void LogFolder::finish(Time now) {
  if (!partial_.empty()) line(std::exchange(partial_, {}), now);
  flush(now);
}

void LogFolder::write(std::string_view text, Time now) {
  if (filled_ == Time{}) filled_ = now;
  double seconds = std::chrono::duration<double>(now - filled_).count();
  filled_ = now;
  allowance_ = std::min(static_cast<double>(limits_.burst),
                        allowance_ + seconds * static_cast<double>(limits_.bytes_per_second));
  if (allowance_ < static_cast<double>(text.size() + 1)) {
    ++dropped_;
    ++counters_.dropped;
    return;
  }
  allowance_ -= static_cast<double>(text.size() + 1);
  if (dropped_ > 0) {
    sink_("[" + std::to_string(dropped_) + " lines dropped: the log is limited to " +
          std::to_string(limits_.bytes_per_second) + " bytes a second]");
    dropped_ = 0;
  }
  sink_(text);
}

Result<std::unique_ptr<LogReader>> LogReader::open(const LogLimits& limits,
                                                   std::function<void(std::string_view)> sink) {
  std::unique_ptr<LogReader> reader(new LogReader(limits, std::move(sink)));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno("cannot make a pipe for the log", errno);
  reader->read_end_.reset(ends[0]);
  reader->write_end_.reset(ends[1]);
  // The reading end alone: a server gets an ordinary pipe.
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  reader->stop_.reset(eventfd(0, EFD_CLOEXEC));
  PARE_TRY(reader->thread_, sys::start_thread([r = reader.get()] { r->run(); }));
  return reader;
}

LogReader::~LogReader() {
  write_end_.reset();
  if (stop_.valid()) eventfd_write(stop_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

LogCounters LogReader::counters() const {
  std::lock_guard guard(mutex_);
  return counters_;
}

void LogReader::run() {
  std::array<char, 65536> buffer{};
  bool stopping = false;
  while (true) {
    std::array<pollfd, 2> waits = {{{read_end_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    if (!stopping && poll(waits.data(), waits.size(), 1000) < 0) continue;
    stopping = stopping || waits[1].revents != 0;
    ssize_t n = read(read_end_.get(), buffer.data(), buffer.size());
    auto now = std::chrono::steady_clock::now();
    if (n > 0) folder_.take({buffer.data(), static_cast<size_t>(n)}, now);
    folder_.tick(now);
    bool ended = n == 0 || (n < 0 && stopping && errno != EINTR);
    if (ended) folder_.finish(now);
    std::lock_guard guard(mutex_);
    counters_ = folder_.counters();
    if (ended) return;
  }
}

}  // namespace pare::confine
