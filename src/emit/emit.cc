#include "emit/emit.h"

#include <algorithm>

#include "base/text.h"
#include "emit/emitters.h"
#include "privilege/platforms.h"

namespace pare::emit {

namespace {

constexpr const char* kPortStart = "net.ipv4.ip_unprivileged_port_start";
constexpr const char* kPingRange = "net.ipv4.ping_group_range";
constexpr const char* kNobodyPings = "1 0";  // the kernel's default: an empty range of groups

std::string sysctl_of(const privilege::Platform& platform, const char* name,
                      const char* kernel_default) {
  auto it = platform.sysctls.find(name);
  return it == platform.sysctls.end() ? kernel_default : it->second;
}

bool binds_below(const privilege::Policy& policy, uint64_t first_free) {
  return std::any_of(policy.ports.begin(), policy.ports.end(),
                     [&](const privilege::PortGrant& g) { return g.port < first_free; });
}

// Where `to` gives less than `from`, in something that this proof leans on.
std::vector<std::string> differences(const verdict::Proof& proof, const privilege::Platform& to) {
  const privilege::Platform& from = proof.platform;
  const privilege::Policy& policy = proof.policy;
  std::vector<std::string> out;
  auto set_by_policy = [&](const char* name) { return policy.sysctls.count(name) > 0; };
  std::string from_start = sysctl_of(from, kPortStart, "1024");
  std::string to_start = sysctl_of(to, kPortStart, "1024");
  uint64_t first_free = base::parse_u64(to_start).value_or(1024);
  if (from_start != to_start && !set_by_policy(kPortStart) && binds_below(policy, first_free)) {
    out.push_back(std::string("port (") + kPortStart + " is " + from_start + " there and " +
                  to_start + " here)");
  }
  const verdict::Verdict* raw = find_verdict(proof, "capability/NET_RAW");
  bool pinged_there = sysctl_of(from, kPingRange, kNobodyPings) != kNobodyPings;
  bool pings_here = sysctl_of(to, kPingRange, kNobodyPings) != kNobodyPings;
  if (pinged_there && !pings_here && raw != nullptr && raw->used &&
      !policy.capabilities.has(*privilege::capability_number("NET_RAW"))) {
    out.push_back(std::string("capability/NET_RAW (") + kPingRange + " lets it ping there)");
  }
  if (policy.seccomp_default && from.default_seccomp != to.default_seccomp) {
    out.push_back("syscall (the default profile is " + from.default_seccomp + " there and " +
                  to.default_seccomp + " here)");
  }
  if (from.ambient_capabilities && !to.ambient_capabilities && policy.user.uid != 0 &&
      !policy.capabilities.empty()) {
    out.emplace_back("capability (added ones are ambient there alone)");
  }
  if (from.tmpfs_owned && !to.tmpfs_owned && policy.user.uid != 0 && !policy.writable.empty()) {
    out.emplace_back("write (scratch directories belong to the server there, to root here)");
  }
  if (policy.memlock_bytes && from.can_set_memlock && !to.can_set_memlock) {
    out.emplace_back("memlock (nothing sets it here)");
  }
  return out;
}

// The command that would ask about `platform`, from the words that the user wrote.
std::string asking_command(const verdict::Proof& proof, const std::string& platform) {
  std::string command = "pare prove --for " + platform;
  if (proof.target.written.empty()) return command;
  return command + " -- " + base::shell_join(proof.target.written);
}

Status answers_for(const verdict::Proof& proof, const Emitter& emitter) {
  if (emitter.platform.empty() || emitter.platform == proof.platform.name) return {};
  PARE_TRY(privilege::Platform to, privilege::find_platform(emitter.platform));
  auto axes = differences(proof, to);
  if (axes.empty()) return {};
  return fail(ErrorKind::kUsage, "this proof asked about " + proof.platform.name + ", and " +
                                     to.name + " differs in " + base::join(axes, ", ") +
                                     "; ask with: " + asking_command(proof, to.name));
}

}  // namespace

const std::vector<Emitter>& emitter_table() {
  static const std::vector<Emitter> kTable = {
      {"kubernetes", "Deployment, Service, NetworkPolicy and the Jobs that verify it", "kubernetes",
       emit_kubernetes},
      {"kustomize", "an overlay for a workload that stays as it is", "kubernetes", emit_kustomize},
      {"helm", "the same as a post-renderer", "kubernetes", emit_helm},
      {"docker", "one docker run command and its seccomp profile", "docker", emit_docker},
      {"compose", "a compose file with one service", "docker", emit_compose},
      {"dockerfile", "an image with the proof's user, directories and settings", "",
       emit_dockerfile},
      {"oci", "config.json of a bundle for runc", "", emit_oci},
      {"seccomp", "the list of system calls, for Docker and Kubernetes", "", emit_seccomp},
      {"cilium", "a CiliumNetworkPolicy, with egress by name", "kubernetes", emit_cilium},
  };
  return kTable;
}

Result<std::vector<File>> emit(const verdict::Proof& proof, const std::string& to,
                               const Options& options) {
  std::vector<std::string> names;
  for (const Emitter& emitter : emitter_table()) names.push_back(emitter.name);
  auto row = std::find_if(emitter_table().begin(), emitter_table().end(),
                          [&](const Emitter& e) { return e.name == to; });
  if (row == emitter_table().end()) {
    std::string near = base::nearest(to, names);
    return fail(ErrorKind::kUsage, "unknown --to '" + to + "'" +
                                       (near.empty() ? "" : ", did you mean " + near + "?") +
                                       ": use " + base::join(names, ", "));
  }
  if (!proof.confirmed && !options.unconfirmed) {
    return fail(
        ErrorKind::kUsage,
        "this proof is not confirmed" +
            (proof.not_minimal_because.empty() ? "" : " (" + proof.not_minimal_because + ")") +
            ": finish it with pare prove --resume, or emit with --unconfirmed, which marks "
            "every file");
  }
  PARE_CHECK_OK(answers_for(proof, *row));
  bool metrics = std::any_of(proof.policy.ports.begin(), proof.policy.ports.end(),
                             [](const privilege::PortGrant& g) { return g.role == "metrics"; });
  if (!options.metrics_from.empty() && !metrics) {
    return fail(ErrorKind::kUsage,
                "this proof has no port for metrics alone: what is served on the inference port "
                "cannot be parted from it by ports (leave --metrics-from out)");
  }
  if (!options.host_users && options.cluster_minor != 0 && options.cluster_minor < 30) {
    return fail(ErrorKind::kUsage,
                "hostUsers needs Kubernetes 1.30: leave --no-host-users or --cluster-version out");
  }
  return row->emit(proof, options);
}

}  // namespace pare::emit
