#include "prove/plan.h"

#include <algorithm>
#include <bit>

namespace pare::prove {

namespace {

// To find one needed privilege among n by bisection, to show by two trials that it is needed, and
// to try a fix.
int starts_for_one(size_t n) {
  return static_cast<int>(std::bit_width(n)) + 3;
}

}  // namespace

Result<Plan> plan(const Question& question, TrialRunner& runner, const Observer& observer) {
  Question baseline = question;
  baseline.options.baseline_only = true;
  Plan plan;
  Observer watching = observer;
  watching.after = [&](const Request& request, const Outcome& outcome) {
    if (outcome.evidence) {
      plan.memory_bytes = std::max(plan.memory_bytes, outcome.evidence->peaks.memory_bytes);
    }
    if (observer.after) observer.after(request, outcome);
  };
  PARE_TRY(verdict::Proof proof, prove(baseline, runner, watching));
  double seconds = 0;
  for (const verdict::TrialEntry& trial : proof.trials) seconds += trial.seconds;
  seconds /= static_cast<double>(std::max<size_t>(1, proof.trials.size()));
  size_t asked = 0;
  int used = 0;
  for (const verdict::Verdict& verdict : proof.verdicts) {
    asked += verdict.asked ? 1 : 0;
    // Ports and endpoints are decided without a trial of their own.
    bool warm = verdict.privilege.axis == privilege::Axis::kPort ||
                verdict.privilege.axis == privilege::Axis::kEndpoint;
    used += verdict.used && !warm ? 1 : 0;
  }
  // Everything away, then confirmations with one restart.
  plan.starts_expected = 1 + question.options.repeat;
  plan.starts_at_most = plan.starts_expected + used * starts_for_one(asked);
  plan.seconds_expected = plan.starts_expected * seconds;
  plan.seconds_at_most = plan.starts_at_most * seconds;
  return plan;
}

}  // namespace pare::prove
