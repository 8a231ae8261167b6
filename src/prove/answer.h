// What the search found, before it is put into words.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "prove/ledger.h"
#include "prove/statistics.h"
#include "prove/universe.h"
#include "verdict/verdict.h"

namespace pare::prove {

// That a privilege is missed: trials that differ from a passing policy in nothing else.
struct Need {
  std::vector<int> trials;  // that failed
  bool shown = false;       // they are as many as the question asks for
  std::optional<verdict::Fix> fix;
};

struct Answer {
  std::optional<Choice> choice;  // passed at least once
  std::vector<int> passes;       // trials that passed under it
  // How full each writable path became: the confirmed policy's limits.
  std::map<std::string, uint64_t> peaks;
  bool recorded_whole = false;  // some warm run of the baseline, from its start and without loss
  bool confirmed = false;
  bool budget_ended = false;
  bool flaky = false;
  Tally baseline, policy;           // when flaky
  double worse_by = 1;              // when flaky: the bound of statistics.h
  std::map<Privilege, Need> needs;  // of what the choice grants, and of what a fix replaced
  std::vector<Privilege> doubtful;  // fixable or unneeded: the budget ended before that was known
  std::set<Privilege> pull_asked;   // judged for a cold start apart
  std::map<std::string, std::string>
      refusals;                // ways to refuse egress, and why they fail: "" passes
  std::optional<Choice> pull;  // passed from cold volumes
  std::map<Privilege, Need> pull_needs;
  std::vector<int> pull_passes;
};

// The policy of the answer's choice, its writable paths limited by the peaks.
privilege::Policy policy_of(const Universe& universe, const Answer& answer);

// Whether a flaky policy counts as no worse than its flaky baseline.
bool no_worse(double worse_by);

// Verdicts, policy, findings and whether it is minimal.
void put_into_words(const Universe& universe, const Ledger& ledger, const Answer& answer,
                    verdict::Proof& proof);

}  // namespace pare::prove
