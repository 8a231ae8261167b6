// The init step: owns, creates and verifies a volume.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "prepare/spec.h"
#include "prepare/volume.h"

namespace pare::prepare {

struct Options {
  bool dry_run = false;  // says what would be done, changes nothing
  unsigned threads = 0;  // 0: default_threads()
  Lookup lookup = Lookup::kBest;
  // Called every 250 ms with the number of entries done so far; may be empty.
  std::function<void(uint64_t)> progress;
};

struct Report {
  uint64_t entries = 0;  // looked at, over all steps
  uint64_t made = 0;     // directories created
  uint64_t changed = 0;  // owners, modes and default ACLs that were not as specified
  uint64_t verified = 0, bytes = 0;
  uint64_t vanished = 0;             // removed by others meanwhile
  uint64_t skipped = 0;              // files with several names, where the specification says so
  std::string manifest_digest;       // of what was written or verified
  uint64_t refused = 0;              // 0: the volume is as specified
  std::vector<std::string> reasons;  // at most 20
  double seconds = 0;
};

// In the order: free space, directories, verification, new manifest, ownership (each only when what
// came before refused nothing). What is right already is not touched, so that an interrupted run
// goes on where it was. What stands in the way
// inside the volume is in `refused`; an Error is a volume or host that cannot be worked on.
Result<Report> prepare(const Spec& spec, const Options& options);

// One line for people; the reasons follow, a line each.
std::string summary(const Report& report, bool dry_run);
// One JSON object.
std::string to_json_text(const Report& report, bool dry_run);

}  // namespace pare::prepare
