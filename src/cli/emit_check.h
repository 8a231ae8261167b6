// pare emit --check: files that were emitted once, as they are now.
#pragma once

#include <string>

#include "emit/emit.h"
#include "verdict/verdict.h"

namespace pare::cli {

// 0 where the files in `directory` grant what the proof needs, 1 where they drifted.
Result<int> check_emitted(const verdict::Proof& proof, const std::string& to,
                          const emit::Options& options, const std::string& directory, bool json);

}  // namespace pare::cli
