// What a file that stands has to say so that it grants the proof's policy, for whoever edits its
// text.
#pragma once

#include <string>

#include "emit/emit.h"

namespace pare::emit {

// One YAML document. kubernetes: a strategic merge patch of a workload with a Pod template (lists
// by name or mountPath, null takes away). compose: the same for a compose file with one service.
// kUsage for other emitters, and as emit() for proofs that cannot be emitted.
Result<std::string> merge_patch(const verdict::Proof& proof, const std::string& to,
                                const Options& options);

}  // namespace pare::emit
