// What a person reads when a proof is done.
#pragma once

#include <string>
#include <vector>

#include "verdict/verdict.h"

namespace pare::report {

struct SummaryOptions {
  bool colour = false;
  int width = 100;                 // columns
  std::string directory;           // where the proof was written
  std::vector<std::string> files;  // in it
};

// The table of verdicts, what an attacker just lost, what was not shown, the files, and the next
// command to type.
std::string summary(const verdict::Proof& proof, const SummaryOptions& options);

}  // namespace pare::report
