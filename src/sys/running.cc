#include "sys/running.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "sys/cgroup.h"

namespace pare::sys {

namespace fs = std::filesystem;

namespace {

constexpr size_t kWholeId = 64;

bool is_whole_id(std::string_view text) {
  return text.size() == kWholeId &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

Result<std::string> v2_mount() {
  PARE_TRY(auto hierarchies, cgroup_hierarchies());
  for (const CgroupHierarchy& hierarchy : hierarchies)
    if (hierarchy.v2) return hierarchy.mount;
  return fail(ErrorKind::kHost,
              "no cgroup v2 hierarchy is mounted: mount cgroup2 at /sys/fs/cgroup/unified");
}

std::vector<std::string> directories(const std::string& directory) {
  std::vector<std::string> all = {directory};
  std::error_code error;
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string parent = all[i];
    for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error))
      if (std::error_code ignored; it->is_directory(ignored) && !it->is_symlink(ignored))
        all.push_back(it->path());
  }
  return all;
}

Result<std::string> cgroup_of(int pid) {
  const std::string file = "/proc/" + std::to_string(pid) + "/cgroup";
  auto text = base::read_file(file);
  if (!text) {
    return fail(ErrorKind::kUsage,
                "there is no process " + std::to_string(pid) + " here: name one that runs");
  }
  for (const std::string& line : base::split(*text, '\n'))
    if (base::starts_with(line, "0::/")) return line.substr(3);
  return fail(ErrorKind::kHost, file + " names no cgroup2: mount that hierarchy");
}

bool is_container_directory(std::string_view name, std::string_view id) {
  if (name == id) return true;
  constexpr std::string_view kScope = ".scope";
  const bool scope = base::ends_with(name, kScope);
  if (scope) {
    name.remove_suffix(kScope.size());
    // Podman's and CRI-O's monitors have a scope of their own beside the container's.
    if (name.find("-conmon-") != std::string_view::npos) return false;
    if (name == id) return true;
    if (size_t dash = name.rfind('-'); dash != std::string_view::npos) {
      if (base::ends_with(name, "-" + std::string(id))) return true;
      name.remove_prefix(dash + 1);
    }
  }
  return is_whole_id(name) && base::starts_with(name, id);
}

Result<std::vector<std::string>> container_cgroups(const std::string& id) {
  if (id.empty()) return fail(ErrorKind::kUsage, "a container's id is not empty");
  PARE_TRY(std::string mount, v2_mount());
  std::vector<std::string> found;
  for (const std::string& directory : directories(mount)) {
    const std::string path = directory.substr(mount.size());
    auto inside = [&](const std::string& outer) { return base::starts_with(path, outer + "/"); };
    if (std::any_of(found.begin(), found.end(), inside)) continue;
    if (is_container_directory(path.substr(path.rfind('/') + 1), id)) found.push_back(path);
  }
  return found;
}

Result<std::string> container_cgroup(const std::string& id) {
  PARE_TRY(const std::vector<std::string> found, container_cgroups(id));
  if (found.size() == 1) return found[0];
  if (found.empty()) {
    return fail(ErrorKind::kUsage,
                "no container '" + id + "' runs here: give its id (docker ps, runc list) or --pid");
  }
  return fail(ErrorKind::kUsage, "'" + id + "' is the beginning of several containers' ids (" +
                                     base::join(found, ", ") + "): give more of it");
}

Result<std::vector<uint64_t>> cgroup_ids(const std::string& path) {
  PARE_TRY(std::string mount, v2_mount());
  std::vector<uint64_t> ids;
  for (const std::string& directory : directories(mount + path)) {
    // kernfs: the inode number is the node's id (67c0496e87d1, Linux 5.5).
    struct stat st {};
    if (stat(directory.c_str(), &st) == 0) ids.push_back(st.st_ino);
    if (ids.empty()) break;
  }
  if (ids.empty()) return fail(ErrorKind::kUsage, "the cgroup " + path + " is gone: it has ended");
  return ids;
}

}  // namespace pare::sys
