// Every entry of a volume once, on several threads, by descriptors alone.
#pragma once

#include <dirent.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "prepare/volume.h"

namespace pare::prepare {

// An open directory of the walk. Its own visit comes after those of all that is in it: an owner
// that it gets may keep the walker out.
struct Node {
  std::shared_ptr<Node> parent;  // null: the volume itself
  std::string name;
  UniqueFd fd;  // O_RDONLY

  std::string path() const;  // relative to the volume; "." is the volume itself
  std::string path_of(const std::string& entry) const;
};

struct Visitor {
  // Neither is called for "." and "..". Both may be called by several threads at once.
  std::function<Status(const Node& node, const std::string& name, unsigned char type)> entry;
  std::function<Status(const Node& node)> directory;
};

struct WalkResult {
  uint64_t entries = 0;   // directories among them
  uint64_t vanished = 0;  // removed by others while the walk went on
  // What a visit or the walk itself refused, at most kKept of `refused` with their reasons.
  static constexpr size_t kKept = 20;
  uint64_t refused = 0;
  std::vector<std::string> reasons;
};

// `batch`: how many entries of a directory a thread takes at once. An entry that cannot be visited
// is counted and the walk goes on; an Error is only that the volume itself cannot be read.
Result<WalkResult> walk(const Volume& volume, unsigned threads, size_t batch,
                        const Visitor& visitor, std::atomic<uint64_t>& progress);

// One for each processor that this process may use, at most 8.
unsigned default_threads();

}  // namespace pare::prepare
