#include "sys/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "sys/deadline.h"
#include "sys/path.h"

namespace pare::sys {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

// Names of the directories in `directory`; empty when it is gone.
std::vector<std::string> subdirectories(const std::string& directory) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  if (!dir) return names;
  while (const dirent* entry = readdir(dir.get())) {
    std::string name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.push_back(name);
  }
  return names;
}

// `directory` and everything below it, parents first.
std::vector<std::string> tree(const std::string& directory) {
  std::vector<std::string> all;
  struct stat st {};
  if (stat(directory.c_str(), &st) != 0) return all;
  all.push_back(directory);
  for (size_t i = 0; i < all.size(); ++i) {
    std::string parent = all[i];
    for (const std::string& name : subdirectories(parent)) all.push_back(join_path(parent, name));
  }
  return all;
}

std::optional<uint64_t> read_number(const std::string& path) {
  auto text = base::read_file(path);
  if (!text) return std::nullopt;
  return base::parse_u64(base::trim(*text));
}

// The number after `key` in a file of "key number" lines.
uint64_t read_keyed(const std::string& path, std::string_view key) {
  auto text = base::read_file(path);
  if (!text) return 0;
  for (const std::string& line : base::split(*text, '\n')) {
    std::vector<std::string> words = base::split(line, ' ');
    if (words.size() == 2 && words[0] == key) return base::parse_u64(words[1]).value_or(0);
  }
  return 0;
}

// Part of a name counts only where it cannot be one by chance: what is found may be killed.
bool matches(const std::string& name, const std::string& leaf) {
  constexpr size_t kUnmistakable = 12;  // Docker's short id
  return name == leaf || (leaf.size() >= kUnmistakable && name.find(leaf) != std::string::npos);
}

bool write_once(const std::string& path, std::string_view text) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd.valid() &&
         write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace

std::string_view to_string(CgroupMode mode) {
  switch (mode) {
    case CgroupMode::kUnified:
      return "v2";
    case CgroupMode::kHybrid:
      return "hybrid";
    case CgroupMode::kLegacy:
      return "v1";
  }
  return "v1";
}

std::vector<CgroupHierarchy> cgroup_hierarchies(std::string_view mountinfo) {
  std::vector<CgroupHierarchy> found;
  std::set<std::string> seen;  // device numbers: one hierarchy may be mounted in several places
  for (const std::string& line : base::split(mountinfo, '\n')) {
    // 36 31 0:31 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids
    size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::vector<std::string> left = base::split(line.substr(0, dash), ' ');
    std::vector<std::string> right = base::split(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    bool v2 = right[0] == "cgroup2";
    if (!v2 && right[0] != "cgroup") continue;
    // A root other than "/" is a container's own part, bound somewhere.
    if (left[3] != "/" || !seen.insert(left[2]).second) continue;
    CgroupHierarchy hierarchy{left[4], v2, {}};
    for (const std::string& option : base::split(right[2], ',')) {
      if (!v2 && option != "rw" && option != "ro") hierarchy.controllers.push_back(option);
    }
    found.push_back(hierarchy);
  }
  return found;
}

Result<std::vector<CgroupHierarchy>> cgroup_hierarchies() {
  PARE_TRY(std::string mountinfo, base::read_file("/proc/self/mountinfo"));
  std::vector<CgroupHierarchy> found = cgroup_hierarchies(mountinfo);
  if (found.empty()) {
    return fail(ErrorKind::kHost,
                "no cgroup hierarchy is mounted: mount cgroup2 at /sys/fs/cgroup");
  }
  return found;
}

Result<CgroupMode> cgroup_mode() {
  PARE_TRY(auto hierarchies, cgroup_hierarchies());
  auto v2 = [](const CgroupHierarchy& h) { return h.v2; };
  if (std::all_of(hierarchies.begin(), hierarchies.end(), v2)) return CgroupMode::kUnified;
  bool any = std::any_of(hierarchies.begin(), hierarchies.end(), v2);
  return any ? CgroupMode::kHybrid : CgroupMode::kLegacy;
}

Result<Cgroup> Cgroup::at(const std::string& path) {
  PARE_TRY(auto hierarchies, cgroup_hierarchies());
  Cgroup cgroup;
  for (const CgroupHierarchy& hierarchy : hierarchies) {
    cgroup.directories_.push_back(hierarchy.mount + path);
    if (hierarchy.v2) cgroup.v2_directory_ = cgroup.directories_.back();
  }
  return cgroup;
}

Result<Cgroup> Cgroup::find(const std::string& leaf) {
  PARE_TRY(auto hierarchies, cgroup_hierarchies());
  Cgroup cgroup;
  for (const CgroupHierarchy& hierarchy : hierarchies) {
    for (const std::string& directory : tree(hierarchy.mount)) {
      if (directory == hierarchy.mount) continue;
      std::string name = directory.substr(directory.rfind('/') + 1);
      if (!matches(name, leaf)) continue;
      cgroup.directories_.push_back(directory);
      if (hierarchy.v2) cgroup.v2_directory_ = directory;
    }
  }
  if (cgroup.directories_.empty()) {
    return fail(ErrorKind::kHost, "no cgroup named '" + leaf + "' exists");
  }
  return cgroup;
}

bool Cgroup::exists() const {
  return std::any_of(directories_.begin(), directories_.end(), [](const std::string& directory) {
    return access(directory.c_str(), F_OK) == 0;
  });
}

std::optional<uint64_t> Cgroup::v2_id() const {
  // kernfs: the inode number is the node's id (64-bit; kernel 5.5, 67c0496e87d1).
  struct stat st {};
  if (v2_directory_.empty() || stat(v2_directory_.c_str(), &st) != 0) return std::nullopt;
  return st.st_ino;
}

std::vector<int> Cgroup::processes() const {
  std::set<int> pids;
  for (const std::string& root : directories_) {
    for (const std::string& directory : tree(root)) {
      auto text = base::read_file(directory + "/cgroup.procs");
      if (!text) continue;
      for (const std::string& line : base::split(*text, '\n')) {
        // 0: a process outside this pid namespace, which nobody here can signal.
        if (auto pid = base::parse_u64(line); pid && *pid != 0) pids.insert(static_cast<int>(*pid));
      }
    }
  }
  return {pids.begin(), pids.end()};
}

CgroupPeaks Cgroup::peaks() const {
  CgroupPeaks peaks;
  for (const std::string& directory : directories_) {
    if (!peaks.tasks) peaks.tasks = read_number(directory + "/pids.peak");
    for (const char* name : {"/memory.peak", "/memory.max_usage_in_bytes"}) {
      if (!peaks.memory_bytes) peaks.memory_bytes = read_number(directory + name);
    }
  }
  return peaks;
}

bool Cgroup::oom_killed() const {
  return std::any_of(directories_.begin(), directories_.end(), [](const std::string& directory) {
    return read_keyed(directory + "/memory.events", "oom_kill") > 0 ||
           read_keyed(directory + "/memory.oom_control", "oom_kill") > 0;
  });
}

Status Cgroup::kill(milliseconds limit) const {
  Deadline deadline(limit);
  while (true) {
    // cgroup.kill (5.14) takes the whole subtree at once, forks in flight included.
    if (!v2_directory_.empty()) write_once(v2_directory_ + "/cgroup.kill", "1");
    std::vector<int> left = processes();
    if (left.empty()) return {};
    for (int pid : left) ::kill(pid, SIGKILL);
    if (!deadline.sleep(microseconds(500))) {
      return fail(ErrorKind::kHost, "process " + std::to_string(left.front()) + " in cgroup " +
                                        directories_.front() + " does not die on SIGKILL");
    }
  }
}

Status Cgroup::remove(milliseconds limit) const {
  Deadline deadline(limit);
  PARE_CHECK_OK(kill(limit));
  for (const std::string& root : directories_) {
    std::vector<std::string> directories = tree(root);
    std::reverse(directories.begin(), directories.end());
    for (const std::string& directory : directories) {
      // EBUSY: a killed process is still on its way out of the cgroup.
      while (rmdir(directory.c_str()) != 0 && errno != ENOENT) {
        int err = errno;
        if (err != EBUSY || !deadline.sleep(microseconds(500))) {
          return fail_errno("cannot remove cgroup " + directory, err);
        }
      }
    }
  }
  return {};
}

}  // namespace pare::sys
