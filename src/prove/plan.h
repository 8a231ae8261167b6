// What a proof would cost, from the baseline alone.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "prove/prover.h"

namespace pare::prove {

struct Plan {
  int starts_expected = 0;  // container starts, if nothing that the target used is needed
  int starts_at_most = 0;   // if everything that it used is needed
  double seconds_expected = 0;
  double seconds_at_most = 0;
  uint64_t memory_bytes = 0;  // of one container at its peak; 0 where it was not recorded
};

// Runs the baseline (two trials, up to four where events were lost) and nothing else. Their ids and
// requests are those of prove(), so that a proof which resumes in the same journal does not repeat
// them.
Result<Plan> plan(const Question& question, TrialRunner& runner, const Observer& observer = {});

}  // namespace pare::prove
