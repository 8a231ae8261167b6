// What a container writes to its log while it is watched: how much, and which lines again and
// again ("cannot resolve ..., retrying" is a beacon's other end).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace pare::confine {

struct LogSource {
  std::string path;     // empty: nobody said where the log is
  bool docker = false;  // one JSON object a line (Docker's json-file driver)
};

struct LogPicture {
  struct Line {
    std::string sample;  // the first such line; they differ in numbers alone
    uint64_t count = 0;
    bool operator==(const Line&) const = default;
  };
  bool known = false;
  uint64_t bytes = 0;
  double bytes_per_second = 0;
  uint64_t repeated_lines = 0;  // lines that were there more than kRepeats times
  std::vector<Line> repeated;   // the most frequent first, at most kShown
  static constexpr uint64_t kRepeats = 10;
  static constexpr size_t kShown = 8;
};

// Reads what is added from now on, also behind a rotation. Bounded, whatever is written.
class LogMeter {
 public:
  using Clock = std::chrono::steady_clock;
  explicit LogMeter(LogSource source, Clock::time_point now = Clock::now());
  void look();
  LogPicture picture(Clock::time_point now = Clock::now()) const;

 private:
  void open_file(bool at_end);
  void take(std::string_view bytes);
  void take_line(std::string_view line);

  LogSource source_;
  Clock::time_point began_;
  UniqueFd file_;
  uint64_t inode_ = 0, offset_ = 0, bytes_ = 0;
  std::string partial_;
  std::map<std::string, LogPicture::Line> lines_;  // by what they have in common
};

}  // namespace pare::confine
