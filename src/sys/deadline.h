// A moment by which something has to be done, on the monotonic clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <climits>
#include <thread>

namespace pare::sys {

class Deadline {
 public:
  // At most a year, so that milliseconds::max() means "no limit".
  explicit Deadline(std::chrono::milliseconds limit)
      : end_(Clock::now() + std::min<std::chrono::milliseconds>(limit, std::chrono::hours(8766))) {}

  bool passed() const { return Clock::now() >= end_; }
  // Milliseconds for poll(2), rounded up; 0 when passed.
  int poll_timeout() const {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now()).count();
    return static_cast<int>(std::clamp<decltype(left)>(left, 0, INT_MAX));
  }
  // Sleeps for `step`, at most to the end; false when it had already passed.
  bool sleep(std::chrono::microseconds step) const {
    auto now = Clock::now();
    if (now >= end_) return false;
    std::this_thread::sleep_for(std::min<Clock::duration>(step, end_ - now));
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point end_;
};

}  // namespace pare::sys
