// The Pod that grants what the proof needs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "emit/kubernetes.h"

namespace pare::emit {

// Kubernetes expands $(NAME) in command, args and env values; $$ stands for one $.
std::string unexpanded(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '(') out += '$';
  }
  return out;
}

namespace {

Yaml words(const std::vector<std::string>& list) {
  Yaml yaml = Yaml::list();
  for (const std::string& word : list) yaml.add(unexpanded(word));
  return yaml;
}

// Kubernetes' quantities: Mi and Gi, bytes where it is neither.
std::string quantity(uint64_t bytes) {
  constexpr uint64_t kMi = 1024 * 1024;
  if (bytes % (1024 * kMi) == 0) return fmt::format("{}Gi", bytes / (1024 * kMi));
  if (bytes % kMi == 0) return fmt::format("{}Mi", bytes / kMi);
  return std::to_string(bytes);
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

Yaml probe_action(const Plan& plan, const Options& options) {
  const Probe& probe = *plan.probe;
  Yaml probe_yaml = Yaml::map();
  if (probe.kind == Probe::Kind::kHttp) {
    Yaml get = Yaml::map().set("path", probe.path).set("port", probe.port);
    if (probe.scheme == "https") get.set("scheme", "HTTPS");
    return probe_yaml.set("httpGet", get);
  }
  if (probe.kind == Probe::Kind::kGrpc && cluster_has(options, kGrpcProbes)) {
    return probe_yaml.set("grpc", Yaml::map().set("port", probe.port));
  }
  return probe_yaml.set("tcpSocket", Yaml::map().set("port", probe.port));
}

void set_probes(Yaml& container, const Plan& plan, const Options& options) {
  if (!plan.probe) return;
  constexpr int kPeriod = 5;
  // Three times the slowest start that was seen, at least two minutes: another node is slower.
  int failures = std::max(24, static_cast<int>(std::ceil(3 * plan.startup_seconds / kPeriod)));
  std::string from = plan.probe->check.empty()
                         ? "No check has a plain GET: a connect says only that it listens."
                         : "From the check '" + plan.probe->check + "'.";
  container.set(
      "startupProbe",
      probe_action(plan, options).set("periodSeconds", kPeriod).set("failureThreshold", failures),
      from);
  container.set(
      "readinessProbe",
      probe_action(plan, options).set("periodSeconds", 2 * kPeriod).set("timeoutSeconds", 5));
}

void set_resources(Yaml& container, const target::Target& target) {
  if (target.gpus.empty()) return;
  auto count = base::parse_u64(target.gpus);
  container.set("resources",
                Yaml::map().set(
                    "limits", Yaml::map().set("nvidia.com/gpu", std::to_string(count.value_or(1)))),
                count ? "" : "The target asked for --gpus " + target.gpus + ".");
}

Yaml server_container(const verdict::Proof& proof, const Plan& plan, const Options& options) {
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
  for (const auto* list : {&plan.ports, &plan.metrics_ports}) {
    for (const Port& port : *list) {
      ports.add(Yaml::map()
                    .set("name", port.name)
                    .set("containerPort", port.port)
                    .set("protocol", base::upper(port.protocol)));
    }
  }
  if (!ports.empty()) container.set("ports", ports);
  container.set("securityContext", container_security_context(proof.policy));
  set_resources(container, proof.target);
  set_probes(container, plan, options);
  if (Yaml mounts = volume_mounts(proof, plan); !mounts.empty()) {
    container.set("volumeMounts", mounts);
  }
  return container;
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

bool cluster_has(const Options& options, int minor) {
  return options.cluster_minor == 0 || options.cluster_minor >= minor;
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

std::string claim_name(const Plan& plan, const Mounted& m) {
  return m.named ? dns_label(m.source) : plan.claims_of + "-" + m.name;
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
  if (shape == PodShape::kPull && cluster_has(options, kSidecars)) {
    before.add(server_container(proof, plan, options).set("restartPolicy", "Always"),
               "A sidecar (Kubernetes 1.29 and later): once its startupProbe passes, what follows "
               "runs, ends, and with it the Pod.");
    containers.add(ready_container());
  } else {
    containers.add(server_container(proof, plan, options));
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
