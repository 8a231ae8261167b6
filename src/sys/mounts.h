// Mounts that are undone when their owner goes (mount(2), overlayfs.rst of the kernel).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pare::sys {

struct OverlayLayers {
  std::vector<std::string> lower;  // top first; never written
  std::string upper;  // empty: a read-only overlay (needs two lower directories at least)
  std::string work;   // empty directory on upper's file system
  // Skips every sync to disk (overlayfs.rst, "Volatile mount"; kernel 5.10): for an upper that
  // nobody mounts again.
  bool throw_away = false;
  // A change of owner or mode copies no data (overlayfs.rst, "Metadata only copy up"; kernel 4.19).
  bool metadata_only = false;
};

// One mount point; unmounted by the destructor.
class Mount {
 public:
  // Mounts at the existing directory `target`.
  static Result<Mount> overlay(const OverlayLayers& layers, const std::string& target);
  // A bind mount of a directory or file; with `read_only` the mount refuses writes.
  static Result<Mount> bind(const std::string& source, const std::string& target, bool read_only);

  // A new, empty tmpfs of at most `bytes`, mode 0700.
  static Result<Mount> tmpfs(const std::string& target, uint64_t bytes);

  Mount() = default;
  Mount(Mount&& other) noexcept;
  Mount& operator=(Mount&& other) noexcept;
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  ~Mount();

  const std::string& path() const { return path_; }  // empty: nothing is mounted
  // Detached from the tree at once; the kernel drops it with its last user (MNT_DETACH).
  Status unmount();

 private:
  explicit Mount(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// Mount points at and below `directory` (its real path), the deepest and latest first.
Result<std::vector<std::string>> mounts_below(const std::string& directory);
// The same of a given mountinfo text (proc(5)), escapes undone.
std::vector<std::string> mounts_below(std::string_view mountinfo, const std::string& directory);

// Unmounts them all, also those stacked on one another. A directory that does not exist is fine.
Status unmount_below(const std::string& directory);

// Unmounts every mount point that has a component containing `marker`, which must be unmistakable
// (a session's id): where a dead owner's directories were is then of no matter.
Status unmount_marked(const std::string& marker);

}  // namespace pare::sys
