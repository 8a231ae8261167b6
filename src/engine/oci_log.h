// A container's output: a pipe, as every platform gives one (a server may refuse or treat a file
// otherwise), whose bytes a thread appends to a file.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pare::engine {

class LogPump {
 public:
  // What is longer than this is read and dropped, so that a server that floods its log cannot
  // fill the disk; the file then ends in a line that says so.
  static constexpr size_t kLimit = 64 << 20;

  // Appends to `path` (made with mode 0600); empty: to nowhere.
  static Result<std::unique_ptr<LogPump>> open(const std::string& path);
  LogPump(const LogPump&) = delete;
  LogPump& operator=(const LogPump&) = delete;
  ~LogPump();

  int write_end() const { return write_end_.get(); }
  // To be called once the children have it.
  void close_write_end() { write_end_.reset(); }
  // Takes what is in the pipe and ends the thread, also while somebody holds the other end.
  void finish();

 private:
  LogPump() = default;
  void run();
  void append(const char* data, size_t size);

  UniqueFd read_end_, write_end_, file_, stop_;
  size_t written_ = 0;
  std::thread thread_;
};

}  // namespace pare::engine
