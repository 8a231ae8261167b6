// observe --container, --pid: what runs already.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "evidence/evidence.h"

namespace pare::cli {

struct RunningOptions {
  std::string container;
  int pid = 0;
  std::string during;
  bool given() const { return !container.empty() || pid != 0; }
};

// Until the time is over, an interrupt (SIGINT, SIGTERM) or its end. kUsage when it does not run,
// or is not apart from pare itself.
Result<evidence::Evidence> observe_running(const RunningOptions& options,
                                           const std::vector<std::string>& checks,
                                           const std::string& ready_within);

}  // namespace pare::cli
