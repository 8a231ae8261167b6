#include "record/paths.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <thread>
#include <vector>

#include "base/text.h"

namespace pare::record {
namespace {

std::vector<std::string_view> components(std::string_view path) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at < path.size();) {
    size_t end = path.find('/', at);
    if (end == std::string_view::npos) end = path.size();
    std::string_view part = path.substr(at, end - at);
    if (!part.empty() && part != ".") parts.push_back(part);
    at = end + 1;
  }
  return parts;
}

std::string join(const std::vector<std::string_view>& parts) {
  if (parts.empty()) return "/";
  std::string path;
  for (std::string_view part : parts) {
    path += '/';
    path += part;
  }
  return path;
}

}  // namespace

std::string join_names(std::string_view names) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at < names.size();) {
    size_t end = names.find('\0', at);
    if (end == std::string_view::npos) end = names.size();
    parts.insert(parts.begin(), names.substr(at, end - at));
    at = end + 1;
  }
  return join(parts);
}

std::string join_request(const std::string& base, std::string_view request) {
  std::string whole = base + "/" + std::string(request);
  return join(components(whole));
}

std::string normal_path(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::string_view part : components(path)) {
    if (part != "..")
      parts.push_back(part);
    else if (!parts.empty())
      parts.pop_back();
  }
  return join(parts);
}

bool Resolver::adopt(int pid) {
  UniqueFd fd(open(fmt::format("/proc/{}/ns/mnt", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return false;
  namespace_ = std::move(fd);
  root_.reset();
  return true;
}

int Resolver::root() {
  if (root_.valid() || !namespace_.valid()) return root_.get();
  // setns(2) into a mount namespace needs a thread whose root and working directory are its own.
  std::thread([this] {
    if (unshare(CLONE_FS) != 0 || setns(namespace_.get(), CLONE_NEWNS) != 0) return;
    root_.reset(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }).join();
  return root_.get();
}

UniqueFd Resolver::find(const std::string& path, bool follow) {
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC | (follow ? 0U : static_cast<unsigned>(O_NOFOLLOW));
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(syscall(SYS_openat2, root(), path.c_str(), &how, sizeof(how))));
}

std::optional<std::string> Resolver::existing(const std::string& path, bool follow) {
  UniqueFd fd = find(path, follow);
  if (!fd.valid()) return std::nullopt;
  // Read from outside the namespace the link gives the path from that namespace's root (d_path(9)).
  char text[PATH_MAX];
  ssize_t n = readlink(fmt::format("/proc/self/fd/{}", fd.get()).c_str(), text, sizeof(text));
  if (n <= 0 || text[0] != '/') return std::nullopt;
  std::string found(text, static_cast<size_t>(n));
  // d_path(9) marks what was removed in the meantime; a file may be named so, too.
  constexpr std::string_view kGone = " (deleted)";
  if (base::ends_with(found, kGone) && !find(found, false).valid()) {
    found.resize(found.size() - kGone.size());
  }
  return found;
}

std::string Resolver::resolve(const std::string& path, bool follow) {
  if (root() < 0) {
    ++unresolved_;
    return normal_path(path);
  }
  if (follow || base::ends_with(path, "/..")) {
    if (auto found = existing(path, true)) return *found;
  }
  // The longest parent that exists, and the rest by its letters.
  for (size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0;
       slash = path.rfind('/', slash - 1)) {
    if (auto parent = existing(path.substr(0, slash), true))
      return normal_path(*parent + path.substr(slash));
  }
  return normal_path(path);
}

std::optional<std::pair<uint32_t, uint32_t>> Resolver::owner(const std::string& path) {
  if (root() < 0) return std::nullopt;
  for (std::string at = path;;) {
    UniqueFd fd = find(at, false);
    struct stat status;
    if (fd.valid() && fstatat(fd.get(), "", &status, AT_EMPTY_PATH) == 0)
      return std::make_pair(status.st_uid, status.st_gid);
    if (at.size() <= 1) return std::nullopt;
    at.resize(at.rfind('/'));
    if (at.empty()) at = "/";
  }
}

std::optional<uint64_t> Resolver::used_bytes(const std::string& path) {
  if (root() < 0) return std::nullopt;
  UniqueFd fd = find(path, true);
  struct statfs status;
  if (!fd.valid() || fstatfs(fd.get(), &status) != 0 || status.f_type != TMPFS_MAGIC)
    return std::nullopt;
  return (status.f_blocks - status.f_bfree) * static_cast<uint64_t>(status.f_bsize);
}

}  // namespace pare::record
