// pare clean: remove whatever a killed pare left behind.
#include <fmt/core.h>
#include <unistd.h>

#include "cli/target_options.h"
#include "cli/verbs.h"
#include "confine/egress_window.h"

namespace pare::cli {

static Result<int> clean() {
  if (geteuid() != 0) return fail(ErrorKind::kHost, "pare clean needs root: run it with sudo");
  PARE_TRY(int swept, sweep_dead_sessions());
  fmt::print(stderr, "{} dead session{} removed\n", swept, swept == 1 ? "" : "s");
  PARE_TRY(int windows, confine::sweep_windows());
  if (windows > 0)
    fmt::print(stderr, "{} egress window{} opened\n", windows, windows == 1 ? "" : "s");
  PARE_TRY(std::vector<sys::Session> left, sys::dead_sessions());
  if (left.empty()) return 0;
  return fail(ErrorKind::kHost,
              fmt::format("{} could not be removed: the Docker daemon that holds its containers "
                          "does not answer; start it and run pare clean again",
                          left.front().directory()));
}

Action set_up_clean(CLI::App&) {
  return clean;
}

}  // namespace pare::cli
