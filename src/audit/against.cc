// --against PROOF: what a file asks beyond what was proved.
#include <algorithm>

#include "audit/remedies.h"
#include "audit/rule_functions.h"
#include "base/text.h"
#include "privilege/platforms.h"

namespace pare::audit {
namespace {

using privilege::Axis;

struct Comparison {
  Scope& scope;
  const Container& container;
  const verdict::Proof& proof;
};

bool same_image(const std::string& a, const std::string& b) {
  return !a.empty() && split_image(a).name == split_image(b).name;
}

void excess(const Comparison& at, const privilege::Privilege& privilege, const Place& place,
            const std::string& asks) {
  const verdict::Verdict* verdict = nullptr;
  for (const verdict::Verdict& row : at.proof.verdicts) {
    if (row.privilege == privilege) verdict = &row;
  }
  std::string message = asks + ", which the proof does not need (" + to_string(privilege) + ")";
  std::string evidence;
  if (verdict != nullptr) {
    message += ": " + std::string(to_string(verdict->kind));
    if (!verdict->because.empty()) message += ", " + verdict->because;
    std::vector<std::string> trials;
    for (int trial : verdict->trials) trials.push_back(std::to_string(trial));
    evidence = trials.empty() ? "" : "trials " + base::join(trials, ", ");
    if (!verdict->evidence.empty()) {
      evidence += (evidence.empty() ? "" : "; ") + base::join(verdict->evidence, ", ");
    }
  }
  if (evidence.empty()) evidence = "the proof's policy";
  Finding& f = at.scope.add(&at.container, place, message);
  int danger = privilege::danger(privilege);
  f.severity = danger >= 60 ? Severity::kHigh : danger >= 30 ? Severity::kMedium : Severity::kLow;
  f.evidence = evidence;
  f.remedy = no_remedy("pare emit writes the platform's files from the proof");
}

void compare_capabilities(const Comparison& at) {
  const Container& c = at.container;
  auto platform = privilege::find_platform(at.scope.kubernetes() ? "kubernetes" : "docker");
  privilege::CapabilitySet granted;
  if (platform) granted = platform->default_capabilities;
  if (c.privileged.is(true)) granted = privilege::CapabilitySet::all();
  auto each = [](const std::string& name, auto&& act) {
    std::string upper = base::upper(name);
    for (int n = 0; n < privilege::kCapabilityCount; ++n) {
      if (upper == "ALL" || privilege::capability_number(name) == n) act(n);
    }
  };
  for (const Named& drop : c.cap_drop) each(drop.name, [&](int n) { granted.remove(n); });
  for (const Named& add : c.cap_add) each(add.name, [&](int n) { granted.add(n); });
  for (const std::string& name : (granted - at.proof.policy.capabilities).names()) {
    Place place = c.place;
    for (const Named& add : c.cap_add) {
      if (base::upper(add.name).find(name) != std::string::npos) place = add.place;
    }
    excess(at, {Axis::kCapability, name}, place, "holds " + name);
  }
}

void compare_ports(const Comparison& at) {
  const auto& proved = at.proof.policy.ports;
  for (const PortEntry& port : at.container.ports) {
    if (port.unknown || port.port == 0) continue;
    bool known = std::any_of(proved.begin(), proved.end(), [&](const privilege::PortGrant& grant) {
      return grant.port == port.port && grant.protocol == port.protocol;
    });
    if (known) continue;
    excess(at, {Axis::kPort, std::to_string(port.port) + "/" + port.protocol}, port.place,
           "declares port " + std::to_string(port.port));
  }
}

void compare_groups(const Comparison& at) {
  const Workload& w = at.scope.workload();
  std::vector<Named> groups = w.groups;
  if (w.fs_group.value) groups.push_back({std::to_string(*w.fs_group.value), w.fs_group.place});
  const privilege::User& proved = at.proof.policy.user;
  for (const Named& group : groups) {
    auto gid = base::parse_u64(group.name);  // what a name stands for is the image's to say
    const auto& kept = proved.groups;
    bool known =
        !gid || *gid == proved.gid || std::find(kept.begin(), kept.end(), *gid) != kept.end();
    if (!known) excess(at, {Axis::kGroup, group.name}, group.place, "adds the group " + group.name);
  }
}

void compare_rest(const Comparison& at) {
  const Workload& w = at.scope.workload();
  const Container& c = at.container;
  const privilege::Policy& policy = at.proof.policy;
  std::string user = effective_user(w, c);
  if (policy.user.uid != 0 && (user.empty() || is_root(user))) {
    excess(at, {Axis::kUser, "root"}, c.user.written() ? c.user.place : c.place,
           user.empty() ? "leaves the user to the image" : "runs as root");
  }
  if (!policy.rootfs_writable && !c.read_only_root.is(true)) {
    excess(at, {Axis::kRootfs, "write"}, c.place, "has a writable root file system");
  }
  bool escalation = at.scope.kubernetes() ? !c.escalation.is(false) : !c.no_new_privileges.is(true);
  if (policy.no_new_privileges && escalation) {
    excess(at, {Axis::kEscalation, "new-privileges"}, c.place, "allows privilege escalation");
  }
  struct Host {
    const Field<bool>& field;
    const char* name;
    const char* value;
  };
  for (const Host& host :
       {Host{w.host_network, "network", "host-network"}, Host{w.host_pid, "pid", "host-pid"},
        Host{w.host_ipc, "ipc", "host-ipc"}}) {
    const auto& proved = policy.host_namespaces;
    bool needed = std::find(proved.begin(), proved.end(), host.name) != proved.end();
    if (host.field.is(true) && !needed) {
      excess(at, {Axis::kNamespace, host.value}, host.field.place,
             std::string("shares the host's ") + host.name + " namespace");
    }
  }
  for (const Named& device : c.devices) {
    std::string path = base::split(device.name, ':').front();
    const auto& proved = policy.devices;
    if (std::find(proved.begin(), proved.end(), path) != proved.end()) continue;
    excess(at, {Axis::kDevice, path}, device.place, "is given the device " + path);
  }
  for (const MountEntry& mount : c.mounts) {
    for (const privilege::VolumeAccess& volume : policy.volumes) {
      if (volume.path != mount.path || volume.writable || mount.read_only) continue;
      excess(at, {Axis::kVolumeWrite, mount.path}, mount.place,
             "mounts " + mount.path + " for writing");
    }
  }
}
}  // namespace

void check_against_proof(Scope& scope) {
  const verdict::Proof* proof = scope.all().proof;
  if (proof == nullptr) return;
  const Workload& w = scope.workload();
  if (w.platform == Platform::kDockerfile || w.platform == Platform::kImage || w.managed) return;
  size_t mains = 0;
  for (const Container& c : w.containers) mains += c.role == Role::kMain ? 1 : 0;
  for (const Container& c : w.containers) {
    if (c.role != Role::kMain) continue;
    const std::string& image = proof->target.image;
    bool match = image.empty() ? mains == 1 : same_image(image, c.image.value.value_or(""));
    if (!match) continue;
    Comparison at{scope, c, *proof};
    compare_capabilities(at);
    compare_ports(at);
    compare_groups(at);
    compare_rest(at);
  }
}

}  // namespace pare::audit
