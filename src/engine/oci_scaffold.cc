#include "engine/oci_scaffold.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <vector>

#include "base/text.h"
#include "base/unique_fd.h"
#include "sys/rootfs.h"

namespace pare::engine {

namespace {

// "/a//b/./c/.." -> {"a", "b"}
std::vector<std::string> components(const std::string& path) {
  std::vector<std::string> out;
  for (const std::string& part : base::split(path, '/')) {
    if (part == ".." && !out.empty()) out.pop_back();
    if (!part.empty() && part != "." && part != "..") out.push_back(part);
  }
  return out;
}

Result<std::string> path_of(int fd) {
  std::array<char, PATH_MAX> buffer{};
  std::string link = "/proc/self/fd/" + std::to_string(fd);
  ssize_t n = readlink(link.c_str(), buffer.data(), buffer.size());
  if (n < 0) return fail_errno("cannot read " + link, errno);
  return std::string(buffer.data(), static_cast<size_t>(n));
}

// Extended attributes, overlayfs's own apart; a file system that has none is fine.
void copy_attributes(const std::string& from, const std::string& to) {
  std::array<char, 65536> names{};
  ssize_t size = llistxattr(from.c_str(), names.data(), names.size());
  for (ssize_t at = 0; at < size;) {
    std::string name = names.data() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    if (base::starts_with(name, "trusted.overlay.")) continue;
    std::array<char, 65536> value{};
    ssize_t n = lgetxattr(from.c_str(), name.c_str(), value.data(), value.size());
    if (n >= 0) lsetxattr(to.c_str(), name.c_str(), value.data(), static_cast<size_t>(n), 0);
  }
}

// In an overlay the attributes of the topmost directory count.
Status mirror_directory(const std::string& from, const std::string& to) {
  struct stat st {};
  if (stat(from.c_str(), &st) != 0) return fail_errno("cannot look at " + from, errno);
  if (!S_ISDIR(st.st_mode)) {
    return fail(ErrorKind::kUsage,
                "cannot mount anything below " + from + ": it is not a directory");
  }
  if (mkdir(to.c_str(), 0700) != 0) {
    // Mirrored for an earlier mount point, and perhaps changed for it.
    return errno == EEXIST ? Status() : fail_errno("cannot create directory " + to, errno);
  }
  if (chown(to.c_str(), st.st_uid, st.st_gid) != 0 || chmod(to.c_str(), st.st_mode & 07777) != 0) {
    return fail_errno("cannot set the owner of " + to, errno);
  }
  copy_attributes(from, to);
  return {};
}

// What is made inside a directory changes its times; they are put right last, deepest first.
Status mirror_times(const std::string& from, const std::string& to) {
  struct stat st {};
  if (stat(from.c_str(), &st) != 0) return fail_errno("cannot look at " + from, errno);
  const timespec times[2] = {st.st_atim, st.st_mtim};
  if (utimensat(AT_FDCWD, to.c_str(), times, 0) == 0) return {};
  return fail_errno("cannot set the times of " + to, errno);
}

// With the mode that runc gives what it makes, whatever pare's umask is. What exists was made for
// an earlier mount point.
Status make_new(const std::string& path, PathKind kind) {
  bool made = false;
  if (kind == PathKind::kFile) {
    UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755));
    made = fd.valid();
  } else {
    made = mkdir(path.c_str(), 0755) == 0;
  }
  if (!made && errno == EEXIST) return {};
  if (made && chmod(path.c_str(), 0755) == 0) return {};
  return fail_errno("cannot create " + path, errno);
}

struct Deepest {
  size_t known = 0;                   // how many of the components exist
  std::vector<std::string> resolved;  // where they lead, links resolved
};

// The deepest ancestor of a path that exists, as a process inside the root would reach it.
Result<Deepest> deepest_existing(const std::string& root, const std::vector<std::string>& parts) {
  for (size_t known = parts.size();; --known) {
    std::string prefix = "/";
    for (size_t i = 0; i < known; ++i) prefix += (i == 0 ? "" : "/") + parts[i];
    auto fd = sys::open_in_root(root, prefix, O_PATH);
    if (!fd && known > 0 && fd.error().kind == ErrorKind::kUsage) continue;
    PARE_CHECK_OK(fd.map([](const UniqueFd&) {}));
    PARE_TRY(UniqueFd top, sys::open_in_root(root, "/", O_PATH));
    PARE_TRY(std::string top_path, path_of(top.get()));
    PARE_TRY(std::string full, path_of(fd->get()));
    return Deepest{known, components(full.substr(top_path == "/" ? 0 : top_path.size()))};
  }
}

}  // namespace

Status stand_in(const std::string& from, const std::string& to) {
  PARE_CHECK_OK(mirror_directory(from, to));
  return mirror_times(from, to);
}

Status scaffold(const std::string& root, const std::string& layer, const std::string& path,
                PathKind kind) {
  std::vector<std::string> parts = components(path);
  PARE_TRY(Deepest deepest, deepest_existing(root, parts));
  std::string from = root, to = layer;
  std::vector<std::pair<std::string, std::string>> mirrored = {{from, to}};
  for (const std::string& part : deepest.resolved) {
    from += "/" + part;
    to += "/" + part;
    mirrored.emplace_back(from, to);
  }
  if (deepest.known == parts.size()) {
    struct stat st {};
    bool directory = stat(from.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
    // A file in its place is the runtime's to refuse.
    if (kind != PathKind::kScratch || !directory) return {};
  }
  for (const auto& [original, copy] : mirrored) PARE_CHECK_OK(mirror_directory(original, copy));
  for (size_t i = deepest.known; i < parts.size(); ++i) {
    to += "/" + parts[i];
    PARE_CHECK_OK(make_new(to, i + 1 == parts.size() ? kind : PathKind::kDirectory));
  }
  if (kind == PathKind::kScratch && chmod(to.c_str(), 01777) != 0) {
    return fail_errno("cannot set the mode of " + to, errno);
  }
  for (auto it = mirrored.rbegin(); it != mirrored.rend(); ++it) {
    PARE_CHECK_OK(mirror_times(it->first, it->second));
  }
  return {};
}

}  // namespace pare::engine
