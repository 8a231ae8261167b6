// Patches for workloads that stay as their authors write them: a kustomize overlay, and the same
// behind Helm's post-renderer.
#include <fmt/format.h>

#include "base/text.h"
#include "emit/emitters.h"
#include "emit/kubernetes.h"

namespace pare::emit {

namespace {

std::string workload_of(const Plan& plan, const Options& options) {
  return options.workload.empty() ? plan.name : options.workload;
}

std::string container_of(const Plan& plan, const Options& options) {
  return options.container.empty() ? workload_of(plan, options) : options.container;
}

// All of it is the server's own: the Pod's context is that of its sidecars and init containers,
// too, which were not proved. Null takes away what a merge would keep.
Yaml container_context(const verdict::Proof& proof, const Plan& plan, const Options& options) {
  const privilege::Policy& policy = proof.policy;
  Yaml capabilities = Yaml::map();
  capabilities.set("drop", std::vector<std::string>{"ALL"});
  if (policy.capabilities.empty()) {
    capabilities.set("add", Yaml::null());
  } else {
    capabilities.set("add", policy.capabilities.names());
  }
  Yaml context = Yaml::map();
  context.set("privileged", false)
      .set("allowPrivilegeEscalation", !policy.no_new_privileges)
      .set("readOnlyRootFilesystem", !policy.rootfs_writable);
  set_user(context, policy.user);
  context.set("capabilities", capabilities);
  set_seccomp(context, proof, plan, options, true);
  return context;
}

Yaml container(const verdict::Proof& proof, const Plan& plan, const Options& options) {
  Yaml yaml = Yaml::map().set("name", container_of(plan, options));
  if (proof.policy.arguments) {
    Yaml words = Yaml::list();
    for (const std::string& word : *proof.policy.arguments) words.add(unexpanded(word));
    yaml.set(proof.target.kind == target::Kind::kRootfs ? "command" : "args", words);
  }
  if (!proof.policy.environment.empty()) {
    Yaml env = Yaml::list();
    for (const auto& [name, value] : proof.policy.environment) {
      env.add(Yaml::map().set("name", name).set("value", unexpanded(value)));
    }
    yaml.set("env", env);
  }
  yaml.set("securityContext", container_context(proof, plan, options));
  Yaml mounts = Yaml::list();
  for (const Scratch& s : plan.scratch) {
    mounts.add(Yaml::map().set("mountPath", s.path).set("name", "pare-" + s.name));
  }
  for (const Mounted& m : plan.volumes) {
    if (!m.writable) mounts.add(Yaml::map().set("mountPath", m.path).set("readOnly", true));
  }
  if (!mounts.empty()) yaml.set("volumeMounts", mounts);
  return yaml;
}

Yaml pod_patch(const verdict::Proof& proof, const Plan& plan, const Options& options) {
  Yaml spec = Yaml::map();
  spec.set("automountServiceAccountToken", false).set("enableServiceLinks", false);
  for (const auto& [name, field] : {std::pair{"network", "hostNetwork"},
                                    std::pair{"pid", "hostPID"}, std::pair{"ipc", "hostIPC"}}) {
    spec.set(field, has_namespace(proof.policy, name));
  }
  if (!options.runtime_class.empty()) spec.set("runtimeClassName", options.runtime_class);
  if (!options.host_users) spec.set("hostUsers", false);
  Yaml shared = pod_security_context(proof, plan, options, true);
  if (!shared.empty()) spec.set("securityContext", shared);
  spec.set("containers", Yaml::list().add(container(proof, plan, options)));
  Yaml volumes = Yaml::list();
  for (const Scratch& s : plan.scratch) {
    Scratch ours = s;
    ours.name = "pare-" + s.name;
    volumes.add(scratch_volume(ours), scratch_comment(s));
  }
  if (!volumes.empty()) spec.set("volumes", volumes);
  return spec;
}

File patch_file(const verdict::Proof& proof, const Plan& plan, const Options& options) {
  Header header;
  header.title = "What pare proved for " + plan.name + ", over the workload as it is.";
  auto blockers = restricted_blockers(proof);
  header.extra.push_back(blockers.empty()
                             ? "Pod Security: restricted, where the workload adds nothing to it."
                             : "Pod Security restricted refuses it: " + base::join(blockers, "; "));
  Yaml metadata = Yaml::map();
  metadata.set("labels", Yaml::map().set(plan.selector, plan.name))
      .set("annotations", pod_annotations(proof, plan));
  Yaml pod = Yaml::map().set("metadata", metadata).set("spec", pod_patch(proof, plan, options));
  Yaml document = Yaml::map();
  document.set("apiVersion", "apps/v1")
      .set("kind", "Deployment")
      .set("metadata", Yaml::map().set("name", workload_of(plan, options)))
      .set("spec", Yaml::map().set("template", pod));
  return {"patch.yaml", comment_lines(header_text(proof, plan, header)) + document.text()};
}

Header overlay_header(const verdict::Proof& proof, const Plan& plan, const Options& options) {
  Header header;
  header.title = "The least privilege that pare proved for " + plan.name + ", as an overlay.";
  header.assumptions = {
      fmt::format("the workload is the Deployment, StatefulSet or DaemonSet {}, "
                  "and its server the container {} (--workload, --container)",
                  workload_of(plan, options), container_of(plan, options)),
      "the workload runs what the proof ran: the image, its command, its volumes "
      "at the same paths",
      "the cluster's network plug-in enforces NetworkPolicy",
      "no other NetworkPolicy admits more to these Pods: what each admits adds up"};
  header.inexpressible = nameless_egress(proof.policy);
  for (const std::string& clause : groups_of_image(proof)) header.inexpressible.push_back(clause);
  for (const Scratch& s : plan.scratch) {
    if (!s.copy_up) continue;
    header.inexpressible.push_back("what the image has at " + s.path +
                                   ": copy it there in an init container of the same image");
  }
  return header;
}

// The files of both forms; `base` is what is patched.
std::vector<File> overlay(const verdict::Proof& proof, const Plan& plan, const Options& options,
                          const std::string& base, const Header& header) {
  Yaml target = Yaml::map()
                    .set("kind", "(Deployment|StatefulSet|DaemonSet)")
                    .set("name", workload_of(plan, options));
  Yaml patch = Yaml::map().set("path", "patch.yaml").set("target", target);
  Yaml document = Yaml::map();
  document.set("apiVersion", "kustomize.config.k8s.io/v1beta1")
      .set("kind", "Kustomization")
      .set("resources", std::vector<std::string>{base, "networkpolicy.yaml"})
      .set("patches", Yaml::list().add(patch));
  std::vector<File> files = {
      {"kustomization.yaml", comment_lines(header_text(proof, plan, header)) + document.text()},
      patch_file(proof, plan, options),
      network_policy_file(proof, plan, options)};
  if (auto profile = profile_file(proof, plan, options)) files.push_back(*profile);
  return files;
}

Plan overlay_plan(const verdict::Proof& proof, const Options& options) {
  Plan plan = make_plan(proof, options);
  plan.selector = kOverlaySelector;
  return plan;
}

}  // namespace

Result<std::vector<File>> emit_kustomize(const verdict::Proof& proof, const Options& options) {
  Plan plan = overlay_plan(proof, options);
  Header header = overlay_header(proof, plan, options);
  header.extra.push_back("Name the directory or file of the workload in the place of ../base.");
  header.extra.push_back(
      "Where that has a namespace of its own, say it here, too (namespace: NAME).");
  header.check = {"kubectl kustomize . | kubectl apply --dry-run=server -f -",
                  "kubectl kustomize . | pare audit -"};
  return overlay(proof, plan, options, "../base", header);
}

Result<std::vector<File>> emit_helm(const verdict::Proof& proof, const Options& options) {
  Plan plan = overlay_plan(proof, options);
  Header header = overlay_header(proof, plan, options);
  header.extra.push_back("Helm's post-renderer puts it over what the chart renders:");
  header.extra.push_back("  Helm 3: helm upgrade --install ... --post-renderer ./post-render.sh");
  header.extra.push_back(
      "  Helm 4: helm plugin install . && helm upgrade --install ... "
      "--post-renderer pare-" +
      plan.name);
  header.check = {"helm template RELEASE CHART | ./post-render.sh | pare audit -"};
  std::vector<File> files = overlay(proof, plan, options, "rendered.yaml", header);
  Header script;
  script.title = "A Helm post-renderer: what the chart renders on stdin, patched on stdout.";
  std::string text = "#!/bin/sh\n" + comment_lines(header_text(proof, plan, script)) +
                     "set -eu\n"
                     "here=$(cd \"$(dirname \"$0\")\" && pwd)\n"
                     "work=$(mktemp -d)\n"
                     "trap 'rm -rf \"$work\"' EXIT\n"
                     "cp \"$here/kustomization.yaml\" \"$here/patch.yaml\" "
                     "\"$here/networkpolicy.yaml\" \"$work\"\n"
                     "cat >\"$work/rendered.yaml\"\n"
                     "if command -v kustomize >/dev/null; then\n"
                     "  kustomize build \"$work\"\n"
                     "else\n"
                     "  kubectl kustomize \"$work\"\n"
                     "fi\n";
  files.insert(files.begin(), {"post-render.sh", text});
  Yaml run = Yaml::map().set("command", "${HELM_PLUGIN_DIR}/post-render.sh");
  Yaml plugin = Yaml::map();
  plugin.set("apiVersion", "v1")
      .set("type", "postrenderer/v1")
      .set("name", "pare-" + plan.name)
      .set("version", "0.1.0")
      .set("runtime", "subprocess")
      .set("runtimeConfig", Yaml::map().set("platformCommand", Yaml::list().add(run)));
  Header plugin_header;
  plugin_header.title = "post-render.sh as a plugin of Helm 4.";
  files.push_back(
      {"plugin.yaml", comment_lines(header_text(proof, plan, plugin_header)) + plugin.text()});
  return files;
}

}  // namespace pare::emit
