#include "record/peaks.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace pare::record {
namespace {

uint64_t open_files(int pid) {
  std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(fmt::format("/proc/{}/fd", pid).c_str()),
                                                closedir);
  uint64_t count = 0;
  while (directory && readdir(directory.get()) != nullptr) ++count;
  return count > 2 ? count - 2 : 0;  // "." and ".."
}

}  // namespace

void PeakSampler::watch(const std::string& path) {
  if (auto cgroup = sys::Cgroup::at(path)) cgroup_ = std::move(*cgroup);
}

void PeakSampler::sample(std::optional<uint64_t> shm_bytes) {
  if (!cgroup_) return;
  auto raise = [](uint64_t& peak, uint64_t value) { peak = std::max(peak, value); };
  const sys::CgroupPeaks now = cgroup_->peaks();
  raise(peaks_.tasks, now.tasks.value_or(0));
  raise(peaks_.memory_bytes, now.memory_bytes.value_or(0));
  raise(peaks_.shm_bytes, shm_bytes.value_or(0));
  uint64_t files = 0;
  for (int pid : cgroup_->processes()) files += open_files(pid);
  raise(peaks_.open_files, files);
}

}  // namespace pare::record
