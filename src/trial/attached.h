// What runs already, observed for a while; nothing is started, stopped or changed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "check/check.h"
#include "evidence/evidence.h"

namespace pare::trial {

struct Attached {
  std::string cgroup;               // v2, "/docker/ID"
  int pid = 0;                      // one of its processes
  std::vector<check::Spec> checks;  // once they have passed facts belong to `serve`; may be empty
  check::Patience patience;         // for the checks
  std::function<bool()> enough;     // asked some ten times a second
};

// Until enough() or the last process has ended. Besides what the recorder saw: the programs that
// ran, files that were open for writing and the listeners that were there when it began. Ports are
// talked to when the recording has ended. kUsage when nothing of it runs any more.
Result<evidence::Evidence> observe_running(const Attached& attached);

}  // namespace pare::trial
