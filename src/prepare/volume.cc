#include "prepare/volume.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"

namespace pare::prepare {

namespace {

constexpr int kAlways = O_NOFOLLOW | O_CLOEXEC;

int open_beneath(int at, const char* path, int flags, unsigned mode) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags);
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
  int fd = -1;
  do {  // EAGAIN: a rename elsewhere; openat2(2) says to try again
    fd = static_cast<int>(syscall(SYS_openat2, at, path, &how, sizeof how));
  } while (fd < 0 && (errno == EAGAIN || errno == EINTR));
  return fd;
}

// The mount's id (kernel 5.8), or else the device.
bool same_mount(int a, int b) {
  struct statx x {
  }, y{};
  if (statx(a, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &x) != 0 ||
      statx(b, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &y) != 0) {
    return false;
  }
  bool device = x.stx_dev_major == y.stx_dev_major && x.stx_dev_minor == y.stx_dev_minor;
  if ((x.stx_mask & y.stx_mask & STATX_MNT_ID) == 0) return device;
  return device && x.stx_mnt_id == y.stx_mnt_id;
}

}  // namespace

Result<Volume> Volume::open(const std::string& path, Lookup lookup) {
  UniqueFd root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) {
    int err = errno;
    if (err == ENOENT || err == ENOTDIR) {
      return fail(ErrorKind::kUsage, "volume " + path + " is not a directory", err);
    }
    return fail_errno("cannot open volume " + path, err);
  }
  if (lookup == Lookup::kBest) {
    UniqueFd probe(open_beneath(root.get(), ".", O_PATH | O_CLOEXEC, 0));
    if (!probe.valid() && (errno == ENOSYS || errno == EPERM)) lookup = Lookup::kComponents;
  }
  return Volume(path, std::move(root), lookup);
}

// Each component is opened without following links and has to be in the same mount as the one
// before; only the last gets the caller's flags.
int Volume::by_components(int at, const std::string& path, int flags, unsigned mode) const {
  std::vector<std::string> parts = base::split(path, '/');
  UniqueFd here;
  int current = at;
  for (size_t i = 0; i < parts.size(); ++i) {
    bool last = i + 1 == parts.size();
    if (parts[i] == "..") return errno = EXDEV, -1;
    int how = last ? flags | kAlways : O_PATH | O_DIRECTORY | kAlways;
    UniqueFd next(openat(current, parts[i].c_str(), how, mode));
    if (!next.valid()) return -1;
    if (!same_mount(current, next.get())) return errno = EXDEV, -1;
    here = std::move(next);
    current = here.get();
  }
  return here.release();
}

Result<UniqueFd> Volume::open_at(int at, const std::string& path, int flags, unsigned mode) const {
  int fd = lookup_ == Lookup::kBest ? open_beneath(at, path.c_str(), flags | kAlways, mode)
                                    : by_components(at, path, flags, mode);
  if (fd < 0) return refusal(path, errno);
  return UniqueFd(fd);
}

tl::unexpected<Error> refusal(const std::string& path, int err) {
  switch (err) {
    case ELOOP:
      return fail(ErrorKind::kHost, path + " is or leads through a symbolic link", err);
    case EXDEV:
      return fail(ErrorKind::kHost,
                  path + " is another mount or leads out of the volume: prepare it by itself", err);
    case EACCES:
      return fail(ErrorKind::kHost,
                  path +
                      ": only its owner may read or change this: set 'foreign: true' (keeps "
                      "CAP_DAC_OVERRIDE) if it is to be done nevertheless",
                  err);
    default:
      return fail_errno(path, err);
  }
}

Result<struct statx> look(int fd, const char* name) {
  struct statx st {};
  int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name == '\0' ? AT_EMPTY_PATH : 0);
  if (statx(fd, name, flags, STATX_BASIC_STATS | STATX_MNT_ID, &st) != 0) {
    return refusal(name, errno);
  }
  return st;
}

}  // namespace pare::prepare
