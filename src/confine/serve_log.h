// A server's output on its way to a log: lines that repeat are folded, and a flood is cut to a
// rate.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pare::confine {

struct LogLimits {
  uint64_t bytes_per_second = 64 << 10;
  uint64_t burst = 1 << 20;
  std::chrono::milliseconds fold{5'000};  // a repeated line is counted at least this often
};

struct LogCounters {
  uint64_t lines = 0, bytes = 0;     // as they came
  uint64_t folded = 0, dropped = 0;  // lines
};

// Lines in, lines out. Lines are the same when they differ in digits alone (times, counts, ids).
class LogFolder {
 public:
  using Time = std::chrono::steady_clock::time_point;
  LogFolder(const LogLimits& limits, std::function<void(std::string_view)> sink)
      : limits_(limits), sink_(std::move(sink)), allowance_(static_cast<double>(limits.burst)) {}

  void take(std::string_view bytes, Time now);
  // Says what was held back for too long; to be called now and then.
  void tick(Time now);
  void finish(Time now);  // the last line may have no newline
  const LogCounters& counters() const { return counters_; }

 private:
  void line(std::string_view text, Time now);
  void flush(Time now);
  void write(std::string_view text, Time now);

  LogLimits limits_;
  std::function<void(std::string_view)> sink_;
  std::string partial_, last_, last_shape_;
  uint64_t repeats_ = 0, dropped_ = 0;
  Time repeats_since_{}, filled_{};
  double allowance_;
  LogCounters counters_;
};

// A pipe whose bytes a thread of this process folds.
class LogReader {
 public:
  static Result<std::unique_ptr<LogReader>> open(const LogLimits& limits,
                                                 std::function<void(std::string_view)> sink);
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;
  ~LogReader();  // takes what is in the pipe

  int write_end() const { return write_end_.get(); }
  void close_write_end() { write_end_.reset(); }
  LogCounters counters() const;

 private:
  LogReader(const LogLimits& limits, std::function<void(std::string_view)> sink)
      : folder_(limits, std::move(sink)) {}
  void run();

  LogFolder folder_;
  UniqueFd read_end_, write_end_, stop_;
  mutable std::mutex mutex_;
  LogCounters counters_;
  std::thread thread_;
};

}  // namespace pare::confine
