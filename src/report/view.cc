#include "report/view.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/text.h"

namespace pare::report {

using privilege::Axis;
using verdict::Kind;
using verdict::Proof;
using verdict::Verdict;

namespace {

constexpr size_t kWorthGrouping = 3;

std::string plural(Axis axis) {
  if (axis == Axis::kCapability) return "capabilities";
  if (axis == Axis::kSyscall) return "system calls";
  if (axis == Axis::kWrite) return "writable paths";
  return fmt::format("{} privileges", privilege::axis_name(axis));
}

std::string because_of(const Verdict& v) {
  std::string because = v.because;
  if (v.fix) because += (because.empty() ? "fix: " : "; fix: ") + v.fix->text;
  if (v.phase == evidence::Phase::kPull) because = "(pull) " + because;
  return because;
}

int rank(Kind kind) {
  return kind == Kind::kUnproven ? -1 : static_cast<int>(kind);
}

// What must agree for verdicts to share a row; capabilities and the like, never paths or ports,
// which a reader looks for by name.
using Key = std::tuple<int, Axis, bool, bool, bool, std::string>;
Key key_of(const Verdict& v) {
  return {rank(v.kind), v.privilege.axis, v.asked, v.used, v.tolerated, because_of(v)};
}

bool may_group(const Verdict& v) {
  return v.privilege.axis == Axis::kCapability || v.privilege.axis == Axis::kSyscall;
}

Row row_of(std::vector<const Verdict*> verdicts) {
  Row row;
  row.because = because_of(*verdicts[0]);
  if (verdicts.size() == 1) {
    row.privilege = privilege::to_string(verdicts[0]->privilege);
  } else {
    row.privilege = fmt::format("{} {}", verdicts.size(), plural(verdicts[0]->privilege.axis));
    std::vector<std::string> names;
    for (const Verdict* v : verdicts) names.push_back(v->privilege.value);
    row.because += (row.because.empty() ? "" : ": ") + base::join(names, ", ");
  }
  row.privilege = printable(row.privilege);
  row.because = printable(row.because);
  row.verdicts = std::move(verdicts);
  return row;
}

std::string bytes(uint64_t n) {
  if (n >= uint64_t{1} << 30) return fmt::format("{:.1f} GiB", static_cast<double>(n) / (1 << 30));
  if (n >= uint64_t{1} << 20) return fmt::format("{:.1f} MiB", static_cast<double>(n) / (1 << 20));
  return fmt::format("{} bytes", n);
}

std::string checks_text(const Proof& proof) {
  std::vector<std::string> names;
  for (const verdict::CheckEntry& check : proof.checks) names.push_back(check.name);
  return names.empty() ? "no check is named in this proof"
                       : "the checks were " + base::join(names, ", ");
}

void add_platform_gaps(const Proof& proof, std::vector<std::string>& out) {
  const privilege::Platform& platform = proof.platform;
  if (!platform.can_set_pids && proof.policy.pids_max) {
    out.push_back(platform.name + " has no field for a limit of processes");
  }
  if (!platform.can_set_memlock && proof.policy.memlock_bytes) {
    out.push_back(platform.name + " has no field for RLIMIT_MEMLOCK");
  }
  if (platform.tmpfs_exec && !proof.policy.writable.empty()) {
    out.push_back("files in writable directories can be executed: " + platform.name +
                  " cannot mount them noexec");
  }
  if (!proof.policy.seccomp) {
    out.emplace_back(proof.policy.seccomp_default
                         ? "which system calls it needs: the default filter stood"
                         : "which system calls it needs: no list was proved");
  }
}

template <typename T, typename Text>
std::string list_or_none(const std::vector<T>& items, Text text) {
  std::vector<std::string> out;
  for (const T& item : items) out.push_back(text(item));
  return out.empty() ? "none" : base::join(out, ", ");
}

std::string seccomp_text(const privilege::Policy& policy) {
  if (policy.seccomp) {
    std::set<std::string> narrowed;
    for (const auto& argument : policy.seccomp->arguments) narrowed.insert(argument.syscall);
    std::string rest = narrowed.empty() ? "" : fmt::format(", {} narrowed", narrowed.size());
    return fmt::format("{} calls{}", policy.seccomp->syscalls.size(), rest);
  }
  return policy.seccomp_default ? "the engine's default filter" : "no filter";
}

}  // namespace

std::vector<Row> table_rows(const Proof& proof) {
  std::vector<const Verdict*> ordered;
  std::map<Key, size_t> sizes;
  for (const Verdict& v : proof.verdicts) {
    ordered.push_back(&v);
    ++sizes[key_of(v)];
  }
  std::stable_sort(ordered.begin(), ordered.end(), [](const Verdict* a, const Verdict* b) {
    return rank(a->kind) < rank(b->kind);
  });
  std::vector<Row> rows;
  std::map<Key, bool> done;
  for (const Verdict* v : ordered) {
    Key key = key_of(*v);
    if (!may_group(*v) || sizes[key] < kWorthGrouping) {
      rows.push_back(row_of({v}));
      continue;
    }
    if (std::exchange(done[key], true)) continue;
    std::vector<const Verdict*> same;
    std::copy_if(ordered.begin(), ordered.end(), std::back_inserter(same),
                 [&](const Verdict* other) { return key_of(*other) == key; });
    rows.push_back(row_of(std::move(same)));
  }
  return rows;
}

std::vector<Loss> losses(const Proof& proof) {
  std::vector<const Verdict*> gone;
  for (const Verdict& v : proof.verdicts) {
    bool taken =
        (v.kind == Kind::kUnneeded || v.kind == Kind::kFixable) && !verdict::stays_reachable(v);
    if (v.asked && taken && v.phase == evidence::Phase::kServe) gone.push_back(&v);
  }
  std::stable_sort(gone.begin(), gone.end(), [](const Verdict* a, const Verdict* b) {
    return privilege::danger(a->privilege) > privilege::danger(b->privilege);
  });
  std::vector<Loss> out;
  for (const Verdict* v : gone) {
    std::string gain(privilege::gain(v->privilege));
    auto same = std::find_if(out.begin(), out.end(), [&](const Loss& l) { return l.gain == gain; });
    if (same == out.end()) same = out.insert(out.end(), Loss{gain, {}});
    same->privileges.push_back(privilege::to_string(v->privilege));
  }
  return out;
}

std::vector<std::string> loss_lines(const Proof& proof) {
  std::vector<std::string> out;
  for (const Loss& loss : losses(proof)) {
    out.push_back(loss.gain + " (" + base::join(loss.privileges, ", ") + ")");
  }
  return out;
}

std::vector<std::string> finding_lines(const Proof& proof) {
  std::vector<std::string> out;
  for (const verdict::Finding& f : proof.findings) out.push_back(f.severity + ": " + f.text);
  return out;
}

std::vector<std::string> check_lines(const Proof& proof) {
  std::vector<std::string> out;
  for (const verdict::CheckEntry& check : proof.checks) {
    out.push_back(check.name + ": " + check.spec);
  }
  return out;
}

std::vector<std::string> not_shown(const Proof& proof) {
  std::vector<std::string> out;
  if (!proof.minimal) out.push_back("this proof is not minimal: " + proof.not_minimal_because);
  for (const Verdict& v : proof.verdicts) {
    if (v.kind != Kind::kUnproven) continue;
    out.push_back(privilege::to_string(v.privilege) + ": " + v.because);
  }
  if (proof.loss.any()) {
    std::string maps =
        proof.loss.maps.empty() ? "" : "; full: " + base::join(proof.loss.maps, ", ");
    out.push_back(fmt::format("what the recorder lost: {} events{}", proof.loss.events, maps));
  }
  out.push_back("anything that no check exercised: " + checks_text(proof));
  add_platform_gaps(proof, out);
  for (const std::string& assumption : proof.assumptions) out.push_back("assumed: " + assumption);
  return out;
}

std::string headline(const Proof& proof) {
  if (proof.minimal) return "Confirmed and minimal";
  std::string because = proof.not_minimal_because.empty() ? "" : ": " + proof.not_minimal_because;
  return (proof.confirmed ? "Confirmed, not minimal" : "Not confirmed") + because;
}

std::string cost(const Proof& proof) {
  int starts = 0;
  double seconds = 0;
  for (const verdict::TrialEntry& trial : proof.trials) {
    starts += trial.starts;
    seconds += trial.seconds;
  }
  return fmt::format("for {}: {} container starts, {:.1f} s", proof.platform.name, starts, seconds);
}

std::string subject(const Proof& proof) {
  const target::Target& target = proof.target;
  if (target.kind == target::Kind::kRootfs) {
    return target.rootfs + ": " + base::shell_join(target.argv);
  }
  return target.image + (target.facts.digest.empty() ? "" : " (" + target.facts.digest + ")");
}

std::string printable(std::string text) {
  for (char& c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = ' ';
  }
  return text;
}

std::map<std::string, std::string> fact_lines(const evidence::Evidence& evidence) {
  std::map<std::string, std::string> lines;
  for (const evidence::CapabilityFact& fact : evidence.capabilities) {
    for (const evidence::CapabilityUse& use : fact.uses) {
      std::string object = use.object.empty() ? "" : " " + use.object;
      lines[use.id] = fmt::format("{} {} in {}{} by {}, uid {}", use.granted ? "used" : "missed",
                                  fact.name, use.syscall, object, use.exe, use.uid);
    }
  }
  for (const evidence::FileFact& file : evidence.files) {
    std::string error = file.error ? ": " + *file.error : "";
    lines[file.id] = fmt::format("{} {} by {}, uid {}{}", base::join(file.ops, ", "), file.path,
                                 file.exe, file.uid, error);
  }
  for (const evidence::EgressFact& e : evidence.egress) {
    std::string name = e.name.empty() ? "" : " (" + e.name + ")";
    lines[e.id] = fmt::format("{}:{}/{}{}, {} attempts: {}", e.destination, e.port, e.protocol,
                              name, e.attempts, e.outcome);
  }
  lines.erase("");
  return lines;
}

std::vector<std::pair<std::string, std::string>> policy_lines(const privilege::Policy& policy) {
  auto plain = [](const std::string& text) { return text; };
  std::vector<std::pair<std::string, std::string>> out = {
      {"user", fmt::format("{}:{}", policy.user.uid, policy.user.gid)},
      {"further groups",
       list_or_none(policy.user.groups, [](uint32_t gid) { return std::to_string(gid); })},
      {"capabilities", list_or_none(policy.capabilities.names(), plain)},
      {"new privileges", policy.no_new_privileges ? "refused" : "possible"},
      {"root file system", policy.rootfs_writable ? "writable" : "read-only"},
      {"writable paths",
       list_or_none(policy.writable,
                    [](const privilege::Writable& w) {
                      return w.path + (w.peak_bytes == 0 ? "" : " (" + bytes(w.peak_bytes) + ")");
                    })},
      {"volumes", list_or_none(policy.volumes,
                               [](const privilege::VolumeAccess& v) {
                                 return v.path + (v.writable ? " rw" : " ro") +
                                        (v.owned ? ", given to this user" : "");
                               })},
      {"ports", list_or_none(policy.ports,
                             [](const privilege::PortGrant& p) {
                               std::string text =
                                   fmt::format("{}/{} {}", p.port, p.protocol, p.role);
                               if (p.instead == 0) return text;
                               return text + fmt::format(" (instead of {})", p.instead);
                             })},
      {"egress", policy.egress_any
                     ? "any"
                     : list_or_none(policy.egress,
                                    [](const privilege::EgressGrant& e) {
                                      return e.port == 0 ? e.name
                                                         : fmt::format("{}:{}", e.name, e.port);
                                    })},
      {"system calls", seccomp_text(policy)},
  };
  if (!policy.devices.empty()) out.emplace_back("devices", list_or_none(policy.devices, plain));
  if (!policy.host_namespaces.empty()) {
    out.emplace_back("host namespaces", list_or_none(policy.host_namespaces, plain));
  }
  if (policy.pids_max) out.emplace_back("processes", fmt::format("at most {}", *policy.pids_max));
  if (policy.memlock_bytes) out.emplace_back("locked memory", bytes(*policy.memlock_bytes));
  if (policy.shm_bytes) out.emplace_back("/dev/shm", bytes(*policy.shm_bytes));
  for (const auto& [name, value] : policy.sysctls) out.emplace_back("sysctl " + name, value);
  for (const auto& [name, value] : policy.environment) out.emplace_back("variable " + name, value);
  if (policy.arguments) out.emplace_back("arguments", base::shell_join(*policy.arguments));
  return out;
}

}  // namespace pare::report
