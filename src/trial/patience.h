// How long a trial may take until it is ready, by what the unchanged target took.
#pragma once

#include <chrono>
#include <optional>

#include "check/check.h"

namespace pare::trial {

// How the unchanged target got ready: the slowest of its starts so far.
class Slowest {
 public:
  // cold: it may have pulled, so it counts only until a warm start was seen.
  void note(bool cold, double seconds, double answering_seconds);

  // A withheld privilege may slow a start (time-outs, retries) without being needed, and a host may
  // be busier than it was: four times what was seen, and once more for each trial beside it, but
  // never less than 10 s (1 s of wrong answers) and never more than `most`. `most` where nothing
  // was seen yet.
  check::Patience patience(std::chrono::milliseconds most, int side_by_side) const;

 private:
  bool known_ = false, warm_ = false;
  double seconds_ = 0, answering_seconds_ = 0;
};

}  // namespace pare::trial
