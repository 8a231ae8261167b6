// observe --container, --pid: what runs already.
#pragma once

#include <string>

#include "base/result.h"
#include "evidence/evidence.h"
#include "trial/attached.h"

namespace pare::cli {

struct RunningOptions {
  std::string container;
  int pid = 0;
  std::string during;
  bool given() const { return !container.empty() || pid != 0; }
};

// Until the time is over, an interrupt (SIGINT, SIGTERM) or its end. `attached` has checks and
// patience. kUsage when it does not run, or is not apart from pare itself.
Result<evidence::Evidence> observe_running(const RunningOptions& options, trial::Attached attached);

}  // namespace pare::cli
