// securityContext of Pods and containers, and what Pod Security says to it.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "emit/emitters.h"
#include "emit/kubernetes.h"

namespace pare::emit {

namespace {

// What containerd's contrib/seccomp default and CRI-O's (containers/common) leave out for a
// container without capabilities; where versions differ, the stricter.
constexpr std::array<std::string_view, 56> kRuntimeDefaultRefuses = {
    "acct",
    "add_key",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_mempolicy",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "quotactl",
    "reboot",
    "request_key",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "vhangup",
    "quotactl_fd",
};

// Sysctls that the kubelet, and Pod Security's baseline and restricted, let a Pod set, with the
// minor version since when (kubernetes.io, "Using sysctls in a Kubernetes cluster").
struct SafeSysctl {
  std::string_view name;
  int since;
};
constexpr std::array<SafeSysctl, 10> kSafeSysctls = {{
    {"kernel.shm_rmid_forced", 0},
    {"net.ipv4.ip_local_port_range", 0},
    {"net.ipv4.tcp_syncookies", 0},
    {"net.ipv4.ping_group_range", 18},
    {"net.ipv4.ip_unprivileged_port_start", 22},
    {"net.ipv4.ip_local_reserved_ports", 27},
    {"net.ipv4.tcp_keepalive_time", 29},
    {"net.ipv4.tcp_fin_timeout", 29},
    {"net.ipv4.tcp_keepalive_intvl", 29},
    {"net.ipv4.tcp_keepalive_probes", 29},
}};

bool safe_sysctl(const std::string& name, const Options& options) {
  return std::any_of(kSafeSysctls.begin(), kSafeSysctls.end(), [&](const SafeSysctl& row) {
    return row.name == name && cluster_has(options, row.since);
  });
}

// Calls that those profiles let through with certain arguments alone; with others, or where the
// proof does not know the arguments, they count as refused.
struct PartlyAllowed {
  std::string_view name;
  unsigned index;
  std::array<uint64_t, 5> values;
};
constexpr std::array<PartlyAllowed, 1> kPartlyAllowed = {{
    {"personality", 0, {0x0, 0x8, 0x20000, 0x20008, 0xffffffff}},
}};

bool refused_in_part(const privilege::SeccompProfile& profile, const std::string& name) {
  for (const PartlyAllowed& row : kPartlyAllowed) {
    if (row.name != name) continue;
    for (const privilege::SeccompArgument& a : profile.arguments) {
      bool within = std::all_of(a.values.begin(), a.values.end(), [&](uint64_t value) {
        return std::find(row.values.begin(), row.values.end(), value) != row.values.end();
      });
      if (a.syscall == name && a.index == row.index && within) return false;
    }
    return true;
  }
  return false;
}

// Below the kubelet's seccomp directory. The operator's: GetProfileOperatorPath() of its v1beta1.
Yaml localhost_profile(const Plan& plan, const Options& options) {
  std::string directory =
      options.seccomp_operator.empty() ? "pare/" : "operator/" + options.seccomp_operator + "/";
  return Yaml::map()
      .set("type", "Localhost")
      .set("localhostProfile", directory + seccomp_name(plan));
}

}  // namespace

void set_seccomp(Yaml& context, const verdict::Proof& proof, const Plan& plan,
                 const Options& options, bool patch) {
  auto of_type = [&](const char* type) {
    Yaml profile = Yaml::map().set("type", type);
    if (patch) profile.set("localhostProfile", Yaml::null());
    return profile;
  };
  const privilege::Policy& policy = proof.policy;
  if (wants_localhost(proof, options)) {
    std::string why = options.seccomp_operator.empty()
                          ? "A file on the node: see the head of this file."
                          : "What the operator makes of " + std::string(kOperatorFile) + ".";
    auto refused = refused_by_runtime_default(policy);
    if (!refused.empty()) {
      why += " RuntimeDefault would refuse " + base::join(refused, ", ") + ", which are needed.";
    }
    context.set("seccompProfile", localhost_profile(plan, options), why);
    return;
  }
  if (!policy.seccomp && !policy.seccomp_default) {
    context.set("seccompProfile", of_type("Unconfined"), "No list of calls was proved.");
    return;
  }
  std::string tighter = policy.seccomp
                            ? fmt::format(
                                  "The proved list of {} calls is tighter; with the profile on "
                                  "the node write instead:\n  type: Localhost\n"
                                  "  localhostProfile: pare/{}",
                                  policy.seccomp->syscalls.size(), seccomp_name(plan))
                            : "";
  context.set("seccompProfile", of_type("RuntimeDefault"), tighter);
}

std::string seccomp_name(const Plan& plan) {
  return plan.claims_of + ".json";
}

std::vector<std::string> refused_by_runtime_default(const privilege::Policy& policy) {
  std::vector<std::string> refused;
  if (!policy.seccomp) return refused;
  for (const std::string& name : policy.seccomp->syscalls) {
    bool known = std::find(kRuntimeDefaultRefuses.begin(), kRuntimeDefaultRefuses.end(), name) !=
                 kRuntimeDefaultRefuses.end();
    if (known || refused_in_part(*policy.seccomp, name)) refused.push_back(name);
  }
  return refused;
}

std::optional<File> profile_file(const verdict::Proof& proof, const Plan& plan,
                                 const Options& options) {
  if (proof.policy.seccomp && !options.seccomp_operator.empty()) {
    return operator_file(proof, plan, options);
  }
  return seccomp_file(proof, plan, "seccomp/" + seccomp_name(plan));
}

bool wants_localhost(const verdict::Proof& proof, const Options& options) {
  if (!proof.policy.seccomp) return false;
  return options.localhost_seccomp || !options.seccomp_operator.empty() ||
         !refused_by_runtime_default(proof.policy).empty();
}

void set_user(Yaml& context, const privilege::User& user) {
  context.set("runAsNonRoot", user.uid != 0).set("runAsUser", user.uid).set("runAsGroup", user.gid);
}

Yaml pod_security_context(const verdict::Proof& proof, const Plan& plan, const Options& options,
                          bool patch) {
  const privilege::Policy& policy = proof.policy;
  Yaml context = Yaml::map();
  if (!patch) set_user(context, policy.user);
  if (!policy.user.groups.empty()) {
    Yaml groups = Yaml::list();
    for (uint32_t group : policy.user.groups) groups.add(group);
    context.set("supplementalGroups", groups);
  } else if (patch) {
    context.set("supplementalGroups", Yaml::null());
  }
  auto any = [&](bool Mounted::*field) {
    return std::any_of(plan.volumes.begin(), plan.volumes.end(),
                       [&](const Mounted& m) { return m.*field; });
  };
  bool writes = any(&Mounted::writable);
  if ((writes || any(&Mounted::owned)) && policy.user.uid != 0) {
    context.set(
        "fsGroup", policy.user.gid,
        fmt::format("So that the {}volume belongs to the server.", writes ? "writable " : ""));
    context.set("fsGroupChangePolicy", "OnRootMismatch");
  }
  if (!patch) set_seccomp(context, proof, plan, options, false);
  if (!policy.sysctls.empty()) {
    Yaml sysctls = Yaml::list();
    for (const auto& [name, value] : policy.sysctls) {
      sysctls.add(Yaml::map().set("name", name).set("value", value));
    }
    context.set("sysctls", sysctls);
  }
  return context;
}

// Kubernetes documentation, Configure fine-grained SupplementalGroups control.
std::vector<std::string> groups_of_image(const verdict::Proof& proof) {
  std::vector<std::string> out;
  const privilege::User &asked = proof.asked.user, &user = proof.policy.user;
  if (proof.target.kind != target::Kind::kImage || asked.uid != user.uid) return out;
  for (uint32_t gid : asked.groups) {
    const auto& kept = user.groups;
    if (gid == user.gid || std::find(kept.begin(), kept.end(), gid) != kept.end()) continue;
    out.push_back(
        fmt::format("that the group {0} is left out: where the image's /etc/group has the user in "
                    "it, runtimes add it (supplementalGroupsPolicy: Strict, Kubernetes 1.33, "
                    "keeps it out)",
                    gid));
  }
  return out;
}

Yaml container_security_context(const privilege::Policy& policy) {
  Yaml capabilities = Yaml::map();
  capabilities.set("drop", std::vector<std::string>{"ALL"});
  if (!policy.capabilities.empty()) capabilities.set("add", policy.capabilities.names());
  return Yaml::map()
      .set("privileged", false)
      .set("allowPrivilegeEscalation", !policy.no_new_privileges)
      .set("readOnlyRootFilesystem", !policy.rootfs_writable)
      .set("capabilities", capabilities);
}

std::vector<std::string> unsafe_sysctls(const privilege::Policy& policy, const Options& options) {
  std::vector<std::string> out;
  for (const auto& [name, value] : policy.sysctls) {
    if (!safe_sysctl(name, options)) out.push_back(name);
  }
  return out;
}

std::vector<std::string> restricted_blockers(const verdict::Proof& proof) {
  const privilege::Policy& policy = proof.policy;
  std::vector<std::string> out;
  auto block = [&](const std::string& field, const std::string& privilege) {
    const verdict::Verdict* v = find_verdict(proof, privilege);
    out.push_back(v != nullptr && !v->because.empty() ? field + " (" + v->because + ")" : field);
  };
  if (policy.user.uid == 0) block("runAsUser: 0", "user/root");
  if (!policy.no_new_privileges) {
    block("allowPrivilegeEscalation: true", "escalation/new-privileges");
  }
  for (const std::string& name : policy.capabilities.names()) {
    if (name != "NET_BIND_SERVICE") block("capabilities.add " + name, "capability/" + name);
  }
  for (const auto& [name, value] : policy.sysctls) {
    if (!safe_sysctl(name, {})) block("sysctl " + name, "sysctl/" + name);
  }
  for (const std::string& ns : policy.host_namespaces) {
    block("the host's " + ns + " namespace", "namespace/host-" + ns);
  }
  if (!policy.seccomp && !policy.seccomp_default)
    block("seccompProfile: Unconfined", "syscall/any");
  return out;
}

}  // namespace pare::emit
