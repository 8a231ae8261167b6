// The mount points that a root file system lacks. runc would make them in the overlay's upper
// directory, where they would look like the server's own writes; here they go into a layer of
// their own, between the root file system and the upper directory.
#pragma once

#include <string>

#include "base/result.h"

namespace pare::engine {

// Makes the directory `to`, with the owner, mode, attributes and times of `from`.
Status stand_in(const std::string& from, const std::string& to);

enum class PathKind {
  kDirectory,
  kFile,
  kScratch,  // a directory of mode 1777, also where `root` has one: a tmpfs will cover it
};

// Makes `path` below `layer` if `root` lacks it, as it would resolve inside `root`, with the
// parents' owners, modes and attributes as `root` has them. What exists is left alone.
Status scaffold(const std::string& root, const std::string& layer, const std::string& path,
                PathKind kind);

}  // namespace pare::engine
