// The Pod that grants what the proof needs.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"
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

// Kubernetes expands $(NAME) in command, args and env values; $$ stands for one $.
std::string unexpanded(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '(') out += '$';
  }
  return out;
}

Yaml words(const std::vector<std::string>& list) {
  Yaml yaml = Yaml::list();
  for (const std::string& word : list) yaml.add(unexpanded(word));
  return yaml;
}

Yaml localhost_profile(const Plan& plan) {
  return Yaml::map().set("type", "Localhost").set("localhostProfile", "pare/" + seccomp_name(plan));
}

void set_seccomp(Yaml& context, const verdict::Proof& proof, const Plan& plan,
                 const Options& options) {
  const privilege::Policy& policy = proof.policy;
  if (wants_localhost(proof, options)) {
    std::string why = "A file on the node: see the head of this file.";
    auto refused = refused_by_runtime_default(policy);
    if (!refused.empty()) {
      why += " RuntimeDefault would refuse " + base::join(refused, ", ") + ", which are needed.";
    }
    context.set("seccompProfile", localhost_profile(plan), why);
    return;
  }
  if (!policy.seccomp && !policy.seccomp_default) {
    context.set("seccompProfile", Yaml::map().set("type", "Unconfined"),
                "No list of calls was proved.");
    return;
  }
  std::string tighter = policy.seccomp
                            ? fmt::format(
                                  "The proved list of {} calls is tighter; with the profile on "
                                  "the node write instead:\n  type: Localhost\n"
                                  "  localhostProfile: pare/{}",
                                  policy.seccomp->syscalls.size(), seccomp_name(plan))
                            : "";
  context.set("seccompProfile", Yaml::map().set("type", "RuntimeDefault"), tighter);
}

Yaml pod_security_context(const verdict::Proof& proof, const Plan& plan, const Options& options) {
  const privilege::Policy& policy = proof.policy;
  Yaml context = Yaml::map();
  context.set("runAsNonRoot", policy.user.uid != 0)
      .set("runAsUser", policy.user.uid)
      .set("runAsGroup", policy.user.gid);
  if (!policy.user.groups.empty()) {
    Yaml groups = Yaml::list();
    for (uint32_t group : policy.user.groups) groups.add(group);
    context.set("supplementalGroups", groups);
  }
  bool writes = std::any_of(plan.volumes.begin(), plan.volumes.end(),
                            [](const Mounted& m) { return m.writable; });
  if (writes && policy.user.uid != 0) {
    context.set("fsGroup", policy.user.gid, "So that the writable volume belongs to the server.");
    context.set("fsGroupChangePolicy", "OnRootMismatch");
  }
  set_seccomp(context, proof, plan, options);
  if (!policy.sysctls.empty()) {
    Yaml sysctls = Yaml::list();
    for (const auto& [name, value] : policy.sysctls) {
      sysctls.add(Yaml::map().set("name", name).set("value", value));
    }
    context.set("sysctls", sysctls);
  }
  return context;
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

Yaml environment(const Plan& plan) {
  Yaml list = Yaml::list();
  for (const target::EnvVar& variable : plan.env) {
    Yaml entry = Yaml::map().set("name", variable.name);
    if (variable.secret) {
      Yaml reference =
          Yaml::map().set("name", plan.claims_of + "-secrets").set("key", variable.name);
      entry.set("valueFrom", Yaml::map().set("secretKeyRef", reference));
    } else {
      entry.set("value", unexpanded(variable.value));
    }
    list.add(entry);
  }
  return list;
}

// Kubernetes' quantities: Mi and Gi, bytes where it is neither.
std::string quantity(uint64_t bytes) {
  constexpr uint64_t kMi = 1024 * 1024;
  if (bytes % (1024 * kMi) == 0) return fmt::format("{}Gi", bytes / (1024 * kMi));
  if (bytes % kMi == 0) return fmt::format("{}Mi", bytes / kMi);
  return std::to_string(bytes);
}

std::string scratch_comment(const Scratch& s) {
  std::string text = s.peak == 0 ? "How much it holds was not measured: on disk, without a limit."
                                 : fmt::format("At most {} was seen in it.", human_bytes(s.peak));
  if (s.peak != 0 && !s.memory) {
    text += " On disk: in memory it would count against the container's memory limit.";
  }
  if (s.used_exec) text += " Files in it are executed.";
  if (s.copy_up) text += " Filled from the image by the init container.";
  return text;
}

Yaml scratch_volume(const Scratch& s) {
  Yaml directory = Yaml::map();
  if (s.peak != 0 && s.memory) directory.set("medium", "Memory");
  if (s.peak != 0) directory.set("sizeLimit", quantity(s.limit));
  return Yaml::map().set("name", s.name).set("emptyDir", directory);
}

Yaml volumes(const verdict::Proof& proof, const Plan& plan) {
  Yaml list = Yaml::list();
  for (const Scratch& s : plan.scratch) list.add(scratch_volume(s), scratch_comment(s));
  if (proof.policy.shm_bytes) {
    Yaml directory =
        Yaml::map().set("medium", "Memory").set("sizeLimit", quantity(*proof.policy.shm_bytes));
    list.add(Yaml::map().set("name", "dev-shm").set("emptyDir", directory));
  }
  for (const Mounted& m : plan.volumes) {
    if (m.source.empty()) {
      list.add(Yaml::map().set("name", m.name).set("emptyDir", Yaml::map()),
               "An anonymous volume: it starts empty.");
      continue;
    }
    Yaml claim = Yaml::map().set("claimName", claim_name(plan, m));
    if (!m.writable) claim.set("readOnly", true);
    list.add(Yaml::map().set("name", m.name).set("persistentVolumeClaim", claim),
             "Holds what " + m.source + " held when the proof ran.");
  }
  return list;
}

Yaml volume_mounts(const verdict::Proof& proof, const Plan& plan) {
  Yaml list = Yaml::list();
  for (const Scratch& s : plan.scratch) {
    list.add(Yaml::map().set("name", s.name).set("mountPath", s.path));
  }
  if (proof.policy.shm_bytes) {
    list.add(Yaml::map().set("name", "dev-shm").set("mountPath", "/dev/shm"));
  }
  for (const Mounted& m : plan.volumes) {
    Yaml mount = Yaml::map().set("name", m.name).set("mountPath", m.path);
    if (m.file) mount.set("subPath", m.path.substr(m.path.find_last_of('/') + 1));
    if (!m.writable) mount.set("readOnly", true);
    list.add(mount);
  }
  return list;
}

Yaml probe_action(const Plan& plan) {
  const Probe& probe = *plan.probe;
  Yaml probe_yaml = Yaml::map();
  if (probe.kind == Probe::Kind::kHttp) {
    Yaml get = Yaml::map().set("path", probe.path).set("port", probe.port);
    if (probe.scheme == "https") get.set("scheme", "HTTPS");
    return probe_yaml.set("httpGet", get);
  }
  if (probe.kind == Probe::Kind::kGrpc) {
    return probe_yaml.set("grpc", Yaml::map().set("port", probe.port));
  }
  return probe_yaml.set("tcpSocket", Yaml::map().set("port", probe.port));
}

void set_probes(Yaml& container, const Plan& plan) {
  if (!plan.probe) return;
  constexpr int kPeriod = 5;
  // Three times the slowest start that was seen, at least two minutes: another node is slower.
  int failures = std::max(24, static_cast<int>(std::ceil(3 * plan.startup_seconds / kPeriod)));
  std::string from = plan.probe->check.empty()
                         ? "No check has a plain GET: a connect says only that it listens."
                         : "From the check '" + plan.probe->check + "'.";
  container.set("startupProbe",
                probe_action(plan).set("periodSeconds", kPeriod).set("failureThreshold", failures),
                from);
  container.set("readinessProbe",
                probe_action(plan).set("periodSeconds", 2 * kPeriod).set("timeoutSeconds", 5));
}

void set_resources(Yaml& container, const target::Target& target) {
  if (target.gpus.empty()) return;
  auto count = base::parse_u64(target.gpus);
  container.set("resources",
                Yaml::map().set("limits", Yaml::map().set("nvidia.com/gpu", count.value_or(1))),
                count ? "" : "The target asked for --gpus " + target.gpus + ".");
}

Yaml server_container(const verdict::Proof& proof, const Plan& plan) {
  Yaml container = Yaml::map();
  std::string placeholder = proof.target.kind == target::Kind::kRootfs
                                ? "The proof ran a root file system: name the image made from it."
                                : "";
  container.set("name", plan.name).set("image", plan.image, placeholder);
  if (!plan.entrypoint.empty()) container.set("command", words(plan.entrypoint));
  if (!plan.arguments.empty()) container.set("args", words(plan.arguments));
  if (!proof.target.workdir.empty()) container.set("workingDir", proof.target.workdir);
  if (Yaml env = environment(plan); !env.empty()) container.set("env", env);
  Yaml ports = Yaml::list();
  for (const Port& port : plan.ports) {
    ports.add(Yaml::map()
                  .set("name", port.name)
                  .set("containerPort", port.port)
                  .set("protocol", base::upper(port.protocol)));
  }
  if (!ports.empty()) container.set("ports", ports);
  container.set("securityContext", container_security_context(proof.policy));
  set_resources(container, proof.target);
  set_probes(container, plan);
  if (Yaml mounts = volume_mounts(proof, plan); !mounts.empty()) {
    container.set("volumeMounts", mounts);
  }
  return container;
}

// Copies what the image has at a path into the volume that will hide it.
Yaml copy_containers(const verdict::Proof& proof, const Plan& plan) {
  Yaml list = Yaml::list();
  for (const Scratch& s : plan.scratch) {
    if (!s.copy_up) continue;
    Yaml mount = Yaml::map().set("name", s.name).set("mountPath", "/pare-copy");
    list.add(Yaml::map()
                 .set("name", dns_label("copy-" + s.name))
                 .set("image", plan.image)
                 .set("command", std::vector<std::string>{"cp", "-R", unexpanded(s.path) + "/.",
                                                          "/pare-copy/"})
                 .set("securityContext", container_security_context(proof.policy))
                 .set("volumeMounts", Yaml::list().add(mount)));
  }
  return list;
}

// The container that the Pod of a pull waits for.
Yaml ready_container() {
  Yaml context = Yaml::map();
  context.set("allowPrivilegeEscalation", false)
      .set("readOnlyRootFilesystem", true)
      .set("capabilities", Yaml::map().set("drop", std::vector<std::string>{"ALL"}));
  return Yaml::map()
      .set("name", "ready")
      .set("image", "busybox:1.36", "Any image with true.")
      .set("command", std::vector<std::string>{"true"})
      .set("securityContext", context);
}

}  // namespace

std::string seccomp_name(const Plan& plan) {
  return plan.name + ".json";
}

std::string claim_name(const Plan& plan, const Mounted& m) {
  return m.named ? dns_label(m.source) : plan.claims_of + "-" + m.name;
}

std::vector<std::string> refused_by_runtime_default(const privilege::Policy& policy) {
  std::vector<std::string> refused;
  if (!policy.seccomp) return refused;
  for (const std::string& name : policy.seccomp->syscalls) {
    bool known = std::find(kRuntimeDefaultRefuses.begin(), kRuntimeDefaultRefuses.end(), name) !=
                 kRuntimeDefaultRefuses.end();
    if (known) refused.push_back(name);
  }
  return refused;
}

bool wants_localhost(const verdict::Proof& proof, const Options& options) {
  if (!proof.policy.seccomp) return false;
  return options.localhost_seccomp || !refused_by_runtime_default(proof.policy).empty();
}

Yaml pod_spec(const verdict::Proof& proof, const Plan& plan, const Options& options,
              PodShape shape) {
  Yaml spec = Yaml::map();
  if (shape == PodShape::kPull) spec.set("restartPolicy", "OnFailure");
  spec.set("automountServiceAccountToken", false).set("enableServiceLinks", false);
  if (!options.runtime_class.empty()) spec.set("runtimeClassName", options.runtime_class);
  if (!options.host_users) spec.set("hostUsers", false);
  for (const std::string& ns : proof.policy.host_namespaces) {
    if (ns == "network") spec.set("hostNetwork", true);
    if (ns == "pid") spec.set("hostPID", true);
    if (ns == "ipc") spec.set("hostIPC", true);
  }
  spec.set("securityContext", pod_security_context(proof, plan, options));
  Yaml before = copy_containers(proof, plan);
  Yaml containers = Yaml::list();
  if (shape == PodShape::kPull) {
    before.add(server_container(proof, plan).set("restartPolicy", "Always"),
               "A sidecar (Kubernetes 1.29 and later): once its startupProbe passes, what follows "
               "runs, ends, and with it the Pod.");
    containers.add(ready_container());
  } else {
    containers.add(server_container(proof, plan));
  }
  if (!before.empty()) spec.set("initContainers", before);
  spec.set("containers", containers);
  if (Yaml all = volumes(proof, plan); !all.empty()) spec.set("volumes", all);
  return spec;
}

Yaml pod_annotations(const verdict::Proof& proof, const Plan& plan) {
  Yaml map = Yaml::map();
  map.set("pare/proof", "sha256:" + plan.proof_digest);
  if (!proof.confirmed) map.set("pare/unconfirmed", "true");
  return map;
}

}  // namespace pare::emit
