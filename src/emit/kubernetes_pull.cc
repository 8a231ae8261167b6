// The pull as a Job of its own: a NetworkPolicy takes in a whole Pod, so what downloads and what
// serves cannot share one.
#include <fmt/format.h>

#include "base/text.h"
#include "emit/kubernetes.h"

namespace pare::emit {

namespace {

Yaml name_label(const Plan& plan) {
  return Yaml::map().set("app.kubernetes.io/name", plan.name);
}

Yaml network_policy(const verdict::Proof& pull, const Plan& plan) {
  Yaml spec = Yaml::map();
  spec.set("podSelector", Yaml::map().set("matchLabels", name_label(plan)))
      .set("policyTypes", std::vector<std::string>{"Ingress", "Egress"})
      .set("ingress", Yaml::list())
      .set("egress", egress_rules(pull.policy));
  Yaml document = Yaml::map();
  document.set("apiVersion", "networking.k8s.io/v1")
      .set("kind", "NetworkPolicy")
      .set("metadata", Yaml::map().set("name", plan.name).set("labels", name_label(plan)))
      .set("spec", spec);
  return document;
}

Yaml job(const verdict::Proof& pull, const Plan& plan, const Options& options) {
  Yaml pod_metadata = Yaml::map();
  pod_metadata.set("labels", name_label(plan)).set("annotations", pod_annotations(pull, plan));
  Yaml pod = Yaml::map()
                 .set("metadata", pod_metadata)
                 .set("spec", pod_spec(pull, plan, options, PodShape::kPull));
  Yaml document = Yaml::map();
  document.set("apiVersion", "batch/v1")
      .set("kind", "Job")
      .set("metadata", Yaml::map()
                           .set("name", plan.name)
                           .set("labels", name_label(plan))
                           .set("annotations", pod_annotations(pull, plan)))
      .set("spec", Yaml::map().set("backoffLimit", 2).set("template", pod));
  return document;
}

}  // namespace

std::optional<File> pull_file(const verdict::Proof& proof, const Options& options) {
  auto pull = pull_phase(proof);
  if (!pull) return std::nullopt;
  Plan serving = make_plan(proof, options);
  Plan plan = pull_plan(*pull, serving, options);
  Header header;
  header.title = "Job that fills the volumes of " + serving.name +
                 ", with what this takes besides; the server itself has none of it.";
  std::vector<std::string> egress = egress_clauses(pull->policy);
  header.extra.push_back("Egress: " + (egress.empty() ? "none" : base::join(egress, ", ")) + ".");
  header.assumptions = {"the claims can be mounted by this Job and later by the server"};
  header.inexpressible = nameless_egress(pull->policy);
  header.check = {"kubectl apply -f pull/"};
  if (cluster_has(options, kSidecars)) {
    header.assumptions.insert(header.assumptions.begin(),
                              "Kubernetes 1.29 or later (sidecar containers)");
    header.check.push_back("kubectl wait --for=condition=complete --timeout=2h job/" + plan.name);
  } else {
    // Nothing inside a Pod can end a container that serves for ever, short of a shared process
    // namespace and a signal: more than the server was proved with.
    header.extra.emplace_back(
        "Without sidecar containers (Kubernetes 1.29) nothing ends the server: the Job is deleted "
        "once it is ready.");
    header.check.push_back("kubectl wait --for=condition=ready --timeout=2h pod -l job-name=" +
                           plan.name + " && kubectl delete job " + plan.name);
  }
  std::string text = comment_lines(header_text(*pull, plan, header));
  text += "---\n" + network_policy(*pull, plan).text();
  text += "---\n" + job(*pull, plan, options).text();
  return File{"pull/job.yaml", text};
}

}  // namespace pare::emit
