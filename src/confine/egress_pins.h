// Filters on the host's end of a container's veth (tc-bpf(8)); they outlive the process.
#pragma once

#include "base/result.h"

namespace pare::confine {

struct Guard {
  int ifindex = 0;  // in the caller's network namespace; 0: none
};
Status attach_guard(const Guard& guard, int out_program, int in_program);
Status remove_guard(const Guard& guard);

}  // namespace pare::confine
