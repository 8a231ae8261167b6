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

// A check that passes without the privilege, and takes longer.
struct SlowWithout {
  Privilege privilege;
  double times = 1;  // of what it takes unchanged
  int trial = 0;
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
  Tally baseline, policy;                           // when flaky
  double worse_by = 1;                              // when flaky: the bound of statistics.h
  std::vector<OpenEndpoint> endpoints;              // that answered in a baseline
  std::map<Privilege, Need> switched;               // endpoints that the server's own switch closed
  std::map<std::string, std::string> telemetry;     // hosts that a variable silences, and which
  int settings_trial = 0;                           // that showed both; 0: nothing was adopted
  std::map<std::string, SlowWithout> slow_without;  // by check
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
