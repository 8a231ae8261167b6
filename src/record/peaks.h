// The most that the container's cgroup held, sampled while it exists.
#pragma once

#include <optional>
#include <string>

#include "evidence/evidence.h"
#include "sys/cgroup.h"

namespace pare::record {

class PeakSampler {
 public:
  // `path` as the kernel names it below the hierarchy's root; the last one given is sampled.
  void watch(const std::string& path);
  // `shm_bytes`: in use on the container's /dev/shm.
  void sample(std::optional<uint64_t> shm_bytes);
  const evidence::Peaks& peaks() const { return peaks_; }

 private:
  std::optional<sys::Cgroup> cgroup_;
  evidence::Peaks peaks_;
};

}  // namespace pare::record
