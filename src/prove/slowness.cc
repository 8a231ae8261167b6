#include "prove/slowness.h"

#include <algorithm>
#include <map>

namespace pare::prove {

namespace {

constexpr int kSuspects = 4;  // tried, most dangerous first
// Slower is what takes this much longer in every run of the policy than in any of the baseline.
constexpr double kSlowerTimes = 1.5;
constexpr double kSlowerSeconds = 0.05;

bool is_slower(double seconds, double unchanged) {
  return seconds >= unchanged * kSlowerTimes && seconds >= unchanged + kSlowerSeconds;
}

}  // namespace

std::vector<Slow> slow_checks(const Ledger& ledger, const Answer& answer) {
  std::map<std::string, double> before, now;
  for (int id : {1, 2}) {
    for (const CheckOutcome& check : ledger.outcome(id).checks) {
      before[check.name] = std::max(before[check.name], check.seconds);
    }
  }
  for (int id : answer.passes) {
    for (const CheckOutcome& check : ledger.outcome(id).checks) {
      auto [it, fresh] = now.try_emplace(check.name, check.seconds);
      if (!fresh) it->second = std::min(it->second, check.seconds);
    }
  }
  std::vector<Slow> list;
  for (const auto& [name, seconds] : now) {
    double base = before[name];
    if (base > 0 && is_slower(seconds, base)) list.push_back({name, seconds, base});
  }
  return list;
}

Step<void> explain_slowness(const Universe& universe, const Ledger& ledger, Search& search,
                            Answer& answer) {
  std::vector<Slow> slow = slow_checks(ledger, answer);
  if (slow.empty()) return {};
  Choice all = universe.everything(*answer.choice);
  int tries = 0;
  for (const Privilege& p : universe.by_danger(all.granted)) {
    bool suspect = universe.find(p)->used && answer.choice->granted.count(p) == 0;
    if (!suspect || tries == kSuspects) continue;
    ++tries;
    Choice less = without(all, p);
    PARE_TRY(bool pass, search.passes("slow", less));
    if (!pass) continue;
    int trial = search.record(less)->last(true)->id;
    for (const Slow& one : slow) {
      for (const CheckOutcome& check : ledger.outcome(trial).checks) {
        if (check.name != one.check || !is_slower(check.seconds, one.unchanged)) continue;
        answer.slow_without.try_emplace(one.check,
                                        SlowWithout{p, check.seconds / one.unchanged, trial});
      }
    }
  }
  return {};
}

}  // namespace pare::prove
