#include "prove/universe.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "base/text.h"
#include "privilege/seccomp.h"
#include "prove/arguments.h"
#include "prove/candidates.h"
#include "prove/high_port.h"
#include "prove/usage.h"

namespace pare::prove {

using evidence::Evidence;
using evidence::Phase;

namespace {

constexpr uint16_t kFirstOrdinaryPort = 1024;
constexpr uint64_t kFewestPids = 64;
constexpr uint64_t kPidsMargin = 2;  // times what was seen

template <typename T>
bool contains(const std::vector<T>& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

Privilege group_privilege(uint32_t gid) {
  return {Axis::kGroup, std::to_string(gid)};
}

Privilege stand_in(const std::string& capability) {
  if (capability == "NET_BIND_SERVICE") return {Axis::kSysctl, kPortStart};
  if (capability == "IPC_LOCK") return {Axis::kMemlock, "unlimited"};
  return {Axis::kCapability, capability};
}

bool leaves_trace(Axis axis) {
  static constexpr std::array kTraced = {Axis::kCapability,  Axis::kRootfs, Axis::kWrite,
                                         Axis::kVolumeWrite, Axis::kEgress, Axis::kSyscall,
                                         Axis::kPort};
  return std::find(kTraced.begin(), kTraced.end(), axis) != kTraced.end();
}

Universe::Universe(const Question& question, std::vector<uint16_t> check_ports,
                   std::vector<Evidence> baselines, bool can_raise_memlock)
    : question_(question),
      check_ports_(std::move(check_ports)),
      baselines_(std::move(baselines)),
      can_raise_memlock_(can_raise_memlock) {
  add_asked();
  add_used_calls();
  add_written();
  add_port_start();
  add_memlock();
  add_driver_capabilities();
  recognise();
  port_move_ = move_ports(*this);
  mark_used();
  mark_ports();
  sort();
  for (const Evidence& evidence : baselines_) {
    if (evidence.peaks.tasks == 0) continue;
    pids_limit_ = std::max({pids_limit_, kFewestPids, evidence.peaks.tasks * kPidsMargin});
  }
  if (pids_limit_ > 0 && !question_.asked.pids_max) add({{Axis::kPids, "max"}});
}

void Universe::add_asked() {
  const privilege::Policy& asked = question_.asked;
  auto ask = [&](Axis axis, const std::string& value) { elements_.push_back({{axis, value}}); };
  if (asked.user.uid == 0) ask(Axis::kUser, "root");
  for (uint32_t gid : asked.user.groups) {
    if (!has(group_privilege(gid))) elements_.push_back({group_privilege(gid)});
  }
  if (!asked.no_new_privileges) ask(Axis::kEscalation, "new-privileges");
  for (const std::string& name : asked.capabilities.names()) ask(Axis::kCapability, name);
  for (const std::string& name : asked.host_namespaces) ask(Axis::kNamespace, "host-" + name);
  for (const std::string& path : asked.devices) ask(Axis::kDevice, path);
  if (asked.rootfs_writable) ask(Axis::kRootfs, "write");
  for (const privilege::Writable& w : asked.writable) ask(Axis::kWrite, w.path);
  for (const privilege::VolumeAccess& volume : asked.volumes) {
    if (volume.writable) ask(Axis::kVolumeWrite, volume.path);
  }
  if (asked.egress_any) ask(Axis::kEgress, "any");
  for (const privilege::EgressGrant& grant : asked.egress) {
    ask(Axis::kEgress, grant.name + ":" + std::to_string(grant.port));
  }
  // Without a recorder no list of calls can be made; the runtime's own is the tightest there is.
  bool unfiltered = !asked.seccomp && !asked.seccomp_default;
  if (recorded() ? !asked.seccomp : unfiltered) ask(Axis::kSyscall, "any");
  if (asked.memlock_bytes) ask(Axis::kMemlock, "unlimited");
  if (asked.shm_bytes) ask(Axis::kShm, "size");
  for (const auto& [name, value] : asked.sysctls) ask(Axis::kSysctl, name);
}

void Universe::add_used_calls() {
  if (question_.asked.seccomp) return;
  std::set<Privilege> used;
  for (const Evidence& evidence : baselines_) {
    for (const evidence::SyscallFact& fact : evidence.syscalls) {
      Privilege judged = judged_by(fact.name);
      if (fact.count > 0 && !judged.value.empty()) used.insert(judged);
    }
  }
  for (const Privilege& privilege : used) elements_.push_back({privilege});
}

void Universe::add_written() {
  if (!question_.asked.rootfs_writable) return;
  std::set<std::string> directories;
  for (const Evidence& evidence : baselines_) {
    for (std::string& path : written_directories(question_.asked, evidence)) {
      directories.insert(std::move(path));
    }
  }
  if (!recorded()) {
    for (std::string& path : usual_directories(question_)) directories.insert(std::move(path));
  }
  directories.erase("/");
  for (const std::string& path : directories) {
    elements_.push_back({{Axis::kWrite, path}, /*asked=*/false});
  }
}

uint64_t Universe::first_free_port() const {
  auto given = question_.platform.sysctls.find(kPortStart);
  if (given == question_.platform.sysctls.end()) return kFirstOrdinaryPort;
  return base::parse_u64(given->second).value_or(kFirstOrdinaryPort);
}

// A sysctl in place of NET_BIND_SERVICE: in Kubernetes' safe set, and of no use for anything else.
void Universe::add_port_start() {
  uint64_t start = first_free_port();
  bool low = std::any_of(check_ports_.begin(), check_ports_.end(),
                         [&](uint16_t port) { return port < start; });
  for (const Evidence& evidence : baselines_) {
    for (const evidence::ListenerFact& fact : evidence.listeners) low |= fact.port < start;
  }
  Privilege sysctl{Axis::kSysctl, kPortStart};
  if (low && !has(sysctl)) elements_.push_back({sysctl, /*asked=*/false});
}

// A limit in place of IPC_LOCK, where the platform has a field for it.
void Universe::add_memlock() {
  Privilege memlock{Axis::kMemlock, "unlimited"};
  bool lock = has({Axis::kCapability, "IPC_LOCK"});
  bool possible = question_.platform.can_set_memlock && can_raise_memlock_;
  if (lock && possible && !has(memlock)) {
    elements_.push_back({memlock, /*asked=*/false});
  }
}

void Universe::mark_used() {
  for (Element& element : elements_) {
    for (const Evidence& evidence : baselines_) mark_use(element, evidence, question_.asked);
  }
}

void Universe::mark_ports() {
  std::map<std::string, Element> ports;
  auto port_of = [&](uint16_t port, const std::string& protocol) -> Element* {
    if (protocol == "tcp" && contains(check_ports_, port)) return nullptr;
    std::string value = std::to_string(port) + "/" + protocol;
    return &ports.try_emplace(value, Element{{Axis::kPort, value}, /*asked=*/false}).first->second;
  };
  for (const privilege::PortGrant& grant : question_.asked.ports) {
    if (Element* element = port_of(grant.port, grant.protocol)) element->asked = true;
  }
  for (const Evidence& evidence : baselines_) {
    for (const evidence::ListenerFact& fact : evidence.listeners) {
      if (base::starts_with(fact.address, "127.") || fact.address == "::1") continue;
      Element* element = port_of(fact.port, fact.protocol);
      if (element != nullptr) note_use(*element, "a listener on " + fact.address, "", true);
    }
  }
  for (auto& [value, element] : ports) other_ports_.push_back(element);
}

void Universe::sort() {
  std::sort(elements_.begin(), elements_.end(), [](const Element& a, const Element& b) {
    // Of one axis, "any" goes before what it includes.
    auto rank = [](const Privilege& p) { return std::tuple(danger(p), p.value == "any", p); };
    return rank(a.privilege) < rank(b.privilege);
  });
}

const Element* Universe::find(const Privilege& privilege) const {
  for (const Element& element : elements_) {
    if (element.privilege == privilege) return &element;
  }
  return nullptr;
}

void Universe::add(Element element) {
  if (has(element.privilege)) return;
  elements_.push_back(std::move(element));
  sort();
}

Choice Universe::everything(const Choice& choice) const {
  Choice all = choice;
  for (const Element& element : elements_) {
    // Without a recorder what stands in for a privilege is as good a guess as the privilege.
    if (element.asked || !recorded()) all.granted.insert(element.privilege);
  }
  return all;
}

std::vector<Privilege> Universe::by_danger(const std::set<Privilege>& set) const {
  std::vector<Privilege> ordered;
  for (auto element = elements_.rbegin(); element != elements_.rend(); ++element) {
    if (set.count(element->privilege) > 0) ordered.push_back(element->privilege);
  }
  return ordered;
}

bool Universe::capabilities_reach(const Choice& choice) const {
  // execve(2) by a non-root uid without ambient capabilities clears the effective set; file
  // capabilities and set-user-id programs still count while new privileges are allowed.
  bool root = root_asked() && choice.granted.count({Axis::kUser, "root"}) > 0;
  bool escalates = !question_.asked.no_new_privileges &&
                   choice.granted.count({Axis::kEscalation, "new-privileges"}) > 0;
  return root || question_.platform.ambient_capabilities || escalates;
}

privilege::SeccompProfile Universe::profile(const Choice& choice, bool no_new_privileges) const {
  std::set<std::string> calls = choice.calls;
  std::set<std::string> serve;
  for (const Evidence& evidence : baselines_) {
    for (const evidence::SyscallFact& fact : evidence.syscalls) {
      if (fact.count == 0) continue;
      calls.insert(fact.name);
      if (fact.serve || fact.phase == Phase::kServe) serve.insert(fact.name);
    }
    calls.insert(evidence.runtime_syscalls.begin(), evidence.runtime_syscalls.end());
  }
  const auto& errors = privilege::error_path_syscalls();
  calls.insert(errors.begin(), errors.end());
  serve.insert(errors.begin(), errors.end());
  // A server whose sleep is refused spins.
  for (const char* name : {"clock_nanosleep", "nanosleep", "sched_yield"}) {
    calls.insert(name);
    serve.insert(name);
  }
  const auto& runtime = privilege::runtime_syscalls(no_new_privileges);
  calls.insert(runtime.begin(), runtime.end());
  for (const Element& element : elements_) {
    bool one = element.privilege.axis == Axis::kSyscall && element.privilege.value != "any";
    if (!one) continue;
    const std::string& value = element.privilege.value;
    if (choice.granted.count(element.privilege) > 0) {
      if (contains(risky_calls(), value)) calls.insert(value);
      continue;
    }
    for (const std::string& call : calls_of(value)) {
      calls.erase(call);
      serve.erase(call);
    }
  }
  privilege::SeccompProfile profile;
  profile.syscalls.assign(calls.begin(), calls.end());
  profile.serve.assign(serve.begin(), serve.end());
  profile.arguments = seen_arguments(baselines_, choice.calls);
  for (const std::string& name : privilege::fallback_syscalls()) {
    if (calls.count(name) == 0) profile.enosys.push_back(name);
  }
  return profile;
}

// As asked and granted, then what the choice's own user brings.
std::vector<uint32_t> Universe::groups(const Choice& choice, bool root_withheld) const {
  std::vector<uint32_t> groups = question_.asked.user.groups;
  std::erase_if(groups,
                [&](uint32_t gid) { return choice.granted.count(group_privilege(gid)) == 0; });
  if (root_withheld) {
    groups.insert(groups.end(), choice.user.groups.begin(), choice.user.groups.end());
  }
  return groups;
}

void Universe::restrict_process(const Choice& choice, privilege::Policy& policy) const {
  auto away = [&](Axis axis, const std::string& value) { return lacks(choice, {axis, value}); };
  bool root_withheld = away(Axis::kUser, "root");
  if (root_withheld) policy.user = choice.user;
  policy.user.groups = groups(choice, root_withheld);
  if (away(Axis::kEscalation, "new-privileges")) policy.no_new_privileges = true;
  for (const std::string& name : question_.asked.capabilities.names()) {
    if (!capabilities_reach(choice) || away(Axis::kCapability, name)) {
      policy.capabilities.remove(*privilege::capability_number(name));
    }
  }
  std::erase_if(policy.host_namespaces,
                [&](const std::string& name) { return away(Axis::kNamespace, "host-" + name); });
  std::erase_if(policy.devices, [&](const std::string& path) { return away(Axis::kDevice, path); });
  if (away(Axis::kSyscall, "any")) {
    if (recorded()) {
      policy.seccomp = profile(choice, policy.no_new_privileges);
      policy.seccomp_default = false;
    } else {
      policy.seccomp_default = true;
    }
  }
}

void Universe::restrict_limits(const Choice& choice, privilege::Policy& policy) const {
  auto away = [&](Axis axis, const std::string& value) { return lacks(choice, {axis, value}); };
  if (away(Axis::kPids, "max")) policy.pids_max = pids_limit_;
  if (const Element* memlock = find({Axis::kMemlock, "unlimited"})) {
    bool granted = choice.granted.count(memlock->privilege) > 0;
    if (!granted) policy.memlock_bytes.reset();
    if (granted && !memlock->asked) policy.memlock_bytes = UINT64_MAX;
  }
  if (away(Axis::kShm, "size")) policy.shm_bytes.reset();
  for (const auto& [name, value] : question_.asked.sysctls) {
    if (away(Axis::kSysctl, name)) policy.sysctls.erase(name);
  }
}

// Whether the baseline ran programs from there: a noexec tmpfs would not do.
bool Universe::executes_in(const std::string& directory) const {
  return std::any_of(baselines_.begin(), baselines_.end(), [&](const Evidence& evidence) {
    return std::any_of(evidence.execs.begin(), evidence.execs.end(),
                       [&](const auto& exec) { return under(exec.path, directory); });
  });
}

void Universe::restrict_files(const Choice& choice, privilege::Policy& policy) const {
  auto granted = [&](Axis axis, const std::string& value) {
    return choice.granted.count({axis, value}) > 0;
  };
  policy.rootfs_writable = question_.asked.rootfs_writable && granted(Axis::kRootfs, "write");
  std::erase_if(policy.writable,
                [&](const privilege::Writable& w) { return !granted(Axis::kWrite, w.path); });
  for (privilege::VolumeAccess& volume : policy.volumes) {
    volume.writable = volume.writable && granted(Axis::kVolumeWrite, volume.path);
    volume.owned = choice.owned.count(volume.path) > 0;
  }
  if (policy.rootfs_writable) return;
  for (const Privilege& privilege : choice.granted) {
    const Element* element = find(privilege);
    if (privilege.axis != Axis::kWrite || element == nullptr || element->asked) continue;
    privilege::Writable writable;
    writable.path = privilege.value;
    writable.exec = question_.platform.tmpfs_exec || executes_in(privilege.value);
    if (auto form = choice.forms.find(privilege.value); form != choice.forms.end()) {
      writable.copy_up = form->second.copy_up;
      writable.exec = writable.exec || form->second.exec;
    }
    policy.writable.push_back(writable);
  }
  // Parents before what is mounted in them.
  std::sort(policy.writable.begin(), policy.writable.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
}

privilege::Policy Universe::policy(const Choice& choice) const {
  privilege::Policy policy = question_.asked;
  restrict_process(choice, policy);
  restrict_limits(choice, policy);
  restrict_files(choice, policy);
  policy.ports.clear();
  for (uint16_t port : check_ports_) policy.ports.push_back({port, "tcp", "inference"});
  policy.egress_any = policy.egress_any && choice.granted.count({Axis::kEgress, "any"}) > 0;
  std::erase_if(policy.egress, [&](const privilege::EgressGrant& grant) {
    return choice.granted.count({Axis::kEgress, grant.name + ":" + std::to_string(grant.port)}) ==
           0;
  });
  Privilege start{Axis::kSysctl, kPortStart};
  const Element* element = find(start);
  if (element != nullptr && !element->asked && choice.granted.count(start) > 0) {
    uint16_t lowest = kFirstOrdinaryPort;
    for (uint16_t port : check_ports_) lowest = std::min(lowest, port);
    for (const Evidence& evidence : baselines_) {
      for (const auto& fact : evidence.listeners) lowest = std::min(lowest, fact.port);
    }
    policy.sysctls[kPortStart] = std::to_string(lowest);
  }
  withhold_driver_capabilities(choice, policy);
  Switches switches = switches_;
  if (moved_ && !choice.today_ports) switches.add(port_move_);
  policy = with_switches(std::move(policy), switches);
  for (const auto& [name, value] : choice.environment) policy.environment[name] = value;
  return policy;
}

std::vector<Privilege> Universe::withheld(const Choice& choice) const {
  std::vector<Privilege> list;
  for (const Element& element : elements_) {
    bool useless = element.privilege.axis == Axis::kCapability && !capabilities_reach(choice);
    if (element.asked && (useless || choice.granted.count(element.privilege) == 0)) {
      list.push_back(element.privilege);
    }
  }
  for (const Element& port : other_ports_) {
    if (port.asked) list.push_back(port.privilege);
  }
  std::sort(list.begin(), list.end());
  return list;
}

}  // namespace pare::prove
