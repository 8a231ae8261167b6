// The search's answer in words: one verdict a privilege.
#include <fmt/format.h>

#include <algorithm>

#include "prove/answer.h"
#include "prove/candidates.h"
#include "prove/findings.h"

namespace pare::prove {

using verdict::Kind;
using verdict::Verdict;

namespace {

// The worst difference to the baseline that still counts as none, for a flaky target.
constexpr double kFlakyMargin = 0.3;

std::string percent(double share) {
  return fmt::format("{:.0f}", share * 100);
}

class Words {
 public:
  Words(const Universe& universe, const Ledger& ledger, const Answer& answer, verdict::Proof& proof)
      : universe_(universe), ledger_(ledger), answer_(answer), proof_(proof) {
    no_worse_ = answer.flaky && no_worse(answer.worse_by);
    loss_ = loss_clause(universe, answer);
  }

  void write() {
    if (answer_.choice) proof_.policy = policy_of(universe_, answer_);
    for (const Element& element : universe_.elements()) add(serve_verdict(element));
    if (universe_.question().asked.seccomp_default && !universe_.recorded()) {
      add(unrecorded_calls());
    }
    for (const Privilege& p : answer_.pull_asked) add_pull(p);
    if (answer_.pull) {
      for (const auto& [p, need] : answer_.pull_needs) {
        if (answer_.pull_asked.count(p) == 0) add(pull_verdict(p));
      }
    }
    add_ports();
    for (Verdict& verdict : endpoint_verdicts(universe_, ledger_, answer_)) add(std::move(verdict));
    std::stable_sort(proof_.verdicts.begin(), proof_.verdicts.end(),
                     [](const Verdict& a, const Verdict& b) { return a.privilege < b.privilege; });
    add_findings(ledger_, answer_, loss_, proof_);
    add_settings(universe_, answer_, proof_);
    conclude();
  }

 private:
  void add(std::optional<Verdict> verdict) {
    if (verdict) proof_.verdicts.push_back(std::move(*verdict));
  }

  Verdict blank(const Element& element) const {
    Verdict verdict;
    verdict.privilege = element.privilege;
    verdict.asked = element.asked;
    verdict.used = element.used;
    verdict.evidence = element.evidence;
    return verdict;
  }

  // "check infer failed without it: HTTP 500 (3 of 3 times)"
  std::string failure(const std::vector<int>& trials) const {
    for (const verdict::TrialEntry& entry : proof_.trials) {
      if (trials.empty() || entry.id != trials.front()) continue;
      const std::string name = failed_check(entry);
      std::string times =
          trials.size() == 1 ? "" : fmt::format(" ({0} of {0} times)", trials.size());
      return fmt::format("check {} failed without it: {}{}", name,
                         entry.why.empty() ? "it did not pass" : entry.why, times);
    }
    return "a check failed without it";
  }

  std::string failed_check(const verdict::TrialEntry& entry) const {
    for (const CheckOutcome& check : ledger_.outcome(entry.id).checks) {
      if (!check.pass && check.why == entry.why) return check.name;
    }
    return entry.failed.empty() ? "readiness" : entry.failed.front();
  }

  // Tried and refused in a run that passed.
  bool tolerated(const Element& element, const std::vector<int>& passes) const {
    for (int id : passes) {
      const evidence::Evidence* evidence = ledger_.evidence(id);
      if (evidence != nullptr && refused(element, *evidence)) return true;
    }
    return false;
  }

  bool refused(const Element& element, const evidence::Evidence& e) const {
    const std::string& value = element.privilege.value;
    auto any = [](const auto& facts, auto&& match) {
      return std::any_of(facts.begin(), facts.end(), match);
    };
    switch (element.privilege.axis) {
      case Axis::kCapability:
        return any(e.capabilities,
                   [&](const auto& f) { return f.name == value && f.refused > 0 && !f.advisory; });
      case Axis::kSyscall:
        return any(e.syscalls, [&](const auto& f) {
          return f.refused > 0 && (judged_by(f.name) == element.privilege || value == "any");
        });
      case Axis::kEgress:
        return any(e.egress, [&](const auto& f) {
          return f.outcome != "connected" && f.outcome != "sent" && f.attempts > 0;
        });
      case Axis::kRootfs:
      case Axis::kWrite:
      case Axis::kVolumeWrite:
        return any(e.files, [&](const evidence::FileFact& f) {
          bool here = element.privilege.axis == Axis::kRootfs
                          ? in_root_filesystem(universe_.question().asked, f.path)
                          : under(f.path, value);
          return here && f.error == "EROFS" && is_write(f);
        });
      default:
        return false;
    }
  }

  std::optional<Verdict> serve_verdict(const Element& element) const {
    Verdict verdict = blank(element);
    if (!answer_.choice) {
      verdict.because = unknown();
      return element.asked ? std::optional(verdict) : std::nullopt;
    }
    bool granted = answer_.choice->granted.count(element.privilege) > 0;
    auto need = answer_.needs.find(element.privilege);
    if (granted) return granted_verdict(element, verdict, need);
    bool unfiltered = element.privilege.axis == Axis::kSyscall &&
                      answer_.choice->granted.count({Axis::kSyscall, "any"}) > 0;
    if (!element.asked || unfiltered) return std::nullopt;
    if (need != answer_.needs.end() && need->second.fix) {
      verdict.kind = Kind::kFixable;
      verdict.fix = need->second.fix;
      verdict.trials = need->second.trials;
      verdict.because =
          fmt::format("{}; {} and checks pass", failure(verdict.trials), verdict.fix->text);
    } else {
      withheld_verdict(element, verdict);
    }
    settle(verdict);
    return verdict;
  }

  Verdict granted_verdict(const Element& element, Verdict verdict,
                          std::map<Privilege, Need>::const_iterator need) const {
    if (need == answer_.needs.end() || !need->second.shown) {
      verdict.because = unknown();
      return verdict;
    }
    verdict.kind = Kind::kNeeded;
    verdict.phase = element.used ? element.phase : evidence::Phase::kServe;
    verdict.trials = need->second.trials;
    verdict.because = failure(verdict.trials);
    if (element.privilege == Privilege{Axis::kUser, "root"} && gives_capabilities()) {
      verdict.because += "; on this platform only root gets the capabilities that are needed";
    }
    settle(verdict);
    return verdict;
  }

  bool gives_capabilities() const {
    return !universe_.question().platform.ambient_capabilities &&
           std::any_of(answer_.choice->granted.begin(), answer_.choice->granted.end(),
                       [](const Privilege& p) { return p.axis == Axis::kCapability; });
  }

  void withheld_verdict(const Element& element, Verdict& verdict) const {
    verdict.trials = answer_.passes;
    verdict.tolerated = tolerated(element, answer_.passes);
    bool doubtful = std::find(answer_.doubtful.begin(), answer_.doubtful.end(),
                              element.privilege) != answer_.doubtful.end();
    if (!answer_.confirmed || doubtful) {
      verdict.because = answer_.passes.empty() ? unknown() : "passed without it; " + unknown();
      return;
    }
    verdict.kind = Kind::kUnneeded;
    std::string pass = "checks pass without it";
    if (answer_.flaky) {
      pass = fmt::format(
          "checks pass without it in {} of {} runs, unchanged in {} of {}: at most {} points worse "
          "(95 %)",
          answer_.policy.passes, answer_.policy.runs, answer_.baseline.passes,
          answer_.baseline.runs, percent(answer_.worse_by));
    }
    verdict.because = pass + why_unneeded(element, verdict);
  }

  std::string why_unneeded(const Element& element, const Verdict& verdict) const {
    const Privilege& p = element.privilege;
    if (p == group_privilege(universe_.policy(*answer_.choice).user.gid)) {
      return ", as the server's own group is the same";
    }
    if (p.axis == Axis::kUser) return fmt::format(", as uid {}", answer_.choice->user.uid);
    if (p == Privilege{Axis::kSyscall, "any"} && universe_.policy(*answer_.choice).seccomp) {
      return fmt::format(", with a list of {} calls",
                         universe_.policy(*answer_.choice).seccomp->syscalls.size());
    }
    if (element.used && verdict.tolerated) {
      return "; it was used by " + element.used_by + ", and the refusal was tolerated";
    }
    if (element.used) return "; today it is used by " + element.used_by;
    if (verdict.tolerated) return "; a try at it was refused, and tolerated";
    return universe_.recorded() && loss_.empty() && leaves_trace(p.axis) ? ", and it was never used"
                                                                         : "";
  }

  // What a lossy record cannot support is not said.
  void settle(Verdict& verdict) const {
    if (loss_.empty() || verdict.privilege.axis != Axis::kSyscall) return;
    verdict.kind = Kind::kUnproven;
    verdict.because = loss_ + ", so calls may be missing from the list";
  }

  std::string unknown() const {
    if (answer_.flaky && !no_worse_) {
      return fmt::format(
          "flaky: this policy passes in {} of {} runs, the unchanged target in {} of {}",
          answer_.policy.passes, answer_.policy.runs, answer_.baseline.passes,
          answer_.baseline.runs);
    }
    if (answer_.flaky) return "the target is flaky, so single failures show nothing";
    if (answer_.budget_ended) return "the budget ended before it was shown";
    return "no trial showed it either way";
  }

  Verdict unrecorded_calls() const {
    Verdict verdict;
    verdict.privilege = {Axis::kSyscall, "any"};
    verdict.asked = true;
    verdict.because =
        "only a recorder can show which calls it makes; the runtime's own profile stays";
    return verdict;
  }

  Verdict pull_verdict(const Privilege& p) const {
    const Element* element = universe_.find(p);
    Verdict verdict = blank(element != nullptr ? *element : Element{p, true, false, "", {}, {}});
    verdict.phase = evidence::Phase::kPull;
    auto need = answer_.pull_needs.find(p);
    if (need != answer_.pull_needs.end() && need->second.shown) {
      verdict.kind = Kind::kNeeded;
      verdict.trials = need->second.trials;
      verdict.because = "from cold volumes, " + failure(verdict.trials);
    } else if (answer_.pull && answer_.pull->granted.count(p) == 0) {
      verdict.kind = Kind::kUnneeded;
      verdict.trials = answer_.pull_passes;
      verdict.tolerated = element != nullptr && tolerated(*element, answer_.pull_passes);
      verdict.because = "checks pass without it from cold volumes too";
    } else {
      verdict.because = unknown();
    }
    return verdict;
  }

  // Egress while pulling is named by its hosts where they are known.
  void add_pull(const Privilege& p) {
    Verdict verdict = pull_verdict(p);
    std::map<std::string, std::vector<std::string>> hosts;
    if (p == Privilege{Axis::kEgress, "any"} && universe_.recorded()) {
      for (const evidence::EgressFact& fact : universe_.baselines().front().egress) {
        if (fact.outcome != "connected") continue;
        std::string name = fact.name.empty() ? fact.destination : fact.name;
        hosts[name + ":" + std::to_string(fact.port)].push_back(fact.id);
      }
    }
    if (verdict.kind != Kind::kNeeded || hosts.empty()) return add(verdict);
    for (const auto& [host, facts] : hosts) {
      Verdict one = verdict;
      one.privilege.value = host;
      one.used = true;
      one.evidence = facts;
      if (hosts.size() > 1) {
        one.kind = Kind::kUnproven;
        one.because =
            "a cold start needs egress and connects here; the hosts were not withheld singly";
      }
      add(one);
    }
    if (hosts.size() > 1) add(verdict);
  }

  void add_ports() {
    for (uint16_t port : universe_.check_ports()) {
      Verdict verdict;
      verdict.privilege = {Axis::kPort, std::to_string(port) + "/tcp"};
      verdict.kind = Kind::kNeeded;
      verdict.asked = verdict.used = true;
      verdict.trials = {1};
      verdict.because = "the checks speak to it";
      auto moved = universe_.port_move().ports.find(port);
      if (universe_.moved() && moved != universe_.port_move().ports.end()) {
        verdict.because += fmt::format(", on {} by the server's own setting", moved->second);
      }
      add(verdict);
    }
    for (const Element& port : universe_.other_ports()) {
      Verdict verdict = blank(port);
      if (answer_.choice) {
        withheld_verdict(port, verdict);
        if (verdict.kind == Kind::kUnneeded) verdict.because = "checks pass while it is closed";
      } else {
        verdict.because = unknown();
      }
      add(verdict);
    }
  }

  void conclude() {
    proof_.confirmed = answer_.confirmed;
    std::string& why = proof_.not_minimal_because;
    auto unproven = [](const Verdict& v) {
      return v.kind == Kind::kUnproven && v.phase == evidence::Phase::kServe;
    };
    if (answer_.budget_ended) {
      why = "the budget ended first; --resume goes on";
    } else if (answer_.flaky) {
      why = unknown();
    } else if (!loss_.empty()) {
      why = loss_;
    } else if (!answer_.confirmed) {
      why = "no tighter policy was confirmed";
    } else if (auto v = std::find_if(proof_.verdicts.begin(), proof_.verdicts.end(), unproven);
               v != proof_.verdicts.end()) {
      why = to_string(v->privilege) + " is unproven: " + v->because;
    }
    proof_.minimal = why.empty();
    if (answer_.flaky && no_worse_) {
      proof_.assumptions.push_back(fmt::format(
          "the target is flaky: under this policy it fails at most {} points more often (95 %)",
          percent(answer_.worse_by)));
    }
  }

  const Universe& universe_;
  const Ledger& ledger_;
  const Answer& answer_;
  verdict::Proof& proof_;
  bool no_worse_ = false;
  std::string loss_;  // what the record lacks; empty: nothing
};

}  // namespace

privilege::Policy policy_of(const Universe& universe, const Answer& answer) {
  privilege::Policy policy = universe.policy(*answer.choice);
  for (privilege::Writable& writable : policy.writable) {
    auto peak = answer.peaks.find(writable.path);
    if (peak != answer.peaks.end()) writable.peak_bytes = peak->second;
  }
  return policy;
}

bool no_worse(double worse_by) {
  return worse_by <= kFlakyMargin;
}

void put_into_words(const Universe& universe, const Ledger& ledger, const Answer& answer,
                    verdict::Proof& proof) {
  Words(universe, ledger, answer, proof).write();
}

}  // namespace pare::prove
