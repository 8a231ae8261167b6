// pare emit --patch: the proof's policy laid over a file that stands, its comments and order kept.
#pragma once

#include <string>

#include "emit/emit.h"
#include "verdict/verdict.h"

namespace pare::cli {

// The text of `file` with the policy in it. options.workload and .container choose the workload
// (compose: the service); where they are empty the file has to hold one. kUsage names the choices,
// kUnread the place (FILE:LINE) that cannot be edited safely.
Result<std::string> patched_file(const verdict::Proof& proof, const std::string& to,
                                 emit::Options options, const std::string& file);

}  // namespace pare::cli
