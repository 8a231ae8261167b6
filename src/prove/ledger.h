// Every trial that was run, by policy: nothing is asked twice, the budget is kept here, and a
// policy that both passed and failed is noticed here.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "prove/prover.h"
#include "verdict/verdict.h"

namespace pare::prove {

// Why a search ends before its answer.
struct Stop {
  enum class Why {
    kError,   // ours
    kBudget,  // --budget is used up
    kFlaky,   // the same policy passed and failed
  };
  Why why = Why::kError;
  Error error;
};
template <typename T>
using Step = tl::expected<T, Stop>;

struct Trial {
  int id = 0;
  bool pass = false;
  std::string failed;         // name of the first failed check
  std::string why;            // of its failure
  bool other_answer = false;  // every check passed, with another answer than the baseline's
};

// What is known of one policy in one manner of running it.
struct Record {
  privilege::Policy policy;
  bool cold = false;
  bool restart = false;
  std::vector<Trial> trials;

  bool is_of(const privilege::Policy& other, bool from_cold, bool with_restart) const {
    return cold == from_cold && restart == with_restart && policy == other;
  }
  std::vector<int> ids(bool pass) const;
  int passes() const { return static_cast<int>(ids(true).size()); }
  int fails() const { return static_cast<int>(ids(false).size()); }
  // The latest that passed or failed; nullptr when none did.
  const Trial* last(bool pass) const;
};

// That a privilege is missed: trials that differ from a passing policy in nothing else.
struct Need {
  std::vector<int> trials;  // that failed
  bool shown = false;       // they are as many as the question asks for
  std::optional<verdict::Fix> fix;
};

class Ledger {
 public:
  Ledger(const Options& options, TrialRunner& runner, const Observer& observer)
      : options_(options), runner_(runner), observer_(observer) {}

  // Runs it, whatever is known already; fills in the id. The Record stays where it is.
  Step<const Record*> run(Request request);
  // The same of several that do not depend on each other, as far as the budget goes.
  Step<void> run_all(std::vector<Request> requests);
  // How many the runner takes side by side.
  int jobs() const { return runner_.jobs(); }
  // nullptr when it was never tried.
  const Record* find(const privilege::Policy& policy, bool cold, bool restart) const;

  // Implied checks that failed in a trial before the baseline was ever asked for them. They count
  // as failures only once the baseline is known to pass them.
  const std::set<std::string>& unjudged() const { return unjudged_; }
  // The baseline's own word on the implied checks that ran in trial `id`; earlier trials are judged
  // again by it.
  void learn_implied(int id);
  // Checks that answered the same in both trials of the baseline have to answer that from now on.
  void learn_answers(int first, int second);
  // Implied checks that the baseline fails, with why.
  const std::map<std::string, std::string>& baseline_fails() const { return baseline_fails_; }

  // From now on a policy that passes and fails does not stop the search; `more` trials do (0: no
  // such limit).
  void tolerate_flakiness(int more) {
    tolerate_ = true;
    most_trials_ = more == 0 ? 0 : trials() + more;
  }
  bool tolerates() const { return tolerate_; }
  int trials() const { return static_cast<int>(entries_.size()); }

  const Outcome& outcome(int id) const { return outcomes_.at(static_cast<size_t>(id) - 1); }
  const evidence::Evidence* evidence(int id) const;
  // With "flaky" as the outcome where the same policy did both.
  std::vector<verdict::TrialEntry> entries() const;

 private:
  Trial judge(int id) const;
  void judge_again();
  bool forget_answers(const Record& record);
  bool budget_left() const;
  Record& record_of(const Request& request);
  Step<void> may_run() const;
  Step<const Record*> take(const Request& request, Outcome outcome);

  const Options& options_;
  TrialRunner& runner_;
  const Observer& observer_;
  std::deque<Record> records_;
  std::vector<Outcome> outcomes_;
  std::vector<verdict::TrialEntry> entries_;
  std::set<std::string> implied_;  // that the baseline passes
  std::map<std::string, std::string> baseline_fails_;
  std::map<std::string, std::string> answers_;  // by check, where the baseline gives but one
  std::set<std::string> unjudged_;
  bool tolerate_ = false;
  int most_trials_ = 0;
  int spent_trials_ = 0;  // of the budget: those that were really run
  double spent_seconds_ = 0;
};

}  // namespace pare::prove
