// The search: which trial next, which verdicts follow. Pure.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "prove/runner.h"
#include "target/target.h"
#include "verdict/verdict.h"

namespace pare::prove {

struct Options {
  int repeat = 3;                         // confirmations in a row
  int max_trials = 0;                     // --budget TRIALS; 0: none
  std::chrono::milliseconds max_time{0};  // --budget TIME; 0: none
  bool recording = true;                  // false: --no-record
  bool one_by_one = false;                // one removal at a time, for comparison
  bool baseline_only = false;             // --plan: end as a used-up budget would
};

struct Question {
  target::Target target;  // resolved
  privilege::Platform platform;
  privilege::Policy asked;  // target::asked_policy
  Options options;
};

// Told of each trial for progress; may be empty.
struct Observer {
  std::function<void(const Request&)> before;
  std::function<void(const Request&, const Outcome&)> after;
};

// Fills verdicts, policy, trials, findings, confirmed, minimal of a Proof (host facts are the
// caller's). kBaseline when the unchanged target fails its checks.
Result<verdict::Proof> prove(const Question& question, TrialRunner& runner,
                             const Observer& observer = {});

}  // namespace pare::prove
