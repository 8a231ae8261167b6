#include "cli/observe_running.h"

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "base/text.h"
#include "base/time.h"
#include "sys/cgroup.h"
#include "sys/running.h"

namespace pare::cli {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

volatile std::sig_atomic_t interrupted = 0;

void on_interrupt(int) {
  interrupted = 1;
}

// --during
Result<milliseconds> time_to_run(const std::string& text) {
  if (text.empty()) return milliseconds::max();
  auto parsed = base::parse_duration(text);
  if (parsed) return *parsed;
  return fail(ErrorKind::kUsage, "--during '" + text + "' is not a duration such as 30s or 10m");
}

// A cgroup that holds pare too would be recorded with pare in it.
Status apart_from_pare(const std::string& cgroup) {
  PARE_TRY(std::string own, sys::cgroup_of(getpid()));
  if (cgroup != "/" && own != cgroup && !base::starts_with(own, cgroup + "/")) return {};
  return fail(ErrorKind::kUsage, "the cgroup " + cgroup +
                                     " holds pare itself, not a container alone: name a process "
                                     "that runs in a container, or --container ID");
}

Status find(const RunningOptions& options, trial::Attached& attached) {
  if (!options.container.empty() && options.pid != 0) {
    return fail(ErrorKind::kUsage, "--container and --pid exclude each other");
  }
  if (options.pid != 0) {
    PARE_TRY(attached.cgroup, sys::cgroup_of(options.pid));
  } else {
    PARE_TRY(attached.cgroup, sys::container_cgroup(options.container));
  }
  PARE_CHECK_OK(apart_from_pare(attached.cgroup));
  PARE_TRY(sys::Cgroup cgroup, sys::Cgroup::at(attached.cgroup));
  std::vector<int> pids = cgroup.processes();
  if (pids.empty()) {
    return fail(ErrorKind::kUsage, "nothing runs in " + attached.cgroup + ": it has ended");
  }
  attached.pid = options.pid != 0 ? options.pid : pids.front();
  return {};
}

}  // namespace

Result<evidence::Evidence> observe_running(const RunningOptions& options,
                                           trial::Attached attached) {
  PARE_TRY(milliseconds during, time_to_run(options.during));
  PARE_CHECK_OK(find(options, attached));
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  const auto began = Clock::now();
  attached.enough = [&] { return interrupted != 0 || Clock::now() - began >= during; };
  fmt::print(stderr, "pare: recording {}{}\n", attached.cgroup,
             options.during.empty() ? " until it ends, or Ctrl-C" : " for " + options.during);
  return trial::observe_running(attached);
}

}  // namespace pare::cli
