// One volume, and the only way to anything in it: no look-up leaves it, follows a symbolic link or
// crosses into another mount (openat2(2): RESOLVE_BENEATH | NO_SYMLINKS | NO_XDEV), whatever other
// writers do meanwhile.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pare::prepare {

enum class Lookup {
  kBest,        // openat2, or kComponents on a kernel before 5.6
  kComponents,  // one openat(2) with O_NOFOLLOW a component, mounts told apart by statx(2)
};

class Volume {
 public:
  // The directory itself may be reached through links: whoever runs pare names it. kUsage when it
  // does not exist or is not a directory.
  static Result<Volume> open(const std::string& path, Lookup lookup = Lookup::kBest);

  const std::string& path() const { return path_; }
  int fd() const { return root_.get(); }

  // `path` relative to the descriptor `at` (a directory of this volume). O_NOFOLLOW and O_CLOEXEC
  // are implied. sys_errno tells a vanished file (ENOENT) from a link (ELOOP), a mount or a way
  // out (EXDEV) and a missing right (EACCES).
  Result<UniqueFd> open_at(int at, const std::string& path, int flags, unsigned mode = 0) const;

 private:
  Volume(std::string path, UniqueFd root, Lookup lookup)
      : path_(std::move(path)), root_(std::move(root)), lookup_(lookup) {}
  int by_components(int at, const std::string& path, int flags, unsigned mode) const;

  std::string path_;
  UniqueFd root_;
  Lookup lookup_;
};

// "PATH: why, and what helps" for the errno of an open_at().
tl::unexpected<Error> refusal(const std::string& path, int err);

// statx(2) of a descriptor (name empty) or of a name in it, links not followed: type, mode, owner,
// links, inode, device and mount.
Result<struct statx> look(int fd, const char* name);

}  // namespace pare::prepare
