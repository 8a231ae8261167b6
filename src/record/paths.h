// Paths as the workload saw them, made absolute and free of links inside the container's own
// mounts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pare::record {

// NUL-terminated names, from a file up to its root -> "/a/b"; "/" when there are none.
std::string join_names(std::string_view names);

// base (absolute) and a request relative to it (or absolute) -> one path, "." and "//" removed;
// ".." stays, because what it means depends on links.
std::string join_request(const std::string& base, std::string_view request);

// Like join_request's result with ".." taken by the letter.
std::string normal_path(std::string_view path);

// Looks paths up in the container's mount namespace, which it keeps alive while it is open.
class Resolver {
 public:
  // Takes the mount namespace of a process of the container, as it is at the first look-up after
  // this. False when the process is gone: then the last one adopted stays.
  bool adopt(int pid);
  // How often there was no namespace to look a path up in.
  uint64_t unresolved() const { return unresolved_; }

  // `path` absolute. Links on the way are resolved, the last one only if `follow`; what does not
  // exist (any more) keeps its name. Without a namespace: normal_path.
  std::string resolve(const std::string& path, bool follow);
  // Owner of the path (not of what it links to), or of its nearest existing parent.
  std::optional<std::pair<uint32_t, uint32_t>> owner(const std::string& path);

  // Bytes in use on the tmpfs at `path`; nullopt without one or without a namespace.
  std::optional<uint64_t> used_bytes(const std::string& path);

 private:
  int root();
  UniqueFd find(const std::string& path, bool follow);
  std::optional<std::string> existing(const std::string& path, bool follow);

  UniqueFd namespace_;
  UniqueFd root_;
  uint64_t unresolved_ = 0;
};

}  // namespace pare::record
