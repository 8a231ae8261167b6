// The command line of an OCI runtime (runc, crun), and what its messages mean.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sys/process.h"

namespace pare::engine {

// What the container itself could not do under its policy, in the shell's numbers: 127 where its
// program was not found, 126 where it could not be run. Anything else is the host's failure.
std::optional<int> own_failure(const std::string& message, bool under_seccomp);

// SIGKILL for the runtime's own processes that carry `marker` (a session's id, or "/ID/" of one
// container) in their arguments or state directory, until none is left: between their start and the
// container's cgroup nothing else names them, and runc still mounts (nsexec.c and cloned_binary.c
// of 1.1).
Status kill_runtime_processes(const std::string& marker);

class OciRuntime {
 public:
  // `name` is runc or crun (kUsage); kHost when it is not installed or cannot work on this host.
  static Result<OciRuntime> find(const std::string& name);

  const std::string& name() const { return name_; }
  Result<std::string> version() const;  // "runc 1.1.5"

  struct Launch {
    pid_t pid = 0;        // of the entry point, now a child of this process
    std::string failure;  // the runtime's own message when it did not start; pid is 0
    bool timed_out = false;
  };
  // `run --detach` of the bundle in `directory`; stdout and stderr are `output`.
  Result<Launch> run(const std::string& directory, const std::string& id, int output,
                     std::chrono::milliseconds limit) const;

  struct Executed {
    int code = 0;  // of the program, or of the runtime when `failure` is set
    std::string failure;
    bool timed_out = false;
    pid_t pid = 0;  // of the program, when it was left running at the limit
  };
  Result<Executed> exec(const std::string& directory, const std::string& id,
                        const std::vector<std::string>& argv,
                        std::chrono::milliseconds limit) const;

 private:
  OciRuntime(std::string name, std::string path) : name_(std::move(name)), path_(std::move(path)) {}
  sys::Command command(const std::string& directory, const std::string& log,
                       const std::vector<std::string>& words) const;

  std::string name_, path_;
};

}  // namespace pare::engine
