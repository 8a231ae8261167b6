#include "prove/ledger.h"

#include <algorithm>

namespace pare::prove {

std::vector<int> Record::ids(bool pass) const {
  std::vector<int> ids;
  for (const Trial& trial : trials) {
    if (trial.pass == pass) ids.push_back(trial.id);
  }
  return ids;
}

const Trial* Record::last(bool pass) const {
  for (auto trial = trials.rbegin(); trial != trials.rend(); ++trial) {
    if (trial->pass == pass) return &*trial;
  }
  return nullptr;
}

bool Ledger::budget_left() const {
  if (options_.max_trials > 0 && spent_trials_ >= options_.max_trials) return false;
  double limit = std::chrono::duration<double>(options_.max_time).count();
  return options_.max_time.count() == 0 || spent_seconds_ < limit;
}

// A check that the first trial made and this one did not is one that failed: fail closed.
Trial Ledger::judge(int id) const {
  const Outcome& outcome = this->outcome(id);
  if (outcome.checks.empty()) {
    return {id, false, "readiness", outcome.why.empty() ? "no check ran" : outcome.why};
  }
  Trial trial{id, true, "", ""};
  auto fail_by = [&](const std::string& name, const std::string& why) {
    if (trial.pass) trial = {id, false, name, why};
  };
  for (const CheckOutcome& check : outcome.checks) {
    if (check.pass || (check.implied && implied_.count(check.name) == 0)) continue;
    fail_by(check.name, check.why);
  }
  bool any = false;
  for (const CheckOutcome& expected : outcomes_.front().checks) {
    if (expected.implied) continue;
    any = true;
    bool ran = std::any_of(outcome.checks.begin(), outcome.checks.end(),
                           [&](const CheckOutcome& check) { return check.name == expected.name; });
    if (!ran) fail_by(expected.name, outcome.why.empty() ? "it never ran" : outcome.why);
  }
  if (!any) fail_by("readiness", outcome.why.empty() ? "no check ran" : outcome.why);
  if (!outcome.pass) fail_by("readiness", outcome.why);
  for (const CheckOutcome& check : outcome.checks) {
    auto answer = answers_.find(check.name);
    if (!trial.pass || answer == answers_.end() || check.answer == answer->second) continue;
    fail_by(check.name, "another answer than unchanged");
    trial.other_answer = true;
  }
  return trial;
}

// The same policy answered in two ways: then answers of that check say nothing after all.
bool Ledger::forget_answers(const Record& record) {
  size_t before = answers_.size();
  for (const Trial& trial : record.trials) {
    if (trial.other_answer) answers_.erase(trial.failed);
  }
  if (answers_.size() == before) return false;
  judge_again();
  return true;
}

void Ledger::judge_again() {
  for (Record& record : records_) {
    for (Trial& trial : record.trials) trial = judge(trial.id);
  }
}

Record& Ledger::record_of(const Request& request) {
  auto known = std::find_if(records_.begin(), records_.end(), [&](const Record& record) {
    return record.is_of(request.policy, request.cold, request.restart);
  });
  if (known != records_.end()) return *known;
  return records_.emplace_back(Record{request.policy, request.cold, request.restart, {}});
}

Step<void> Ledger::may_run() const {
  if (!budget_left()) return tl::unexpected(Stop{Stop::Why::kBudget, {}});
  if (most_trials_ > 0 && trials() >= most_trials_) {
    return tl::unexpected(Stop{Stop::Why::kFlaky, {}});
  }
  return {};
}

Step<const Record*> Ledger::run(Request request) {
  PARE_CHECK_OK(may_run());
  request.id = trials() + 1;
  if (observer_.before) observer_.before(request);
  auto outcome = runner_.run(request);
  if (!outcome) return tl::unexpected(Stop{Stop::Why::kError, outcome.error()});
  return take(request, std::move(*outcome));
}

Step<void> Ledger::run_all(std::vector<Request> requests) {
  if (options_.max_trials > 0) {
    size_t left = static_cast<size_t>(std::max(0, options_.max_trials - spent_trials_));
    requests.resize(std::min(requests.size(), left));
  }
  if (requests.empty()) return {};
  PARE_CHECK_OK(may_run());
  int id = trials();
  for (Request& request : requests) {
    request.id = ++id;
    if (observer_.before) observer_.before(request);
  }
  std::vector<Result<Outcome>> outcomes = runner_.run_all(requests);
  Step<void> done;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!outcomes[i]) return tl::unexpected(Stop{Stop::Why::kError, outcomes[i].error()});
    // Each was run, so each is taken; the first that stops the search stops it.
    auto taken = take(requests[i], std::move(*outcomes[i]));
    if (!taken && done) done = tl::unexpected(taken.error());
  }
  return done;
}

Step<const Record*> Ledger::take(const Request& request, Outcome outcome) {
  if (observer_.after) observer_.after(request, outcome);
  if (!outcome.replayed) {
    spent_trials_++;
    spent_seconds_ += outcome.seconds;
  }
  outcomes_.push_back(std::move(outcome));
  Trial trial = judge(request.id);
  const Outcome& kept = outcomes_.back();
  verdict::TrialEntry entry;
  entry.id = request.id;
  entry.kind = request.kind;
  for (const CheckOutcome& check : kept.checks) {
    if (!check.pass) entry.failed.push_back(check.name);
    bool unknown = check.implied && implied_.count(check.name) == 0;
    if (!check.pass && unknown && baseline_fails_.count(check.name) == 0) {
      unjudged_.insert(check.name);
    }
  }
  for (const privilege::Privilege& p : request.without) entry.without.push_back(to_string(p));
  entry.why = trial.why;
  entry.seconds = kept.seconds;
  entry.starts = kept.starts;
  entries_.push_back(std::move(entry));
  Record& record = record_of(request);
  record.trials.push_back(trial);
  auto both = [&] { return record.passes() > 0 && record.fails() > 0; };
  while (both() && forget_answers(record)) continue;
  if (!tolerate_ && both()) return tl::unexpected(Stop{Stop::Why::kFlaky, {}});
  return &record;
}

const Record* Ledger::find(const privilege::Policy& policy, bool cold, bool restart) const {
  auto known = std::find_if(records_.begin(), records_.end(), [&](const Record& record) {
    return record.is_of(policy, cold, restart);
  });
  return known == records_.end() ? nullptr : &*known;
}

void Ledger::learn_implied(int id) {
  for (const CheckOutcome& check : outcome(id).checks) {
    if (!check.implied) continue;
    unjudged_.erase(check.name);
    if (check.pass && baseline_fails_.count(check.name) == 0) {
      implied_.insert(check.name);
    } else if (!check.pass) {
      implied_.erase(check.name);
      baseline_fails_[check.name] = check.why;
    }
  }
  judge_again();
}

void Ledger::learn_answers(int first, int second) {
  for (const CheckOutcome& a : outcome(first).checks) {
    for (const CheckOutcome& b : outcome(second).checks) {
      bool same = a.name == b.name && a.pass && b.pass && a.answer == b.answer;
      if (same && !a.answer.empty()) answers_[a.name] = a.answer;
    }
  }
}

const evidence::Evidence* Ledger::evidence(int id) const {
  const auto& evidence = outcome(id).evidence;
  return evidence ? &*evidence : nullptr;
}

std::vector<verdict::TrialEntry> Ledger::entries() const {
  std::vector<verdict::TrialEntry> entries = entries_;
  for (const Record& record : records_) {
    bool flaky = record.passes() > 0 && record.fails() > 0;
    for (const Trial& trial : record.trials) {
      verdict::TrialEntry& entry = entries[static_cast<size_t>(trial.id) - 1];
      entry.outcome = flaky ? "flaky" : trial.pass ? "pass" : "fail";
      entry.why = trial.why;
    }
  }
  return entries;
}

}  // namespace pare::prove
