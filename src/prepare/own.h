// Ownership, modes and default ACLs, by descriptors.
#pragma once

#include <atomic>

#include "prepare/prepare.h"
#include "prepare/walk.h"

namespace pare::prepare {

struct Changes {
  std::atomic<uint64_t> made{0}, changed{0}, skipped{0};
};

// The directories of the specification, in its order; parents have to exist or come before.
Status make_directories(const Volume& volume, const Spec& spec, bool dry_run, Changes& changes);

// Everything in the volume belongs to spec.own. Regular files with several names, devices and
// mounts inside are refused; links are owned themselves, never followed.
Result<WalkResult> own_tree(const Volume& volume, const Spec& spec, unsigned threads, bool dry_run,
                            Changes& changes, std::atomic<uint64_t>& progress);

}  // namespace pare::prepare
