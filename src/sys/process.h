// Child processes: started without a shell, waited for through a pidfd (pidfd_open(2)), and killed
// with their owner.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pare::sys {

struct Command {
  std::vector<std::string> argv;  // argv[0]: a path, or a name that is looked up in pare's PATH
  std::optional<std::vector<std::string>> env;  // "NAME=value"; nullopt: pare's own
  std::string cwd;                              // empty: pare's own
  // Descriptors that become the child's 0, 1 and 2; -1: /dev/null. Nothing else is inherited.
  int in = -1, out = -1, err = -1;
};

// 0..255 for an exit, 128 + N for death by signal N, as shells count.
int exit_code_of(int code, int status);  // si_code and si_status of waitid(2)

// A child that is killed and reaped when its owner goes. It runs in a process group of its own
// (a terminal's Ctrl-C is pare's alone), with default signal handling, and dies with the thread
// that started it (PR_SET_PDEATHSIG).
class ChildProcess {
 public:
  // kUsage when the program does not exist or may not be executed, naming it.
  static Result<ChildProcess> start(const Command& command);
  // An existing child of this process, such as one that a subreaper inherited (prctl(2)).
  static Result<ChildProcess> adopt(pid_t pid);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  pid_t pid() const { return pid_; }  // valid until the exit was seen, then 0
  int pidfd() const { return pidfd_.get(); }
  // Whether it has exited, after waiting for that at most `limit`. Does not reap.
  bool exits_within(std::chrono::milliseconds limit) const;
  // The exit code as exit_code_of counts it; nullopt when it still runs after `limit`.
  Result<std::optional<int>> wait(std::chrono::milliseconds limit);
  Status signal(int number);  // of a child that has exited: no error

 private:
  ChildProcess(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  void end() noexcept;

  pid_t pid_ = 0;
  UniqueFd pidfd_;
  std::optional<int> code_;
};

// Without this, the processes that an exiting child leaves behind go to the host's init, which
// alone learns how they end. Process-wide (PR_SET_CHILD_SUBREAPER), and harmless to repeat.
Status become_subreaper();

struct Finished {
  int code = 0;            // as exit_code_of counts
  bool timed_out = false;  // killed at the limit
  std::string out, err;    // each cut at 16 MiB
};

// Runs to the end or to the limit and captures what it wrote (command.out and .err are ignored).
Result<Finished> run(const Command& command, std::chrono::milliseconds limit);

// The path that execvp(3) would take for a name, from pare's own PATH.
std::optional<std::string> find_program(const std::string& name);

}  // namespace pare::sys
