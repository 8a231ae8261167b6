#include "sys/rootfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "sys/path.h"

namespace pare::sys {

namespace {

UniqueFd open_beneath(int directory, const char* path, int flags, uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = resolve;
  long fd = -1;
  // EAGAIN: a rename elsewhere raced with the walk (openat2(2)).
  for (int tries = 0; tries < 100; ++tries) {
    fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return UniqueFd(static_cast<int>(fd));
}

// A container may have nested directories deeper than this process may open files: what lies
// deeper than kDepth is renamed into the top directory and removed from there.
class TreeRemover {
 public:
  // Removes `name`, file or tree, from the directory `parent`; `path` is its name in errors.
  Status remove(int parent, const std::string& name, const std::string& path) {
    if (unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return fail_errno("cannot remove " + path, errno);
    // NO_XDEV refuses mount points, those of bind mounts too (openat2(2)).
    UniqueFd child = open_beneath(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                                  RESOLVE_NO_XDEV | RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (!child.valid()) return fail_errno("cannot remove " + path, errno);
    bool is_top = top_ < 0;
    if (is_top) top_ = child.get();
    if (depth_ > kDepth) {
      std::string moved = ".pare-deep-" + std::to_string(moves_++);
      if (renameat(parent, name.c_str(), top_, moved.c_str()) == 0) return {};
      return fail_errno("cannot remove " + path, errno);
    }
    ++depth_;
    int moves_before = -1;
    while (moves_before != moves_) {  // more came up from the deep
      moves_before = moves_;
      PARE_CHECK_OK(empty(child.get(), path));
      if (!is_top) break;
    }
    --depth_;
    if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    return fail_errno("cannot remove " + path, errno);
  }

 private:
  static constexpr int kDepth = 100;

  Status empty(int fd, const std::string& path) {
    int listed = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    std::unique_ptr<DIR, int (*)(DIR*)> dir(listed < 0 ? nullptr : fdopendir(listed), closedir);
    if (!dir) return fail_errno("cannot list " + path, errno);
    while (const dirent* entry = readdir(dir.get())) {
      std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      PARE_CHECK_OK(remove(fd, name, join_path(path, name)));
    }
    return {};
  }

  int top_ = -1;
  int depth_ = 0;
  int moves_ = 0;
};

Status check_executable(const std::string& root, const std::string& path) {
  PARE_TRY(UniqueFd fd, open_in_root(root, path, O_PATH));
  struct stat st {};
  if (fstat(fd.get(), &st) != 0) return fail_errno("cannot look at " + path, errno);
  if (S_ISDIR(st.st_mode)) {
    return fail(ErrorKind::kUsage, "command " + path + " is a directory in " + root, EACCES);
  }
  if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0) {
    return fail(ErrorKind::kUsage, "command " + path + " in " + root + " is not executable",
                EACCES);
  }
  return {};
}

}  // namespace

Result<UniqueFd> open_in_root(const std::string& root, const std::string& path, int flags) {
  UniqueFd directory(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return fail_errno("cannot open root file system " + root, errno);
  UniqueFd fd = open_beneath(directory.get(), path.c_str(), flags, RESOLVE_IN_ROOT);
  if (fd.valid()) return fd;
  int err = errno;
  if (err == ENOENT || err == ENOTDIR) {
    return fail(ErrorKind::kUsage, path + " does not exist in " + root, err);
  }
  return fail_errno("cannot open " + path + " in " + root, err);
}

Result<std::string> read_in_root(const std::string& root, const std::string& path) {
  PARE_TRY(UniqueFd fd, open_in_root(root, path, O_RDONLY | O_NONBLOCK));
  struct stat st {};
  if (fstat(fd.get(), &st) != 0) return fail_errno("cannot read " + path, errno);
  if (!S_ISREG(st.st_mode)) {
    return fail(ErrorKind::kUsage, path + " in " + root + " is not a regular file");
  }
  return base::read_all(fd.get(), join_path(root, path));
}

Result<std::string> find_program_in_root(const std::string& root, const std::string& name,
                                         const std::string& cwd, const std::string& path_variable) {
  if (name.find('/') != std::string::npos) {
    std::string path = name[0] == '/' ? name : cwd + "/" + name;
    PARE_CHECK_OK(check_executable(root, path));
    return path;
  }
  for (const std::string& directory : base::split(path_variable, ':')) {
    std::string path = (directory.empty() ? cwd : directory) + "/" + name;
    if (check_executable(root, path)) return path;
  }
  return fail(ErrorKind::kUsage,
              "command '" + name + "' is not in " + root + " (searched " + path_variable + ")",
              ENOENT);
}

Status remove_tree(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash + 1 == path.size()) {
    return fail(ErrorKind::kUsage, "cannot remove '" + path + "': not an absolute path");
  }
  std::string parent = path.substr(0, slash + 1), name = path.substr(slash + 1);
  UniqueFd fd(open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) return {};
  if (!fd.valid()) return fail_errno("cannot remove " + path, errno);
  return TreeRemover().remove(fd.get(), name, path);
}

}  // namespace pare::sys
