// A CiliumNetworkPolicy (docs.cilium.io, "Layer 3" and "DNS based"): egress by name, which a
// NetworkPolicy cannot say.
#include <fmt/format.h>

#include "base/text.h"
#include "emit/emitters.h"
#include "emit/kubernetes.h"

namespace pare::emit {

namespace {

Yaml labels_of(const std::string& key, const std::string& value) {
  return Yaml::map().set("matchLabels", Yaml::map().set(key, value));
}

Yaml to_ports(const std::vector<Port>& ports) {
  Yaml list = Yaml::list();
  for (const Port& port : ports) {
    list.add(Yaml::map()
                 .set("port", std::to_string(port.port))
                 .set("protocol", base::upper(port.protocol)));
  }
  return Yaml::list().add(Yaml::map().set("ports", list));
}

Yaml ingress(const Plan& plan, const Options& options) {
  Yaml rules = Yaml::list();
  if (!plan.ports.empty()) {
    Yaml clients = Yaml::list().add(labels_of(plan.name + "-client", "true"));
    rules.add(Yaml::map().set("fromEndpoints", clients).set("toPorts", to_ports(plan.ports)));
  }
  if (!plan.metrics_ports.empty()) {
    Yaml from =
        Yaml::list().add(labels_of("k8s:io.kubernetes.pod.namespace", options.metrics_from));
    rules.add(Yaml::map().set("fromEndpoints", from).set("toPorts", to_ports(plan.metrics_ports)),
              "Metrics, for " + options.metrics_from + " alone.");
  }
  // An empty list selects no direction; one empty rule denies what no other rule admits.
  if (rules.empty()) rules.add(Yaml::map());
  return rules;
}

// Cilium learns addresses from the answers that pass its proxy, so the questions are named too.
Yaml dns_rule(const std::vector<std::string>& names) {
  Yaml resolver = Yaml::map().set(
      "matchLabels",
      Yaml::map().set("k8s:io.kubernetes.pod.namespace", "kube-system").set("k8s-app", "kube-dns"));
  Yaml questions = Yaml::list();
  for (const std::string& name : names) questions.add(Yaml::map().set("matchName", name));
  Yaml port = Yaml::map().set("port", "53").set("protocol", "ANY");
  Yaml ports = Yaml::map()
                   .set("ports", Yaml::list().add(port))
                   .set("rules", Yaml::map().set("dns", questions));
  return Yaml::map()
      .set("toEndpoints", Yaml::list().add(resolver))
      .set("toPorts", Yaml::list().add(ports));
}

Yaml egress(const privilege::Policy& policy) {
  Yaml rules = Yaml::list();
  if (policy.egress_any) {
    Yaml all = Yaml::list().add("all");
    return rules.add(Yaml::map().set("toEntities", all), "The proof could not take it away.");
  }
  std::vector<std::string> names;
  for (const privilege::EgressGrant& grant : policy.egress) {
    Yaml rule = Yaml::map();
    std::string address = single_address(grant.name);
    if (address.empty()) {
      names.push_back(grant.name);
      rule.set("toFQDNs", Yaml::list().add(Yaml::map().set("matchName", grant.name)));
    } else {
      rule.set("toCIDR", Yaml::list().add(address));
    }
    if (grant.port != 0) rule.set("toPorts", to_ports({{grant.port, "tcp", "", ""}}));
    rules.add(rule);
  }
  if (!names.empty()) rules.add(dns_rule(names), "Names have to be looked up: these alone.");
  if (rules.empty()) rules.add(Yaml::map());
  return rules;
}

File policy_file(const verdict::Proof& proof, const Plan& plan, const Options& options,
                 const std::string& name) {
  Header header;
  header.title = "CiliumNetworkPolicy of " + plan.name +
                 ": what the kubernetes emitter's NetworkPolicy says, with egress by name.";
  header.extra.push_back(
      "It takes the place of that NetworkPolicy: both together admit what "
      "either admits.");
  header.assumptions = {"the cluster's network is Cilium, with its DNS proxy on"};
  header.inexpressible = {
      "everything but ports and egress: use the kubernetes emitter beside this"};
  header.check = {"kubectl describe ciliumnetworkpolicy " + plan.name,
                  "the Jobs in verify/ of the kubernetes emitter"};
  Yaml spec = Yaml::map();
  spec.set("endpointSelector", labels_of("app.kubernetes.io/name", plan.name))
      .set("ingress", ingress(plan, options))
      .set("egress", egress(proof.policy));
  Yaml document = Yaml::map();
  document.set("apiVersion", "cilium.io/v2")
      .set("kind", "CiliumNetworkPolicy")
      .set("metadata", Yaml::map().set("name", plan.name))
      .set("spec", spec);
  return {name, comment_lines(header_text(proof, plan, header)) + document.text()};
}

}  // namespace

Result<std::vector<File>> emit_cilium(const verdict::Proof& proof, const Options& options) {
  Plan plan = make_plan(proof, options);
  std::vector<File> files = {policy_file(proof, plan, options, "ciliumnetworkpolicy.yaml")};
  if (auto pull = pull_phase(proof)) {
    Plan pulling = pull_plan(*pull, plan, options);
    pulling.ports.clear();  // nobody reaches a pull
    pulling.metrics_ports.clear();
    files.push_back(policy_file(*pull, pulling, options, "pull/ciliumnetworkpolicy.yaml"));
  }
  return files;
}

}  // namespace pare::emit
