// Checks that pass under the policy, and take longer.
#pragma once

#include <string>
#include <vector>

#include "prove/answer.h"
#include "prove/search.h"

namespace pare::prove {

// A check that takes longer in every run of the policy than in any of the baseline, in seconds.
struct Slow {
  std::string check;
  double seconds = 0, unchanged = 0;
};
std::vector<Slow> slow_checks(const Ledger& ledger, const Answer& answer);

// Which of what was used and is no longer granted makes it slow: taken from the whole, alone.
Step<void> explain_slowness(const Universe& universe, const Ledger& ledger, Search& search,
                            Answer& answer);

}  // namespace pare::prove
