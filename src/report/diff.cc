#include "report/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "report/view.h"

namespace pare::report {

using privilege::Policy;
using verdict::Proof;

namespace {

constexpr std::array<std::pair<Direction, std::string_view>, 3> kDirections = {{
    {Direction::kLooser, "looser"},
    {Direction::kTighter, "tighter"},
    {Direction::kOther, "other"},
}};

// The privileges that a policy grants, as the vocabulary names them: a set, so that two policies
// are compared by what each has over the other.
std::set<std::string> grants(const Policy& policy) {
  std::set<std::string> out;
  if (policy.user.uid == 0) out.insert("user/root");
  for (uint32_t gid : policy.user.groups) out.insert(fmt::format("group/{}", gid));
  if (!policy.no_new_privileges) out.insert("escalation/new-privileges");
  if (policy.rootfs_writable) out.insert("rootfs/write");
  for (const std::string& name : policy.capabilities.names()) out.insert("capability/" + name);
  for (const privilege::Writable& w : policy.writable) out.insert("write:" + w.path);
  for (const privilege::VolumeAccess& v : policy.volumes) {
    if (v.writable) out.insert("volume-write:" + v.path);
  }
  for (const privilege::PortGrant& p : policy.ports) {
    out.insert(fmt::format("port/{}/{}", p.port, p.protocol));
  }
  if (policy.egress_any) out.insert("egress/any");
  for (const privilege::EgressGrant& e : policy.egress) {
    out.insert("egress/" + (e.port == 0 ? e.name : fmt::format("{}:{}", e.name, e.port)));
  }
  for (const std::string& device : policy.devices) out.insert("device:" + device);
  for (const std::string& name : policy.host_namespaces) out.insert("namespace/host-" + name);
  return out;
}

std::string because_of(const Proof& proof, const std::string& privilege) {
  for (const verdict::Verdict& v : proof.verdicts) {
    if (privilege::to_string(v.privilege) == privilege) return v.because;
  }
  return "";
}

void compare_grants(const Proof& older, const Proof& newer, std::vector<Change>& out) {
  std::set<std::string> before = grants(older.policy), after = grants(newer.policy);
  for (const std::string& name : after) {
    if (before.count(name) > 0) continue;
    out.push_back({Direction::kLooser, name, "not granted", "granted", because_of(newer, name)});
  }
  for (const std::string& name : before) {
    if (after.count(name) > 0) continue;
    out.push_back({Direction::kTighter, name, "granted", "not granted", because_of(newer, name)});
  }
}

// Whether whatever `newer` lets through of what `older` narrows, `older` let through.
bool within(const privilege::SeccompProfile& newer, const privilege::SeccompProfile& older) {
  auto narrower = [&](const privilege::SeccompArgument& before) {
    const auto& calls = newer.syscalls;
    if (std::find(calls.begin(), calls.end(), before.syscall) == calls.end()) return true;
    return std::any_of(newer.arguments.begin(), newer.arguments.end(), [&](const auto& after) {
      bool same = after.syscall == before.syscall && after.index == before.index &&
                  after.mask == before.mask;
      std::set<uint64_t> values(before.values.begin(), before.values.end());
      return same && std::all_of(after.values.begin(), after.values.end(),
                                 [&](uint64_t value) { return values.count(value) > 0; });
    });
  };
  return std::all_of(older.arguments.begin(), older.arguments.end(), narrower);
}

// "socket 0&0xffffffff in 1 2": what a call is narrowed to.
std::set<std::string> narrowings(const privilege::SeccompProfile& profile) {
  std::set<std::string> out;
  for (const privilege::SeccompArgument& a : profile.arguments) {
    out.insert(
        fmt::format("{} {}&{:#x} in {}", a.syscall, a.index, a.mask, fmt::join(a.values, " ")));
  }
  return out;
}

void compare_calls(const Policy& older, const Policy& newer, std::vector<Change>& out) {
  auto state = [](const Policy& p) {
    if (p.seccomp) return fmt::format("a list of {}", p.seccomp->syscalls.size());
    return std::string(p.seccomp_default ? "the engine's default filter" : "no filter");
  };
  if (!older.seccomp || !newer.seccomp) {
    auto openness = [](const Policy& p) { return p.seccomp ? 0 : p.seccomp_default ? 1 : 2; };
    int step = openness(newer) - openness(older);
    if (step == 0) return;
    out.push_back({step > 0 ? Direction::kLooser : Direction::kTighter, "system calls",
                   state(older), state(newer), ""});
    return;
  }
  const auto& a = older.seccomp->syscalls;
  const auto& b = newer.seccomp->syscalls;
  std::set<std::string> before(a.begin(), a.end()), after(b.begin(), b.end());
  std::vector<std::string> gained, lost;
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::back_inserter(gained));
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                      std::back_inserter(lost));
  auto narrow = [](const std::set<std::string>& set) {
    return set.empty() ? std::string("any")
                       : base::join(std::vector<std::string>(set.begin(), set.end()), "; ");
  };
  std::set<std::string> old_set = narrowings(*older.seccomp), new_set = narrowings(*newer.seccomp);
  if (old_set != new_set) {
    bool tighter = within(*newer.seccomp, *older.seccomp);
    out.push_back({tighter ? Direction::kTighter : Direction::kLooser, "system call arguments",
                   narrow(old_set), narrow(new_set), ""});
  }
  if (!gained.empty()) {
    out.push_back({Direction::kLooser, "system calls", "", base::join(gained, " "), ""});
  }
  if (!lost.empty()) {
    out.push_back({Direction::kTighter, "system calls", base::join(lost, " "), "", ""});
  }
}

// A larger limit is looser; no limit is the largest.
void compare_limit(const char* name, const std::optional<uint64_t>& before,
                   const std::optional<uint64_t>& after, bool none_is_unlimited,
                   std::vector<Change>& out) {
  if (before == after) return;
  auto text = [&](const std::optional<uint64_t>& v) {
    return v ? std::to_string(*v) : none_is_unlimited ? "no limit" : "the default";
  };
  Direction direction = Direction::kOther;
  uint64_t none = none_is_unlimited ? UINT64_MAX : 0;
  if (before.value_or(none) != after.value_or(none)) {
    bool more = after.value_or(none) > before.value_or(none);
    direction = more ? Direction::kLooser : Direction::kTighter;
  }
  out.push_back({direction, name, text(before), text(after), ""});
}

void compare_text(const std::string& what, const std::string& before, const std::string& after,
                  std::vector<Change>& out) {
  auto shown = [](const std::string& text) { return text.empty() ? "unknown" : text; };
  if (before != after) out.push_back({Direction::kOther, what, shown(before), shown(after), ""});
}

void compare_maps(const std::string& what, const std::map<std::string, std::string>& before,
                  const std::map<std::string, std::string>& after, std::vector<Change>& out) {
  std::set<std::string> names;
  for (const auto& [name, value] : before) names.insert(name);
  for (const auto& [name, value] : after) names.insert(name);
  auto value_in = [](const std::map<std::string, std::string>& map, const std::string& name) {
    auto it = map.find(name);
    return it == map.end() ? std::string("not set") : it->second;
  };
  for (const std::string& name : names) {
    compare_text(what + name, value_in(before, name), value_in(after, name), out);
  }
}

void compare_verdicts(const Proof& older, const Proof& newer, std::vector<Change>& out) {
  std::set<std::string> told;
  for (const Change& change : out) told.insert(change.what);
  std::map<std::string, std::string_view> before;
  for (const verdict::Verdict& v : older.verdicts) {
    before[privilege::to_string(v.privilege)] = verdict::to_string(v.kind);
  }
  for (const verdict::Verdict& v : newer.verdicts) {
    std::string name = privilege::to_string(v.privilege);
    auto old = before.find(name);
    if (old == before.end() || old->second == verdict::to_string(v.kind) || told.count(name) > 0) {
      continue;
    }
    out.push_back({Direction::kOther, name, std::string(old->second),
                   std::string(verdict::to_string(v.kind)), v.because});
  }
}

void compare_surroundings(const Proof& older, const Proof& newer, std::vector<Change>& out) {
  const target::Target &a = older.target, &b = newer.target;
  compare_text("target", subject(older), subject(newer), out);
  compare_text("command", base::shell_join(a.argv), base::shell_join(b.argv), out);
  auto checks = [](const Proof& p) { return base::join(check_lines(p), "; "); };
  compare_text("checks", checks(older), checks(newer), out);
  compare_text("platform", older.platform.name, newer.platform.name, out);
  compare_text("runtime", older.runtime, newer.runtime, out);
  compare_text("kernel", older.kernel, newer.kernel, out);
  compare_text("proof", headline(older), headline(newer), out);
  // A proof that is worth less than the one before it is drift too.
  bool worse = (older.confirmed && !newer.confirmed) || (older.minimal && !newer.minimal);
  if (worse) out.back().direction = Direction::kLooser;
}

}  // namespace

std::string_view to_string(Direction direction) {
  for (const auto& [value, name] : kDirections) {
    if (value == direction) return name;
  }
  return "other";
}

bool Diff::looser() const {
  return std::any_of(changes.begin(), changes.end(),
                     [](const Change& c) { return c.direction == Direction::kLooser; });
}

Diff compare(const Proof& older, const Proof& newer) {
  Diff diff;
  std::vector<Change>& out = diff.changes;
  const Policy &a = older.policy, &b = newer.policy;
  compare_grants(older, newer, out);
  compare_calls(a, b, out);
  auto user = [](const Policy& p) { return fmt::format("{}:{}", p.user.uid, p.user.gid); };
  compare_text("user", user(a), user(b), out);
  auto owned = [](const Policy& p) {
    std::vector<std::string> paths;
    for (const privilege::VolumeAccess& v : p.volumes) {
      if (v.owned) paths.push_back(v.path);
    }
    return paths.empty() ? std::string("none") : base::join(paths, ", ");
  };
  compare_text("volumes given to the user", owned(a), owned(b), out);
  compare_limit("processes", a.pids_max, b.pids_max, true, out);
  compare_limit("locked memory", a.memlock_bytes, b.memlock_bytes, false, out);
  compare_limit("/dev/shm", a.shm_bytes, b.shm_bytes, false, out);
  compare_maps("sysctl ", a.sysctls, b.sysctls, out);
  compare_maps("variable ", a.environment, b.environment, out);
  auto arguments = [](const Policy& p) {
    return p.arguments ? base::shell_join(*p.arguments) : std::string("the target's");
  };
  compare_text("arguments", arguments(a), arguments(b), out);
  compare_verdicts(older, newer, out);
  compare_surroundings(older, newer, out);
  std::stable_sort(out.begin(), out.end(), [](const Change& x, const Change& y) {
    return static_cast<int>(x.direction) < static_cast<int>(y.direction);
  });
  return diff;
}

std::string diff_text(const Diff& diff, bool colour) {
  if (diff.changes.empty()) return "The two proofs say the same.\n";
  static constexpr const char* kMarks[] = {"+", "-", "~"};
  static constexpr const char* kColours[] = {"\x1b[31m", "\x1b[32m", ""};
  std::string out;
  for (const Change& change : diff.changes) {
    auto index = static_cast<size_t>(change.direction);
    std::string line = std::string(kMarks[index]) + " " + change.what + ": ";
    if (change.before.empty() || change.after.empty()) {
      line += change.after.empty() ? "no longer " + change.before : "also " + change.after;
    } else {
      line += change.before + " -> " + change.after;
    }
    line = printable(line);
    if (!change.because.empty()) line += printable(" (" + change.because + ")");
    bool coloured = colour && kColours[index][0] != '\0';
    out += coloured ? kColours[index] + line + "\x1b[0m\n" : line + "\n";
  }
  return out;
}

base::Json to_json(const Diff& diff) {
  base::Json changes = base::Json::array();
  for (const Change& c : diff.changes) {
    changes.push_back({{"direction", to_string(c.direction)},
                       {"what", c.what},
                       {"before", c.before},
                       {"after", c.after},
                       {"because", c.because}});
  }
  return {{"schema", "pare.diff/v1"}, {"looser", diff.looser()}, {"changes", changes}};
}

}  // namespace pare::report
