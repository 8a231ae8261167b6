#include "confine/serve_plan.h"

#include <algorithm>

namespace pare::confine {

namespace {

// What gVisor's own processes are allowed beside the server's memory, which is in the same cgroup.
constexpr uint64_t kSandboxBytes = 256 << 20;

Status check_proof(const verdict::Proof& proof, const ServeWishes& wishes) {
  if (!proof.confirmed && !wishes.unconfirmed) {
    return fail(
        ErrorKind::kUsage,
        "the proof is not confirmed: its policy was not shown to work; prove again, or give "
        "--unconfirmed");
  }
  const privilege::Policy& policy = proof.policy;
  if (policy.egress_any || !policy.egress.empty()) {
    std::string to = policy.egress.empty() ? "anywhere" : policy.egress.front().name;
    return fail(
        ErrorKind::kUsage,
        "the proof says that the server needs egress (to " + to +
            "), and pare run gives it loopback alone: pull first (pare pull) and prove with "
            "the filled volume, or turn the need off");
  }
  const auto& shared = policy.host_namespaces;
  if (std::find(shared.begin(), shared.end(), "network") != shared.end()) {
    return fail(ErrorKind::kUsage,
                "the proof says that the server needs the host's network, which "
                "pare run does not give");
  }
  return {};
}

// The values of secrets are in no proof: a variable without one stays out, as the keys of the pull
// phase must.
void set_environment(const ServeWishes& wishes, ServePlan& plan) {
  auto& env = plan.target.env;
  for (const target::EnvVar& wish : wishes.env) {
    env.erase(std::remove_if(env.begin(), env.end(),
                             [&](const target::EnvVar& v) { return v.name == wish.name; }),
              env.end());
    env.push_back(wish);
  }
  for (const target::EnvVar& variable : env) {
    if (variable.secret && variable.value.empty()) plan.dropped.push_back(variable.name);
  }
  auto dropped = [](const target::EnvVar& v) { return v.secret && v.value.empty(); };
  env.erase(std::remove_if(env.begin(), env.end(), dropped), env.end());
  auto& image = plan.target.facts.env;
  image.erase(std::remove_if(image.begin(), image.end(), dropped), image.end());
}

Status set_volumes(const ServeWishes& wishes, ServePlan& plan) {
  for (target::Volume& volume : plan.target.volumes) {
    for (const target::Volume& wish : wishes.volumes) {
      if (wish.path == volume.path) volume = wish;
    }
    bool daemons = plan.target.kind == target::Kind::kImage;  // who knows where such volumes are
    if (!daemons && (volume.source.empty() || volume.named)) {
      return fail(ErrorKind::kUsage,
                  "the volume at " + volume.path +
                      " has no directory of the host: give --volume HOST:" + volume.path);
    }
    plan.volumes.push_back({volume.source, volume.path});
  }
  for (const target::Volume& wish : wishes.volumes) {
    bool known = std::any_of(plan.volumes.begin(), plan.volumes.end(),
                             [&](const engine::VolumeMount& v) { return v.path == wish.path; });
    if (!known) {
      return fail(ErrorKind::kUsage, "--volume: the proof has no volume at " + wish.path);
    }
  }
  return {};
}

void set_root(const std::string& rootfs, target::Target& target) {
  if (rootfs.empty()) return;
  target.rootfs = rootfs;
  target.kind = target::Kind::kRootfs;
  // What a Docker daemon alone makes sense of.
  target.init = target.tty = false;
  target.kept.clear();
  target.lsm_options.clear();
}

}  // namespace

Result<uint16_t> inference_port(const privilege::Policy& policy) {
  for (const privilege::PortGrant& port : policy.ports) {
    if (port.role == "inference" && port.protocol == "tcp") return port.port;
  }
  return fail(ErrorKind::kUsage,
              "the proof knows no inference port: name the port in the container, as in --publish "
              "127.0.0.1:8000:8000");
}

Result<ServePlan> plan_serve(const verdict::Proof& proof,
                             const std::optional<evidence::Evidence>& evidence,
                             const ServeWishes& wishes) {
  PARE_CHECK_OK(check_proof(proof, wishes));
  ServePlan plan;
  plan.target = proof.target;
  plan.policy = proof.policy;
  plan.platform = proof.platform;
  set_root(wishes.rootfs, plan.target);
  set_environment(wishes, plan);
  PARE_CHECK_OK(set_volumes(wishes, plan));
  std::vector<std::string> specs;
  for (const verdict::CheckEntry& entry : proof.checks) specs.push_back(entry.spec);
  PARE_TRY(plan.checks, check::parse_specs(specs));
  check::to_moved_ports(plan.checks, plan.policy.ports);
  uint64_t tasks = evidence ? evidence->peaks.tasks : 0;
  uint64_t memory = evidence ? evidence->peaks.memory_bytes : 0;
  if (!plan.policy.pids_max && tasks > 0) plan.policy.pids_max = tasks * 2 + 32;
  if (wishes.pids) plan.policy.pids_max = wishes.pids;
  if (memory > 0) plan.memory_bytes = memory * 2 + (64 << 20);
  if (wishes.memory_bytes) plan.memory_bytes = wishes.memory_bytes;
  if (plan.memory_bytes == 0) plan.memory_bytes.reset();
  return plan;
}

std::vector<std::string> withhold_keys(target::Target& target) {
  std::vector<std::string> names;
  auto& image = target.facts.env;
  for (const target::EnvVar& variable : image) {
    bool given = std::any_of(target.env.begin(), target.env.end(),
                             [&](const target::EnvVar& v) { return v.name == variable.name; });
    if (variable.secret && !given) names.push_back(variable.name);
  }
  image.erase(
      std::remove_if(image.begin(), image.end(), [](const target::EnvVar& v) { return v.secret; }),
      image.end());
  return names;
}

std::vector<std::string> adapt_plan(const verdict::Proof& proof, const std::string& runtime,
                                    bool own_kernel, const ServeWishes& wishes, ServePlan& plan) {
  auto name = [](const std::string& version) { return version.substr(0, version.find(' ')); };
  if (name(proof.runtime) == name(runtime)) return {};
  std::vector<std::string> said = {"the proof was made with " + proof.runtime + ", this is " +
                                   runtime + ": what differs between them was not asked"};
  if (!own_kernel) return said;
  // Which calls libc makes depends on the kernel, and the limits would be those of gVisor's own
  // processes, which stand for the server's on the host.
  if (plan.policy.seccomp) {
    plan.policy.seccomp.reset();
    said.emplace_back("its list of calls is of another kernel, so it is not set; " + name(runtime) +
                      "'s own filter holds");
  }
  if (plan.policy.pids_max && !wishes.pids) {
    plan.policy.pids_max.reset();
    said.emplace_back("its peak of processes is no limit for " + name(runtime) +
                      "'s own: give --pids N for one");
  }
  if (plan.memory_bytes && !wishes.memory_bytes) *plan.memory_bytes += kSandboxBytes;
  return said;
}

}  // namespace pare::confine
