#include "prove/search.h"

#include <algorithm>
#include <utility>

namespace pare::prove {

namespace {
constexpr int kRounds = 8;       // of give-back before bisecting everything
constexpr int kFlakyTries = 4;   // of a failing policy once the target is known to be flaky
constexpr size_t kOneByOne = 4;  // so few suspects are tried singly

int total_danger(const Choice& choice) {
  int total = 0;
  for (const Privilege& p : choice.granted) total += danger(p);
  return total;
}

}  // namespace

Choice without(Choice choice, const Privilege& privilege) {
  choice.granted.erase(privilege);
  return choice;
}

Request Search::request(const std::string& kind, const Choice& choice) const {
  Request request;
  request.kind = kind;
  request.policy = universe_.policy(choice);
  request.without = universe_.withheld(choice);
  request.cold = manner_.cold;
  request.restart = manner_.restart;
  return request;
}

Step<const Record*> Search::run(const std::string& kind, const Choice& choice) {
  return ledger_.run(request(kind, choice));
}

Step<void> Search::fail_ahead(const std::string& kind,
                              const std::vector<std::pair<Choice, int>>& choices) {
  if (ledger_.jobs() <= 1) return {};
  std::vector<Request> requests;
  for (const auto& [choice, times] : choices) {
    const Record* known = record(choice);
    if (known != nullptr && known->passes() > 0) continue;
    int missing = times - (known == nullptr ? 0 : known->fails());
    for (int i = 0; i < missing; ++i) requests.push_back(request(kind, choice));
  }
  return ledger_.run_all(std::move(requests));
}

const Record* Search::record(const Choice& choice) const {
  return ledger_.find(universe_.policy(choice), manner_.cold, manner_.restart);
}

Step<bool> Search::passes(const std::string& kind, const Choice& choice) {
  const Record* known = record(choice);
  int tries = ledger_.tolerates() ? kFlakyTries : 1;
  while (known == nullptr || (known->passes() == 0 && known->fails() < tries)) {
    PARE_TRY(known, run(kind, choice));
  }
  if (known->passes() > 0 && (!best_ || total_danger(choice) < total_danger(*best_))) {
    best_ = choice;
  }
  return known->passes() > 0;
}

Step<bool> Search::fails(const std::string& kind, const Choice& choice, int times) {
  const Record* known = record(choice);
  while (known == nullptr || (known->passes() == 0 && known->fails() < times)) {
    PARE_TRY(known, run(kind, choice));
  }
  return known->passes() == 0;
}

const evidence::Evidence* Search::evidence(const Choice& choice, bool pass) const {
  const Record* known = record(choice);
  const Trial* trial = known == nullptr ? nullptr : known->last(pass);
  return trial == nullptr ? nullptr : ledger_.evidence(trial->id);
}

Hints Search::hints(const Choice& choice) {
  const evidence::Evidence* failing = evidence(choice, false);
  return failing == nullptr ? Hints{} : read_refusals(universe_, choice, *failing);
}

std::vector<Privilege> Search::removable(const Choice& choice, const Choice& floor) const {
  std::set<Privilege> set;
  for (const Privilege& p : choice.granted) {
    if (floor.granted.count(p) == 0) set.insert(p);
  }
  return universe_.by_danger(set);
}

void Search::let_capabilities_reach(Choice& choice) {
  bool any = std::any_of(choice.granted.begin(), choice.granted.end(),
                         [](const Privilege& p) { return p.axis == Axis::kCapability; });
  Privilege root{Axis::kUser, "root"};
  if (any && !universe_.capabilities_reach(choice) && universe_.has(root)) {
    choice.granted.insert(root);
  }
}

bool Search::apply(const Hints& hints, bool first, Choice& choice) {
  Choice before = choice;
  choice.calls.insert(hints.calls.begin(), hints.calls.end());
  for (const std::string& path : hints.copy_up) choice.forms[path].copy_up = true;
  for (const std::string& path : hints.exec) choice.forms[path].exec = true;
  choice.granted.insert(hints.likely.begin(), hints.likely.end());
  for (const privilege::User& user : hints.users) {
    if (tried_users_.insert(user).second) {
      choice.user = user;
      break;
    }
  }
  if (hints.home) {
    for (auto& [name, value] : universe_.home_variables()) choice.environment[name] = value;
    Element tmp{{Axis::kWrite, "/tmp"}, /*asked=*/false};
    universe_.add(tmp);
    choice.granted.insert(tmp.privilege);
  }
  // A server that dies at its first refusal shows one need at a time; what the baseline wrote is
  // cheap to give back at once, and taken away again later.
  if (first) {
    for (const Element& element : universe_.elements()) {
      if (element.privilege.axis == Axis::kWrite && element.used) {
        choice.granted.insert(element.privilege);
      }
    }
  }
  let_capabilities_reach(choice);
  return !(choice == before);
}

bool Search::apply_possible(const Hints& hints, Choice& choice) {
  Choice before = choice;
  choice.granted.insert(hints.possible.begin(), hints.possible.end());
  let_capabilities_reach(choice);
  return !(choice == before);
}

// A tmpfs may hide files of the image, and a file that is not there leaves no refusal.
bool Search::apply_copy_up(Choice& choice) {
  Choice before = choice;
  for (const Privilege& p : choice.granted) {
    const Element* element = universe_.find(p);
    if (p.axis != Axis::kWrite || element == nullptr || element->asked) continue;
    choice.forms[p.value].copy_up = true;
  }
  return !(choice == before);
}

// What is missed without a trace: root first, then limits and namespaces, then what the baseline
// exercised without being refused here.
bool Search::apply_untraced(Choice& choice) {
  Choice before = choice;
  if (universe_.has({Axis::kUser, "root"})) choice.granted.insert({Axis::kUser, "root"});
  for (bool traced : {false, true}) {
    if (!(choice == before)) return true;
    for (const Element& element : universe_.elements()) {
      bool guessed = traced ? element.used : !leaves_trace(element.privilege.axis);
      if (element.asked && guessed) choice.granted.insert(element.privilege);
    }
    let_capabilities_reach(choice);
  }
  return !(choice == before);
}

// True when it ended with a choice that passes.
Step<bool> Search::give_back(Choice& choice) {
  tried_users_.insert(choice.user);
  bool explained = true;
  for (int round = 0; round < kRounds; ++round) {
    if (evidence(choice, false) == nullptr) return false;
    Hints said = hints(choice);
    if (!apply(said, round == 0, choice) && !apply_possible(said, choice) &&
        !apply_copy_up(choice)) {
      // Nothing explains the failure: once more, before privileges are blamed for it.
      if (std::exchange(explained, false)) {
        PARE_CHECK_OK(fails("give-back", choice, 2));
      }
      if (!apply_untraced(choice)) return false;
    }
    PARE_TRY(bool pass, passes("give-back", choice));
    if (pass) return true;
  }
  return false;
}

Step<std::vector<Privilege>> Search::needed_of(const Choice& base,
                                               const std::vector<Privilege>& list,
                                               bool base_fails) {
  if (!base_fails) {
    PARE_TRY(bool pass, passes("bisect", base));
    if (pass) return std::vector<Privilege>{};
  }
  if (list.size() <= 1) return list;
  auto middle = list.begin() + static_cast<std::ptrdiff_t>(list.size() / 2);
  std::vector<Privilege> dangerous(list.begin(), middle);
  std::vector<Privilege> rest(middle, list.end());
  Choice with_rest = base;
  with_rest.granted.insert(rest.begin(), rest.end());
  PARE_TRY(std::vector<Privilege> needed, needed_of(with_rest, dangerous, false));
  Choice with_needed = base;
  with_needed.granted.insert(needed.begin(), needed.end());
  PARE_TRY(std::vector<Privilege> others, needed_of(with_needed, rest, needed.empty()));
  needed.insert(needed.end(), others.begin(), others.end());
  return needed;
}

Step<Choice> Search::shrink(Choice base, const std::vector<Privilege>& candidates) {
  Choice top = base;
  top.granted.insert(candidates.begin(), candidates.end());
  if (candidates.size() > kOneByOne) {
    PARE_TRY(std::vector<Privilege> needed, needed_of(base, candidates, false));
    base.granted.insert(needed.begin(), needed.end());
    PARE_TRY(bool pass, passes("bisect", base));
    if (pass) return base;
  }
  // Few candidates, or a server that fails with more as well as with less: singly, from the top.
  for (const Privilege& candidate : candidates) {
    Choice less = without(top, candidate);
    PARE_TRY(bool pass, passes("bisect", less));
    if (pass) top = less;
  }
  return top;
}

Step<Choice> Search::polish(Choice choice, const Choice& floor) {
  bool changed = true;
  while (changed) {
    changed = false;
    std::vector<std::pair<Choice, int>> all;
    for (const Privilege& p : removable(choice, floor)) all.emplace_back(without(choice, p), 1);
    PARE_CHECK_OK(fail_ahead("minimal", all));
    for (const Privilege& p : removable(choice, floor)) {
      Choice less = without(choice, p);
      PARE_TRY(bool pass, passes("minimal", less));
      if (!pass) continue;
      choice = less;
      changed = true;
    }
    Choice before = choice;
    PARE_TRY(choice, drop_settings(choice, floor));
    changed = changed || !(choice == before);
  }
  return choice;
}

// Variables, copies and owners that were guessed and make no difference.
Step<Choice> Search::drop_settings(Choice choice, const Choice& floor) {
  if (!choice.environment.empty() && floor.environment.empty()) {
    Choice less = choice;
    less.environment.clear();
    PARE_TRY(bool pass, passes("minimal", less));
    if (pass) choice = less;
  }
  for (const std::string& path : std::set<std::string>(choice.owned)) {
    if (floor.owned.count(path) > 0) continue;
    Choice less = choice;
    less.owned.erase(path);
    PARE_TRY(bool pass, passes("minimal", less));
    if (pass) choice = less;
  }
  for (const auto& [path, form] : std::map<std::string, TmpfsForm>(choice.forms)) {
    if (!form.copy_up || choice.granted.count({Axis::kWrite, path}) == 0) continue;
    Choice less = choice;
    less.forms[path].copy_up = false;
    PARE_TRY(bool pass, passes("minimal", less));
    if (pass) choice = less;
  }
  return choice;
}

Step<Choice> Search::bisect_all(const Choice& start) {
  Choice all = universe_.everything(start);
  PARE_TRY(bool pass, passes("give-back", all));
  if (pass) return all;
  // The settings themselves may be what fails.
  Choice plain = all;
  plain.environment.clear();
  plain.forms.clear();
  PARE_TRY(pass, passes("give-back", plain));
  if (pass) return plain;
  return tl::unexpected(Stop{Stop::Why::kFlaky, {}});
}

// What leaves a trace when it is exercised, and left none in the passing run.
std::vector<Privilege> Search::unused(const Choice& passing, const Choice& floor) const {
  const evidence::Evidence* seen = evidence(passing, true);
  if (seen == nullptr) return {};
  Universe used(question_, universe_.check_ports(), {*seen});
  std::vector<Privilege> list;
  for (const Privilege& p : removable(passing, floor)) {
    const Element* element = used.find(p);
    if (leaves_trace(p.axis) && (element == nullptr || !element->used)) list.push_back(p);
  }
  return list;
}

// Without the privileges that the passing run never exercised, then bisected.
Step<Choice> Search::reduce(const Choice& passing, const Choice& floor) {
  Choice choice = passing;
  Choice exercised = choice;
  for (const Privilege& p : unused(choice, floor)) exercised.granted.erase(p);
  if (!(exercised == choice)) {
    PARE_TRY(bool pass, passes("bisect", exercised));
    if (pass) choice = exercised;
  }
  std::vector<Privilege> candidates = removable(choice, floor);
  Choice base = choice;
  for (const Privilege& p : candidates) base.granted.erase(p);
  return shrink(base, candidates);
}

// What less dangerous stand-ins the run without `p` asked for and did not get, until it passes or
// asks for nothing more.
Step<std::optional<Choice>> Search::stand_ins(const Choice& choice, const Privilege& p) {
  Choice other = without(choice, p);
  for (int round = 0; round < kRounds; ++round) {
    PARE_TRY(bool pass, passes(round == 0 ? "minimal" : "bisect", other));
    if (pass) return other;
    Hints said = hints(other);
    std::set<Privilege> instead = said.likely;
    instead.insert(said.possible.begin(), said.possible.end());
    Choice more = other;
    for (const Privilege& q : instead) {
      if (q != p && danger(q) < danger(p)) more.granted.insert(q);
    }
    if (more == other) return std::nullopt;
    other = more;
  }
  return std::nullopt;
}

// The less dangerous where either of two would do.
Step<Choice> Search::prefer(Choice choice, const Choice& floor) {
  for (const Privilege& p : removable(choice, floor)) {
    PARE_TRY(std::optional<Choice> other, stand_ins(choice, p));
    if (!other) continue;
    PARE_TRY(choice, reduce(*other, floor));
    return prefer(choice, floor);
  }
  return choice;
}

Step<Choice> Search::find(const Choice& floor) {
  PARE_TRY(bool pass, passes(manner_.cold ? "cold" : "all-away", floor));
  if (pass) return floor;
  Choice choice = floor;
  PARE_TRY(pass, give_back(choice));
  if (!pass) {
    PARE_TRY(bool again, fails("all-away", floor, 2));
    if (!again) return floor;
    PARE_TRY(choice, bisect_all(choice));
  }
  PARE_TRY(choice, reduce(choice, floor));
  PARE_TRY(choice, fix_rootfs(choice));
  PARE_TRY(choice, fix_user(choice));
  PARE_TRY(choice, fix_volumes(choice));
  PARE_TRY(choice, polish(choice, floor));
  PARE_TRY(choice, prefer(choice, floor));
  return polish(choice, floor);
}

}  // namespace pare::prove
