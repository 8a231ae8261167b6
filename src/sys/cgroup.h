// A container's control group in every hierarchy at once: v2 alone, hybrid (v1 hierarchies with a
// cgroup2 mount beside them) and v1 (cgroups(7)).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pare::sys {

struct CgroupHierarchy {
  std::string mount;  // "/sys/fs/cgroup/unified"
  bool v2 = false;
  std::vector<std::string> controllers;  // v1: of its mount options; v2: empty
};

enum class CgroupMode { kUnified, kHybrid, kLegacy };
std::string_view to_string(CgroupMode mode);

// The mounted hierarchies, each once; from a mountinfo text (proc(5)) in the second form.
Result<std::vector<CgroupHierarchy>> cgroup_hierarchies();
std::vector<CgroupHierarchy> cgroup_hierarchies(std::string_view mountinfo);
// kUnified: v2 is the only one. kHost when none is mounted.
Result<CgroupMode> cgroup_mode();

struct CgroupPeaks {
  std::optional<uint64_t> tasks;         // pids.peak: threads and processes at once
  std::optional<uint64_t> memory_bytes;  // memory.peak, or v1's memory.max_usage_in_bytes
};

// The directories of one cgroup, one a hierarchy. They need not exist any more.
class Cgroup {
 public:
  // By the same path below every mount: "/pare/pare-1". May be made before the cgroup is.
  static Result<Cgroup> at(const std::string& path);
  // Every directory whose last component is `leaf` or, when that has 12 characters or more,
  // contains it ("docker-ID.scope"); kHost when there is none. Costs a walk of all hierarchies.
  static Result<Cgroup> find(const std::string& leaf);

  const std::vector<std::string>& directories() const { return directories_; }
  bool exists() const;  // in any hierarchy
  // The id that BPF and the kernel use; nullopt without a v2 hierarchy or before it was made.
  std::optional<uint64_t> v2_id() const;
  std::vector<int> processes() const;  // of it and its descendants, as this pid namespace counts
  CgroupPeaks peaks() const;
  // True when the kernel's OOM killer took one of its processes.
  bool oom_killed() const;

  // SIGKILL for every process in it and below, again until none is left.
  Status kill(std::chrono::milliseconds limit) const;
  // Kills, then removes the directories, children first. Gone already is fine.
  Status remove(std::chrono::milliseconds limit) const;

 private:
  std::vector<std::string> directories_;
  std::string v2_directory_;  // one of directories_, or empty
};

}  // namespace pare::sys
