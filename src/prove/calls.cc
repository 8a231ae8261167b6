// System calls that have verdicts of their own.
#include <algorithm>

#include "prove/universe.h"

namespace pare::prove {

namespace {

bool contains(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

const std::vector<std::string>& risky_calls() {
  static const std::vector<std::string> kCalls = {
      "add_key",         "bpf",         "fsconfig",
      "fsmount",         "fsopen",      "io_uring_setup",
      "keyctl",          "mount",       "mount_setattr",
      "move_mount",      "open_tree",   "personality",
      "perf_event_open", "pivot_root",  "process_vm_readv",
      "ptrace",          "request_key", "process_vm_writev",
      "setns",           "umount2",     "unshare",
      "userfaultfd",
  };
  return kCalls;
}

const std::vector<GatedCalls>& gated_calls() {
  static const std::vector<GatedCalls> kRows = {
      {"numa", "SYS_NICE", {"get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"}},
      {"pidfd", "SYS_PTRACE", {"pidfd_getfd"}},
  };
  return kRows;
}

std::vector<std::string> calls_of(const std::string& value) {
  for (const GatedCalls& row : gated_calls()) {
    if (row.name == value) return row.calls;
  }
  return {value};
}

Privilege judged_by(const std::string& call) {
  if (contains(risky_calls(), call)) return {Axis::kSyscall, call};
  for (const GatedCalls& row : gated_calls()) {
    if (contains(row.calls, call)) return {Axis::kSyscall, row.name};
  }
  return {Axis::kSyscall, ""};
}

}  // namespace pare::prove
