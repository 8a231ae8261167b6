// What this kernel offers to a recorder.
#pragma once

#include <string>

#include "base/result.h"

namespace pare::record {

struct Hooks {
  std::string capability;      // "tracepoint", "fexit" or "kprobe", whichever works first
  bool uring_request = false;  // tracepoint io_uring_submit_req (Linux 6.3)
  bool uring_sqe = false;      // io_uring_submit_sqe, its predecessor
};

// Found out once a process. kHost: no kernel type information, or no way to see capability checks.
const Result<Hooks>& hooks();

}  // namespace pare::record
