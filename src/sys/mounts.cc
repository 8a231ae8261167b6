#include "sys/mounts.h"

#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <utility>

#include "base/file.h"
#include "base/text.h"

namespace pare::sys {

namespace {

// Separators inside a path, as overlayfs reads them back (ovl_next_opt, ovl_split_lowerdirs).
std::string escape_layer(const std::string& path) {
  std::string out;
  for (char c : path) {
    if (c == '\\' || c == ',' || c == ':') out += '\\';
    out += c;
  }
  return out;
}

// "\040" and its like (proc(5), mangle_path of fs/seq_file.c).
std::string unescape_octal(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      int value = 0;
      for (size_t k = 1; k <= 3; ++k) value = value * 8 + (text[i + k] - '0');
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

Result<std::string> real_path(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return fail_errno("cannot resolve " + path, errno);
  std::string out = resolved;
  free(resolved);
  return out;
}

std::string overlay_advice(int err) {
  if (err != EINVAL) return "";
  return " (its upper directory must be on a disk file system such as ext4 or xfs, not on "
         "another overlay)";
}

}  // namespace

Result<Mount> Mount::overlay(const OverlayLayers& layers, const std::string& target) {
  std::vector<std::string> lower;
  for (const std::string& layer : layers.lower) lower.push_back(escape_layer(layer));
  std::string options = "lowerdir=" + base::join(lower, ":");
  if (!layers.upper.empty()) {
    options += ",upperdir=" + escape_layer(layers.upper) + ",workdir=" + escape_layer(layers.work);
  }
  if (layers.throw_away) options += ",volatile";
  if (layers.metadata_only) options += ",metacopy=on";
  // mount(2) takes one page of options and cuts the rest off in silence.
  if (options.size() >= static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
    return fail(ErrorKind::kHost, "cannot mount an overlay at " + target +
                                      ": the paths of its layers are longer than one page");
  }
  if (mount("overlay", target.c_str(), "overlay", 0, options.c_str()) != 0) {
    int err = errno;
    return fail_errno(
        "cannot mount an overlay of " + layers.lower.back() + " at " + target + overlay_advice(err),
        err);
  }
  return Mount(target);
}

Result<Mount> Mount::bind(const std::string& source, const std::string& target, bool read_only) {
  if (mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return fail_errno("cannot bind " + source + " at " + target, errno);
  }
  Mount made(target);
  // MS_RDONLY is ignored by the call that binds; only a remount sets it (mount(2)).
  if (read_only &&
      mount(nullptr, target.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
    return fail_errno("cannot make " + target + " read-only", errno);
  }
  return made;
}

Result<Mount> Mount::tmpfs(const std::string& target, uint64_t bytes) {
  std::string options = "mode=0700,size=" + std::to_string(bytes);
  if (mount("tmpfs", target.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return fail_errno("cannot mount a tmpfs at " + target, errno);
  }
  return Mount(target);
}

Mount::Mount(Mount&& other) noexcept : path_(std::exchange(other.path_, {})) {}

Mount& Mount::operator=(Mount&& other) noexcept {
  if (this != &other) {
    if (!path_.empty()) umount2(path_.c_str(), MNT_DETACH);
    path_ = std::exchange(other.path_, {});
  }
  return *this;
}

Mount::~Mount() {
  if (!path_.empty()) umount2(path_.c_str(), MNT_DETACH);
}

Status Mount::unmount() {
  std::string path = std::exchange(path_, {});
  if (path.empty() || umount2(path.c_str(), MNT_DETACH) == 0) return {};
  if (errno == EINVAL || errno == ENOENT) return {};  // not a mount point any more
  return fail_errno("cannot unmount " + path, errno);
}

namespace {

// The mount points of a mountinfo text that `wanted` takes, latest first: the kernel lists a mount
// after the one it stands on.
template <typename F>
std::vector<std::string> mount_points(std::string_view mountinfo, F&& wanted) {
  std::vector<std::string> found;
  for (const std::string& line : base::split(mountinfo, '\n')) {
    std::vector<std::string> fields = base::split(line, ' ');
    if (fields.size() < 5) continue;
    std::string point = unescape_octal(fields[4]);
    if (wanted(point)) found.push_back(point);
  }
  std::reverse(found.begin(), found.end());
  return found;
}

Status unmount_all(const std::vector<std::string>& points) {
  for (const std::string& point : points) {
    if (umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
        errno != ENOENT) {
      return fail_errno("cannot unmount " + point, errno);
    }
  }
  return {};
}

}  // namespace

std::vector<std::string> mounts_below(std::string_view mountinfo, const std::string& directory) {
  return mount_points(mountinfo, [&](const std::string& point) {
    return point == directory || base::starts_with(point, directory + "/");
  });
}

Result<std::vector<std::string>> mounts_below(const std::string& directory) {
  PARE_TRY(std::string real, real_path(directory));
  PARE_TRY(std::string mountinfo, base::read_file("/proc/self/mountinfo"));
  return mounts_below(mountinfo, real);
}

Status unmount_below(const std::string& directory) {
  if (access(directory.c_str(), F_OK) != 0 && errno == ENOENT) return {};
  PARE_TRY(auto points, mounts_below(directory));
  return unmount_all(points);
}

Status unmount_marked(const std::string& marker) {
  if (marker.size() < 8) return fail(ErrorKind::kUsage, "'" + marker + "' marks too many mounts");
  PARE_TRY(std::string mountinfo, base::read_file("/proc/self/mountinfo"));
  return unmount_all(mount_points(mountinfo, [&](const std::string& point) {
    return point.find(marker) != std::string::npos;
  }));
}

}  // namespace pare::sys
