#include "prove/labels.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "prove/high_port.h"

namespace pare::prove {

namespace {

const Privilege kRoot{Axis::kUser, "root"};
const Privilege kRootfs{Axis::kRootfs, "write"};

std::string user_text(const privilege::User& user) {
  return "uid " + std::to_string(user.uid);
}

verdict::Fix user_fix(const privilege::User& user) {
  verdict::Fix fix{"run as " + user_text(user),
                   "user=" + std::to_string(user.uid) + ":" + std::to_string(user.gid)};
  for (uint32_t group : user.groups) {
    fix.text += " with the group " + std::to_string(group);
    fix.change += " group=" + std::to_string(group);
  }
  return fix;
}

verdict::Fix stand_in_fix(const Privilege& privilege, const Universe& universe,
                          const Choice& choice) {
  if (privilege.axis == Axis::kMemlock) return {"raise the memlock limit", "memlock=unlimited"};
  privilege::Policy policy = universe.policy(choice);
  std::string setting = privilege.value + "=" + policy.sysctls.at(privilege.value);
  return {"set the sysctl " + setting, "sysctl=" + setting};
}

verdict::Fix home_fix(const Choice& choice) {
  std::vector<std::string> texts, changes;
  for (const auto& [name, value] : choice.environment) {
    std::string setting = fmt::format("{}={}", name, value);
    texts.push_back(setting);
    changes.push_back("env=" + setting);
  }
  return {"run as " + user_text(choice.user) + " with " + base::join(texts, " "),
          base::join(changes, " ")};
}

verdict::Fix owned_fix(const Choice& choice) {
  std::vector<std::string> changes = {fmt::format("user={}:{}", choice.user.uid, choice.user.gid)};
  for (const std::string& path : choice.owned) {
    changes.push_back(fmt::format("chown={}:{}:{}", path, choice.user.uid, choice.user.gid));
  }
  return {fmt::format("run as {}, to which the volume {} belongs from the start",
                      user_text(choice.user), fmt::join(choice.owned, ", ")),
          base::join(changes, " ")};
}

}  // namespace

int failures_wanted(const Options& options, bool explained) {
  return std::max(1, options.repeat) + (explained ? 0 : 1);
}

bool Labels::explained(const Choice& without, const Privilege& privilege) {
  Hints said = search_.hints(without);
  return said.touches(privilege) || (privilege == kRoot && !said.empty());
}

// Once less often than what the policy itself rests on: fixable or unneeded, it is not granted.
Step<bool> Labels::fails_by_itself(const Choice& choice, const Privilege& privilege) {
  PARE_TRY(bool failed, search_.fails("fix", choice, 1));
  if (!failed) return false;
  int times = failures_wanted(question_.options, explained(choice, privilege)) - 1;
  return search_.fails("fix", choice, std::max(1, times));
}

Step<void> Labels::show_need(Search& search, const Privilege& privilege) {
  Choice less = without(*answer_.choice, privilege);
  PARE_TRY(bool failed, search.fails("minimal", less, 1));
  if (failed) {
    PARE_TRY(failed, search.fails("minimal", less,
                                  failures_wanted(question_.options, explained(less, privilege))));
  }
  if (!failed) return tl::unexpected(Stop{Stop::Why::kFlaky, {}});
  answer_.needs[privilege] = {search.record(less)->ids(false), true, std::nullopt};
  return {};
}

Step<void> Labels::show_needed() {
  std::vector<std::pair<Choice, int>> all;
  for (const Privilege& p : search_.removable(*answer_.choice, Choice{})) {
    Choice less = without(*answer_.choice, p);
    if (search_.record(less) == nullptr) continue;  // only a restart brings it out
    all.emplace_back(less, failures_wanted(question_.options, explained(less, p)));
  }
  PARE_CHECK_OK(search_.fail_ahead("minimal", all));
  for (const Privilege& p : search_.removable(*answer_.choice, Choice{})) {
    Choice less = without(*answer_.choice, p);
    const Record* plain = search_.record(less);
    const Record* restarted = restarting_.record(less);
    bool by_restart =
        plain != nullptr ? plain->passes() > 0 : restarted != nullptr && restarted->fails() > 0;
    PARE_CHECK_OK(show_need(by_restart ? restarting_ : search_, p));
  }
  return {};
}

bool Labels::lacks(const Privilege& privilege) const {
  return universe_.lacks(*answer_.choice, privilege);
}

// As root it used what another uid may do without: which uid it is then matters.
bool Labels::cares_for_owners() const {
  return std::any_of(
      universe_.elements().begin(), universe_.elements().end(), [&](const Element& element) {
        return element.privilege.axis == Axis::kCapability && element.used &&
               is_about_owners(element.privilege.value) && !tolerated(element.privilege);
      });
}

Step<void> Labels::label_user() {
  const Choice& choice = *answer_.choice;
  if (!lacks(kRoot)) return {};
  if (!choice.owned.empty()) {
    Choice foreign = choice;
    foreign.owned.clear();
    PARE_TRY(bool failed, fails_by_itself(foreign, kRoot));
    if (failed) {
      answer_.needs[kRoot] = {search_.record(foreign)->ids(false), true, owned_fix(choice)};
    }
    return {};
  }
  if (!choice.environment.empty()) {
    Choice homeless = choice;
    homeless.environment.clear();
    PARE_TRY(bool failed, fails_by_itself(homeless, kRoot));
    if (failed) {
      answer_.needs[kRoot] = {search_.record(homeless)->ids(false), true, home_fix(choice)};
    }
    return {};
  }
  const UserCandidate* generic = nullptr;
  bool ordinary = false;
  for (const UserCandidate& candidate : search_.users()) {
    if (candidate.special) continue;
    bool mine = candidate.user == choice.user;
    ordinary = ordinary || mine;
    if (!mine && generic == nullptr) generic = &candidate;
  }
  if ((ordinary && !cares_for_owners()) || generic == nullptr) return {};
  Choice other = choice;
  other.user = generic->user;
  PARE_TRY(bool failed, fails_by_itself(other, kRoot));
  if (failed) {
    answer_.needs[kRoot] = {search_.record(other)->ids(false), true, user_fix(choice.user)};
  }
  return {};
}

// A group that is asked for and withheld, and that is the new user's own.
std::optional<Privilege> Labels::replaced_group() const {
  Privilege group = group_privilege(answer_.choice->user.gid);
  bool replaced = lacks(kRoot) && lacks(group);
  return replaced ? std::optional(group) : std::nullopt;
}

Step<void> Labels::label_group() {
  std::optional<Privilege> group = replaced_group();
  if (!group) return {};
  Choice other = *answer_.choice;
  other.user.gid = search_.users().back().user.gid;
  if (other.user.gid == answer_.choice->user.gid) --other.user.gid;
  PARE_TRY(bool failed, fails_by_itself(other, *group));
  if (failed) {
    verdict::Fix fix = user_fix(answer_.choice->user);
    fix.text += ", whose own group it is";
    answer_.needs[*group] = {search_.record(other)->ids(false), true, fix};
  }
  return {};
}

Step<void> Labels::label_files() {
  const Choice& choice = *answer_.choice;
  if (!lacks(kRootfs)) return {};
  std::vector<std::string> paths, changes;
  Need need;
  for (const auto& [p, shown] : answer_.needs) {
    const Element* element = universe_.find(p);
    if (p.axis != Axis::kWrite || element == nullptr || element->asked) continue;
    auto form = choice.forms.find(p.value);
    bool copy_up = form != choice.forms.end() && form->second.copy_up;
    paths.push_back(p.value + (copy_up ? " with a copy of what the image has there" : ""));
    changes.push_back("tmpfs=" + p.value + (copy_up ? ":copy-up" : ""));
    need.trials.insert(need.trials.end(), shown.trials.begin(), shown.trials.end());
  }
  if (paths.empty()) return {};
  need.shown = true;
  need.fix = {"mount a tmpfs at " + base::join(paths, ", "), base::join(changes, " ")};
  answer_.needs[kRootfs] = need;
  return {};
}

// Whether an act that took the capability failed for want of it. The kernel asks for some of them
// before it sees that the act is allowed anyway: setuid(2) to the own uid.
static bool act_failed(const evidence::Evidence& evidence, const evidence::CapabilityUse& use,
                       const privilege::User& user) {
  if (use.object == "uid " + std::to_string(user.uid)) return false;
  if (use.object == "gid " + std::to_string(user.gid)) return false;
  bool known = false;
  for (const evidence::ArgumentFact& fact : evidence.arguments) {
    if (fact.syscall != use.syscall) continue;
    if (fact.error) return true;
    known = true;
  }
  return !known;
}

// Refused in a passing run of the choice: the server goes on without it.
bool Labels::tolerated(const Privilege& capability) const {
  for (int id : answer_.passes) {
    const evidence::Evidence* evidence = ledger_.evidence(id);
    if (evidence == nullptr) continue;
    for (const evidence::CapabilityFact& fact : evidence->capabilities) {
      if (fact.name != capability.value || fact.refused == 0) continue;
      bool failed = std::any_of(fact.uses.begin(), fact.uses.end(), [&](const auto& use) {
        return !use.granted && act_failed(*evidence, use, answer_.choice->user);
      });
      if (failed || fact.uses.empty()) return true;
    }
  }
  return false;
}

// Where a setting stands in for a capability that only root would get, root itself is replaced too.
void Labels::label_stood_in(std::set<Privilege>& used) {
  const Choice& choice = *answer_.choice;
  for (const Privilege& p : std::set<Privilege>(used)) {
    auto setting = answer_.needs.find(stand_in(p.value));
    if (setting == answer_.needs.end() || choice.granted.count(setting->first) == 0) continue;
    verdict::Fix fix = stand_in_fix(setting->first, universe_, choice);
    Need need{setting->second.trials, true, fix};
    answer_.needs[p] = need;
    used.erase(p);
    bool replaced = lacks(kRoot) && !question_.platform.ambient_capabilities;
    if (replaced) answer_.needs.try_emplace(kRoot, need);
  }
}

// The same policy with the ports of today: what it fails for, the server's own setting removed.
Step<void> Labels::label_moved() {
  if (!universe_.moved()) return {};
  const Privilege bind{Axis::kCapability, "NET_BIND_SERVICE"};
  Choice today = *answer_.choice;
  today.today_ports = true;
  PARE_TRY(bool failed, fails_by_itself(today, bind));
  if (!failed) return {};
  Need need{search_.record(today)->ids(false), true, move_fix(universe_)};
  if (lacks(bind)) answer_.needs[bind] = need;
  if (lacks(kRoot) && !question_.platform.ambient_capabilities) {
    answer_.needs.try_emplace(kRoot, need);
  }
  return {};
}

// A runtime's own filter lets some calls through beside a capability alone: the list does so
// without it, and failed without the calls.
void Labels::label_gated() {
  const auto profile = universe_.policy(*answer_.choice).seccomp;
  if (!question_.asked.seccomp_default || !profile) return;
  for (const GatedCalls& row : gated_calls()) {
    Privilege capability{Axis::kCapability, row.capability};
    auto need = answer_.needs.find({Axis::kSyscall, row.name});
    if (need == answer_.needs.end() || !lacks(capability)) continue;
    std::vector<std::string> calls;
    for (const std::string& call : profile->syscalls) {
      if (judged_by(call).value == row.name) calls.push_back(call);
    }
    std::string names = base::join(calls, ", ");
    verdict::Fix fix{"allow " + names + " in the seccomp profile", "seccomp=" + names};
    answer_.needs[capability] = {need->second.trials, true, fix};
  }
}

Step<void> Labels::label_capabilities() {
  const Choice& choice = *answer_.choice;
  std::set<Privilege> used;
  for (const Element& element : universe_.elements()) {
    const Privilege& p = element.privilege;
    if (p.axis != Axis::kCapability || !element.used || choice.granted.count(p) > 0) continue;
    if (!tolerated(p) && answer_.needs.count(p) == 0) used.insert(p);
  }
  label_stood_in(used);
  label_gated();
  if (used.empty() || !lacks(kRoot)) return {};
  // The same policy under another uid failed, and there it was refused.
  if (auto user = answer_.needs.find(kRoot); user != answer_.needs.end()) {
    for (int id : user->second.trials) {
      const evidence::Evidence* evidence = ledger_.evidence(id);
      if (evidence == nullptr) continue;
      for (const auto& fact : evidence->capabilities) {
        Privilege p{Axis::kCapability, fact.name};
        if (fact.refused > 0 && used.erase(p) > 0) answer_.needs[p] = user->second;
      }
    }
  }
  return label_as_root(used);
}

// Root without them: whether the change of user is what made them superfluous.
Step<void> Labels::label_as_root(const std::set<Privilege>& used) {
  if (used.empty()) return {};
  Choice root = *answer_.choice;
  root.granted.insert(kRoot);
  for (const auto& [p, need] : answer_.needs) {
    if (p.axis == Axis::kCapability) root.granted.insert(p);
  }
  PARE_TRY(bool pass, search_.passes("fix", root));
  if (pass) return {};
  Choice with = root;
  for (const Element& element : universe_.elements()) {
    bool capability = element.privilege.axis == Axis::kCapability;
    if (capability && element.used) with.granted.insert(element.privilege);
  }
  PARE_TRY(pass, search_.passes("fix", with));
  if (!pass) return {};
  std::vector<Privilege> candidates = search_.removable(with, root);
  PARE_TRY(Choice least, search_.shrink(root, candidates));
  for (const Privilege& p : used) {
    if (least.granted.count(p) == 0) continue;
    Choice less = without(least, p);
    PARE_TRY(bool failed, fails_by_itself(less, p));
    if (!failed) continue;
    answer_.needs[p] = {search_.record(less)->ids(false), true, user_fix(answer_.choice->user)};
  }
  return {};
}

std::vector<Privilege> Labels::undecided() const {
  std::vector<Privilege> list;
  for (const Element& element : universe_.elements()) {
    const Privilege& p = element.privilege;
    bool fixable = p == kRoot || p == kRootfs || p == replaced_group() ||
                   (p.axis == Axis::kCapability && element.used && !tolerated(p));
    for (const GatedCalls& row : gated_calls()) {
      bool gate = p == Privilege{Axis::kCapability, row.capability};
      fixable |= gate && answer_.choice->granted.count({Axis::kSyscall, row.name}) > 0;
    }
    bool decided = answer_.choice->granted.count(p) > 0 || answer_.needs.count(p) > 0;
    if (fixable && !decided) list.push_back(p);
  }
  return list;
}

void Labels::show_known() {
  for (const Privilege& p : search_.removable(*answer_.choice, Choice{})) {
    Choice less = without(*answer_.choice, p);
    const Record* known = search_.record(less);
    bool shown = known != nullptr && known->passes() == 0 &&
                 known->fails() >= failures_wanted(question_.options, explained(less, p));
    if (shown) answer_.needs.try_emplace(p, Need{known->ids(false), true, std::nullopt});
  }
}

Step<void> Labels::show() {
  PARE_CHECK_OK(show_needed());
  PARE_CHECK_OK(label_user());
  PARE_CHECK_OK(label_group());
  PARE_CHECK_OK(label_files());
  PARE_CHECK_OK(label_moved());
  if (universe_.recorded()) return label_capabilities();
  return {};
}

}  // namespace pare::prove
