// One line a trial, for the terminal.
#pragma once

#include <cstdint>
#include <string>

#include "verdict/verdict.h"

namespace pare::report {

struct Style {
  bool colour = false;
  int width = 100;  // columns; longer lines are cut with "..."
};

// "trial 3 all-away"
std::string trial_begin(int id, const std::string& kind);
// "trial 3 all-away: without 14 capabilities, user/root -> pass (1.2 s)"; a failure says why.
std::string trial_line(const verdict::TrialEntry& trial, const Style& style);
// What --plan prints.
std::string plan_text(int starts_expected, int starts_at_most, double seconds_expected,
                      double seconds_at_most, uint64_t memory_bytes);

}  // namespace pare::report
