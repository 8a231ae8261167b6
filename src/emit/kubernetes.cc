// A Deployment that grants what the proof needs, and its companions.
#include "emit/kubernetes.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "emit/emitters.h"

namespace pare::emit {

namespace {

Yaml labels(const Plan& plan) {
  Yaml map = Yaml::map();
  map.set("app.kubernetes.io/name", plan.name).set("app.kubernetes.io/component", "server");
  return map;
}

std::vector<std::string> inexpressible(const verdict::Proof& proof) {
  const privilege::Policy& policy = proof.policy;
  std::vector<std::string> out;
  out.push_back(policy.pids_max
                    ? fmt::format("at most {} processes: a Pod has no field for it, set the "
                                  "kubelet's podPidsLimit",
                                  *policy.pids_max)
                    : "a limit of processes: a Pod has no field for it");
  if (policy.memlock_bytes) {
    out.push_back(
        fmt::format("RLIMIT_MEMLOCK of {}: a Pod has no field for it, raise the "
                    "container runtime's default",
                    human_bytes(*policy.memlock_bytes)));
  }
  if (!policy.writable.empty())
    out.emplace_back("noexec on writable directories: emptyDir allows it");
  for (const std::string& device : policy.devices) {
    out.push_back("device " + device + ": needs a device plugin");
  }
  for (const std::string& clause : nameless_egress(policy)) out.push_back(clause);
  for (const std::string& clause : groups_of_image(proof)) out.push_back(clause);
  if (has_namespace(policy, "uts")) out.emplace_back("the host's UTS namespace");
  return out;
}

std::vector<std::string> extra_assumptions(const verdict::Proof& proof, const Plan& plan,
                                           const Options& options) {
  std::vector<std::string> out;
  if (proof.target.kind == target::Kind::kRootfs) {
    out.push_back("an image made from the root file system that was proved, in the place of " +
                  plan.image);
  }
  for (const Mounted& m : plan.volumes) {
    if (m.source.empty()) continue;
    out.push_back(
        fmt::format("the PersistentVolumeClaim {} exists, holds what {} held, and uid {} "
                    "may {} it",
                    claim_name(plan, m), m.source, proof.policy.user.uid,
                    m.writable ? "read and write" : "read"));
  }
  bool secrets = std::any_of(plan.env.begin(), plan.env.end(),
                             [](const target::EnvVar& v) { return v.secret; });
  if (secrets) out.push_back("the Secret " + plan.name + "-secrets holds the keys that are named");
  if (secrets && pull_phase(proof)) {
    out.emplace_back(
        "serving takes those keys, which was not asked: remove here what the pull alone needs");
  }
  bool copies = std::any_of(plan.scratch.begin(), plan.scratch.end(),
                            [](const Scratch& s) { return s.copy_up; });
  if (copies) out.emplace_back("the image has cp");
  bool selects_namespaces = !options.metrics_from.empty() || !nameless_egress(proof.policy).empty();
  if (selects_namespaces && !cluster_has(options, kNamespaceName)) {
    out.emplace_back("namespaces have the label kubernetes.io/metadata.name with their own name");
  }
  for (const std::string& name : unsafe_sysctls(proof.policy, options)) {
    out.push_back("the kubelet was started with --allowed-unsafe-sysctls=" + name);
  }
  out.emplace_back(
      "the cluster's network plug-in enforces NetworkPolicy (the Jobs in verify/ show it)");
  return out;
}

std::string deployment_head(const verdict::Proof& proof, const Plan& plan, const Options& options) {
  Header header;
  header.title = "Deployment of " + plan.name + ": the least privilege that pare proved.";
  auto blockers = restricted_blockers(proof);
  header.extra.push_back(blockers.empty()
                             ? "Pod Security: restricted."
                             : "Pod Security restricted refuses it: " + base::join(blockers, "; "));
  header.assumptions = extra_assumptions(proof, plan, options);
  header.inexpressible = inexpressible(proof);
  if (proof.policy.seccomp && !options.seccomp_operator.empty()) {
    header.extra.push_back("First the profile: see " + std::string(kOperatorFile));
  } else if (proof.policy.seccomp) {
    std::string where = "/var/lib/kubelet/seccomp/pare/" + seccomp_name(plan);
    header.extra.push_back(
        (wants_localhost(proof, options) ? "On every node first: "
                                         : "For the Localhost profile: ") +
        fmt::format("install -D -m 644 seccomp/{} {}", seccomp_name(plan), where));
  }
  if (pull_phase(proof)) {
    header.extra.push_back("Fill the volumes first: see pull/job.yaml.");
  }
  header.check = {"kubectl apply --dry-run=server -f .", "kubectl apply -f .",
                  "kubectl rollout status deployment/" + plan.name, "kubectl apply -f verify/"};
  return comment_lines(header_text(proof, plan, header));
}

File deployment_file(const verdict::Proof& proof, const Plan& plan, const Options& options) {
  Yaml metadata = Yaml::map();
  metadata.set("name", plan.name)
      .set("labels", labels(plan))
      .set("annotations", pod_annotations(proof, plan));
  Yaml pod_metadata = Yaml::map();
  pod_metadata.set("labels", labels(plan)).set("annotations", pod_annotations(proof, plan));
  Yaml pod = Yaml::map().set("metadata", pod_metadata).set("spec", pod_spec(proof, plan, options));
  Yaml spec = Yaml::map().set("replicas", 1);
  bool alone =
      !proof.target.gpus.empty() || std::any_of(plan.volumes.begin(), plan.volumes.end(),
                                                [](const Mounted& m) { return m.writable; });
  if (alone) {
    spec.set("strategy", Yaml::map().set("type", "Recreate"),
             "A GPU or a writable volume is held by one Pod at a time.");
  }
  spec.set("selector", Yaml::map().set("matchLabels", labels(plan))).set("template", pod);
  Yaml deployment = Yaml::map();
  deployment.set("apiVersion", "apps/v1")
      .set("kind", "Deployment")
      .set("metadata", metadata)
      .set("spec", spec);
  return {"deployment.yaml", deployment_head(proof, plan, options) + deployment.text()};
}

}  // namespace

Result<std::vector<File>> emit_kubernetes(const verdict::Proof& proof, const Options& options) {
  Plan plan = make_plan(proof, options);
  std::vector<File> files = {deployment_file(proof, plan, options)};
  if (!plan.ports.empty()) files.push_back(service_file(proof, plan));
  files.push_back(network_policy_file(proof, plan, options));
  if (!plan.ports.empty()) files.push_back(verification_file(proof, plan));
  if (auto pull = pull_file(proof, options)) files.push_back(*pull);
  if (auto profile = profile_file(proof, plan, options)) files.push_back(*profile);
  return files;
}

}  // namespace pare::emit
