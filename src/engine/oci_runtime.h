// The command line of an OCI runtime (runc, crun, runsc), and what its messages mean.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
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

struct RuntimeKind {
  std::string_view name;
  std::array<std::string_view, 2> flags;  // before the command; empty ones are none
  bool own_kernel = false;                // Engine::own_kernel
};

class OciRuntime {
 public:
  // `name` is runc, crun or runsc (kUsage); kHost when it is not installed or cannot work on this
  // host.
  static Result<OciRuntime> find(const std::string& name);

  std::string name() const { return std::string(kind_.name); }
  bool own_kernel() const { return kind_.own_kernel; }
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
  OciRuntime(const RuntimeKind& kind, std::string path) : kind_(kind), path_(std::move(path)) {}
  sys::Command command(const std::string& directory, const std::string& log,
                       const std::vector<std::string>& words) const;

  RuntimeKind kind_;
  std::string path_;
};

}  // namespace pare::engine
