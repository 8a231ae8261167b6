#include "prove/prover.h"

#include <fmt/format.h>

#include <algorithm>

#include "prove/answer.h"
#include "prove/cold.h"
#include "prove/labels.h"
#include "prove/search.h"
#include "prove/settings.h"
#include "prove/slowness.h"

namespace pare::prove {

namespace {

constexpr int kFlakySearch = 60;  // trials that a flaky target is worth before nothing is proved
constexpr int kFlakyRuns[] = {12, 20};  // of the baseline and of the policy, to compare their rates
constexpr int kProfileRounds = 4;
constexpr int kMoreRecordings = 2;  // of the baseline where events were lost

class Prover {
 public:
  Prover(const Question& question, TrialRunner& runner, const Observer& observer)
      : question_(question), runner_(runner), ledger_(question.options, runner, observer) {}

  Result<verdict::Proof> prove() {
    auto started = baseline();
    if (!started && started.error().why == Stop::Why::kError) {
      return tl::unexpected(started.error().error);
    }
    Universe universe(question_, runner_.check_ports(), baselines_, runner_.can_raise_memlock());
    if (started) answer_.endpoints = universe.open_endpoints(runner_.checks());
    if (started && !question_.options.baseline_only) {
      PARE_CHECK_OK(answer_from(universe));
    } else {
      answer_.budget_ended = true;
    }
    return proof(universe);
  }

 private:
  Request baseline_request(bool cold, bool restart) const {
    Request request;
    request.kind = "baseline";
    request.policy = question_.asked;
    request.cold = cold;
    request.restart = restart;
    return request;
  }

  Step<void> baseline() {
    PARE_TRY(const Record* cold, ledger_.run(baseline_request(true, false)));
    ledger_.learn_implied(1);
    // One that never became ready is not tried again: it may take the whole time limit.
    if (!ledger_.outcome(1).ready) return fails_unchanged(cold->trials.front());
    PARE_TRY(const Record* warm, ledger_.run(baseline_request(false, false)));
    ledger_.learn_implied(2);
    ledger_.learn_answers(1, 2);
    if (cold->passes() == 0 && warm->passes() == 0) return fails_unchanged(cold->trials.front());
    flaky_baseline_ = cold->passes() != warm->passes();
    if (!question_.options.recording) return {};
    for (int id : {1, 2}) keep_evidence(id);
    // What the warm run lost, another may have whole.
    for (int more = 0; more < kMoreRecordings && !answer_.recorded_whole; ++more) {
      if (baselines_.empty() || !baselines_.back().loss.any()) break;
      auto recorded = ledger_.run(baseline_request(false, false));
      bool did_both = !recorded && recorded.error().why == Stop::Why::kFlaky;
      if (!recorded && !did_both) return tl::unexpected(recorded.error());
      keep_evidence(ledger_.trials());
      if (!did_both) continue;
      flaky_baseline_ = true;
      break;
    }
    return {};
  }

  void keep_evidence(int id) {
    const evidence::Evidence* evidence = ledger_.evidence(id);
    if (evidence == nullptr) return;
    baselines_.push_back(*evidence);
    bool whole = !evidence->loss.any() && evidence->coverage == evidence::Coverage::kEntry;
    // The cold run alone says nothing of a later start.
    if (whole && id > 1) answer_.recorded_whole = true;
  }

  static tl::unexpected<Stop> fails_unchanged(const Trial& trial) {
    return tl::unexpected(Stop{
        Stop::Why::kError,
        Error{ErrorKind::kBaseline,
              fmt::format("the unchanged target fails its check {}: {}; make it pass as it runs "
                          "today, or give another --check",
                          trial.failed, trial.why.empty() ? "it did not pass" : trial.why)}});
  }

  // Errors of ours end the proof; every other stop is part of the answer.
  Status answer_from(Universe& universe) {
    auto done = flaky_baseline_ ? flaky(universe) : steady(universe);
    if (!done && done.error().why == Stop::Why::kFlaky && !ledger_.tolerates()) {
      done = flaky(universe);
    }
    if (done) return {};
    if (done.error().why == Stop::Why::kError) return tl::unexpected(done.error().error);
    answer_.budget_ended = done.error().why == Stop::Why::kBudget;
    answer_.flaky = ledger_.tolerates();
    return {};
  }

  Choice tightest(const Search& search) const {
    Choice choice;
    choice.user = search.users().front().user;
    return choice;
  }

  // The server's own switches are decided with all else granted, and hold for every later trial.
  Step<void> change_settings(Universe& universe) {
    Request request = baseline_request(false, false);
    request.kind = "settings";
    for (uint16_t port : runner_.check_ports()) {
      request.policy.ports.push_back({port, "tcp", "inference"});
    }
    return Settings(universe, runner_.checks(), answer_).run(ledger_, request);
  }

  Step<void> steady(Universe& universe) {
    PARE_CHECK_OK(change_settings(universe));
    Search search(question_, universe, ledger_, {});
    if (question_.options.one_by_one) {
      PARE_TRY(answer_.choice, search.one_by_one(tightest(search), answer_.needs));
      PARE_TRY(bool pass, search.passes("confirm", *answer_.choice));
      if (!pass) return {};  // what was missed singly is missed together
      note_passes(search);
      return confirm(universe, search);
    }
    Search restarting(question_, universe, ledger_, {false, true});
    Labels labels(question_, universe, ledger_, search, restarting, answer_);
    auto done = steady(universe, search, labels);
    if (done || done.error().why != Stop::Why::kBudget) return done;
    // What is known when the budget ends.
    if (!answer_.choice && search.best()) {
      answer_.choice = search.best();
      note_passes(search);
    }
    if (answer_.choice) {
      labels.show_known();
      answer_.doubtful = labels.undecided();
    }
    return done;
  }

  Step<void> steady(Universe& universe, Search& search, Labels& labels) {
    PARE_TRY(answer_.choice, search.find(tightest(search)));
    note_passes(search);
    PARE_CHECK_OK(confirm(universe, search));
    PARE_CHECK_OK(labels.show());
    PARE_CHECK_OK(explain_slowness(universe, ledger_, search, answer_));
    PARE_CHECK_OK(refuse_otherwise(universe));
    return pull(universe);
  }

  bool tries_egress(const Universe& universe) const {
    if (universe.policy(*answer_.choice).egress_any) return false;
    return std::any_of(answer_.passes.begin(), answer_.passes.end(), [&](int id) {
      const evidence::Evidence* evidence = ledger_.evidence(id);
      return evidence != nullptr && !evidence->egress.empty();
    });
  }

  // A server that survives one kind of refusal may hang on another; platforms refuse differently.
  Step<void> refuse_otherwise(const Universe& universe) {
    if (!tries_egress(universe)) return {};
    using privilege::Refusal;
    std::vector<Request> requests;
    for (Refusal refusal : {Refusal::kRefused, Refusal::kDropped}) {
      Request& request = requests.emplace_back();
      request.kind = "refusal";
      request.policy = policy_of(universe, answer_);
      request.policy.refusal = refusal;
      request.without = universe.withheld(*answer_.choice);
    }
    if (ledger_.jobs() > 1) PARE_CHECK_OK(ledger_.run_all(requests));
    for (const Request& request : requests) {
      // Left out where the budget seemed to end: a trial that is replayed takes nothing from it.
      if (ledger_.find(request.policy, false, false) == nullptr) {
        PARE_CHECK_OK(ledger_.run(request));
      }
    }
    for (const Request& request : requests) {
      const Record* record = ledger_.find(request.policy, false, false);
      const Refusal refusal = request.policy.refusal;
      if (record->fails() > 0) {
        PARE_TRY(record, ledger_.run(request));
      }
      const Trial& trial = record->trials.back();
      answer_.refusals[std::string(to_string(refusal))] =
          trial.pass ? "" : "check " + trial.failed + " failed: " + trial.why;
    }
    return {};
  }

  void note_passes(const Search& search) {
    answer_.passes = search.record(*answer_.choice)->ids(true);
  }

  Step<const Record*> again(Universe& universe, bool restart) {
    Request request;
    request.kind = "confirm";
    request.policy = policy_of(universe, answer_);
    request.without = universe.withheld(*answer_.choice);
    request.restart = restart;
    return ledger_.run(std::move(request));
  }

  // From the runs that passed so far.
  void note_peaks() {
    answer_.peaks.clear();
    for (int id : answer_.passes) {
      const evidence::Evidence* evidence = ledger_.evidence(id);
      if (evidence == nullptr) continue;
      for (const evidence::AreaFact& area : evidence->areas) {
        uint64_t& peak = answer_.peaks[area.path];
        peak = std::max(peak, area.peak_bytes);
      }
    }
  }

  // `repeat` passes in a row, the last of them with a restart.
  Step<void> confirm(Universe& universe, Search& search) {
    for (int round = 0; round < kProfileRounds; ++round) {
      auto confirmed = confirm_once(universe);
      if (confirmed && *confirmed) {
        answer_.confirmed = true;
        return {};
      }
      if (!confirmed && confirmed.error().why != Stop::Why::kFlaky) {
        return tl::unexpected(confirmed.error());
      }
      PARE_TRY(bool changed, loosen(universe, search, !confirmed));
      if (!changed) return tl::unexpected(Stop{Stop::Why::kFlaky, {}});
    }
    return {};
  }

  Step<bool> confirm_once(Universe& universe) {
    int repeat = std::max(1, question_.options.repeat);
    answer_.peaks.clear();
    privilege::Policy policy = universe.policy(*answer_.choice);
    while (static_cast<int>(answer_.passes.size()) < repeat - 1) {
      PARE_TRY(const Record* record, again(universe, false));
      if (record->fails() > 0) return false;
      answer_.passes = record->ids(true);
    }
    note_peaks();
    PARE_TRY(const Record* record, again(universe, true));
    if (!ledger_.unjudged().empty() || record->fails() > 0) {
      PARE_CHECK_OK(judge_restart());
    }
    if (record->fails() > 0 && policy_of(universe, answer_) != policy) {
      // It may be the limits of the writable paths.
      answer_.peaks.clear();
      PARE_TRY(record, again(universe, true));
    }
    if (record->fails() > 0) return false;
    answer_.passes.push_back(record->trials.back().id);
    return true;
  }

  // Whether the unchanged target survives a restart at all: asked only when the policy did not.
  Step<void> judge_restart() {
    if (ledger_.find(question_.asked, false, true) != nullptr) return {};
    PARE_TRY(const Record* record, ledger_.run(baseline_request(false, true)));
    ledger_.learn_implied(record->trials.back().id);
    return {};
  }

  // After a failed confirmation: calls that only now were made, or a need that a restart brings
  // out.
  Step<bool> loosen(Universe& universe, Search& search, bool plain_failed) {
    Choice choice = *answer_.choice;
    if (plain_failed) {
      Hints said = search.hints(choice);
      size_t before = choice.calls.size();
      choice.calls.insert(said.calls.begin(), said.calls.end());
      if (choice.calls.size() == before) return false;
    } else {
      Search restarting(question_, universe, ledger_, {false, true});
      PARE_TRY(choice, restarting.find(choice));
    }
    answer_.choice = choice;
    PARE_TRY(bool pass, search.passes("confirm", choice));
    if (pass) note_passes(search);
    return pass;
  }

  // What only a cold start does: searched from the confirmed policy, in cold trials.
  Step<void> pull(Universe& universe) {
    answer_.pull_asked = only_when_cold(universe, *answer_.choice);
    if (answer_.pull_asked.empty()) return {};
    Search search(question_, universe, ledger_, {true, false});
    const Choice& floor = *answer_.choice;
    PARE_TRY(answer_.pull, search.find(floor));
    answer_.pull_passes = search.record(*answer_.pull)->ids(true);
    for (const Privilege& p : search.removable(*answer_.pull, floor)) {
      Choice less = without(*answer_.pull, p);
      bool explained = search.hints(less).touches(p);
      PARE_TRY(bool failed,
               search.fails("cold", less, failures_wanted(question_.options, explained)));
      if (failed) answer_.pull_needs[p] = {search.record(less)->ids(false), true, std::nullopt};
    }
    return {};
  }

  // The tightest policy that passes at all, then its rate against the baseline's.
  Step<void> flaky(Universe& universe) {
    answer_.flaky = true;
    answer_.confirmed = false;
    answer_.needs.clear();
    answer_.choice.reset();
    answer_.peaks.clear();
    ledger_.tolerate_flakiness(kFlakySearch);
    Search search(question_, universe, ledger_, {});
    PARE_TRY(answer_.choice, search.find(tightest(search)));
    note_passes(search);
    ledger_.tolerate_flakiness(0);
    for (int runs : kFlakyRuns) {
      PARE_CHECK_OK(compare(universe, search, runs));
      if (answer_.confirmed) break;
    }
    return {};
  }

  // Baseline and policy are run until each ran `runs` times.
  Step<void> compare(Universe& universe, const Search& search, int runs) {
    while (baseline_tally().runs < runs) {
      PARE_CHECK_OK(ledger_.run(baseline_request(false, false)));
    }
    while (tally(*search.record(*answer_.choice)).runs < runs) {
      PARE_CHECK_OK(again(universe, false));
    }
    note_passes(search);
    answer_.baseline = baseline_tally();
    answer_.policy = tally(*search.record(*answer_.choice));
    answer_.worse_by = worse_by_at_most(answer_.baseline, answer_.policy);
    answer_.confirmed = no_worse(answer_.worse_by);
    return {};
  }

  static Tally tally(const Record& record) {
    return {record.passes(), static_cast<int>(record.trials.size())};
  }

  Tally baseline_tally() const {
    Tally sum;
    for (bool cold : {false, true}) {
      if (const Record* record = ledger_.find(question_.asked, cold, false)) {
        Tally one = tally(*record);
        sum = {sum.passes + one.passes, sum.runs + one.runs};
      }
    }
    return sum;
  }

  evidence::Loss baseline_loss() const {
    evidence::Loss loss;
    for (const evidence::Evidence& evidence : baselines_) {
      loss.events += evidence.loss.events;
      for (const std::string& map : evidence.loss.maps) {
        auto& maps = loss.maps;
        if (std::find(maps.begin(), maps.end(), map) == maps.end()) maps.push_back(map);
      }
    }
    return loss;
  }

  verdict::Proof proof(const Universe& universe) {
    verdict::Proof proof;
    proof.platform = question_.platform;
    proof.target = question_.target;
    proof.asked = question_.asked;
    proof.policy = question_.asked;
    proof.checks = runner_.checks();
    proof.assumptions = question_.platform.assumptions;
    proof.trials = ledger_.entries();
    if (!answer_.recorded_whole) proof.loss = baseline_loss();
    put_into_words(universe, ledger_, answer_, proof);
    return proof;
  }

  const Question& question_;
  TrialRunner& runner_;
  Ledger ledger_;
  std::vector<evidence::Evidence> baselines_;
  Answer answer_;
  bool flaky_baseline_ = false;
};

}  // namespace

Result<verdict::Proof> prove(const Question& question, TrialRunner& runner,
                             const Observer& observer) {
  return Prover(question, runner, observer).prove();
}

}  // namespace pare::prove
