// What may talk to the server and what it may talk to, and Jobs that show it.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "emit/kubernetes.h"

namespace pare::emit {

namespace {

std::string client_label(const Plan& plan) {
  return plan.name + "-client";
}

Yaml name_label(const std::string& name) {
  return Yaml::map().set("app.kubernetes.io/name", name);
}

Yaml policy_ports(const std::vector<Port>& ports) {
  Yaml list = Yaml::list();
  for (const Port& port : ports) {
    list.add(Yaml::map().set("protocol", base::upper(port.protocol)).set("port", port.port));
  }
  return list;
}

Yaml egress_rule(const privilege::EgressGrant& grant) {
  Yaml block = Yaml::map();
  std::string address = single_address(grant.name);
  if (!address.empty()) {
    block.set("cidr", address);
  } else {
    block.set("cidr", "0.0.0.0/0")
        .set("except", std::vector<std::string>{"10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16",
                                                "172.16.0.0/12", "192.168.0.0/16"});
  }
  Yaml rule = Yaml::map().set("to", Yaml::list().add(Yaml::map().set("ipBlock", block)));
  if (grant.port != 0) {
    rule.set("ports", Yaml::list().add(Yaml::map().set("protocol", "TCP").set("port", grant.port)));
  }
  return rule;
}

Yaml dns_rule() {
  Yaml peer = Yaml::map();
  peer.set("namespaceSelector",
           Yaml::map().set("matchLabels",
                           Yaml::map().set("kubernetes.io/metadata.name", "kube-system")));
  peer.set("podSelector", Yaml::map().set("matchLabels", Yaml::map().set("k8s-app", "kube-dns")));
  return Yaml::map()
      .set("to", Yaml::list().add(peer))
      .set("ports", policy_ports({{53, "udp", "", ""}, {53, "tcp", "", ""}}));
}

Yaml ingress_rules(const Plan& plan, const Options& options) {
  Yaml rules = Yaml::list();
  if (!plan.ports.empty()) {
    Yaml clients = Yaml::map().set(
        "podSelector", Yaml::map().set("matchLabels", Yaml::map().set(client_label(plan), "true")));
    rules.add(
        Yaml::map().set("from", Yaml::list().add(clients)).set("ports", policy_ports(plan.ports)));
  }
  if (!plan.metrics_ports.empty()) {
    Yaml monitoring = Yaml::map().set(
        "namespaceSelector",
        Yaml::map().set("matchLabels",
                        Yaml::map().set("kubernetes.io/metadata.name", options.metrics_from)));
    rules.add(Yaml::map()
                  .set("from", Yaml::list().add(monitoring))
                  .set("ports", policy_ports(plan.metrics_ports)),
              "Metrics, for " + options.metrics_from + " alone.");
  }
  return rules;
}

std::string closed_ports_text(const Plan& plan) {
  std::vector<std::string> names;
  for (const Port& port : plan.closed_ports) {
    names.push_back(fmt::format("{} ({})", port.port, port.role));
  }
  return base::join(names, ", ");
}

// A Pod for one look: nothing but a shell, locked as tight as Pod Security knows.
Yaml look_job(const Plan& plan, const std::string& what, Yaml pod_labels,
              const std::string& script) {
  Yaml container_context = Yaml::map();
  container_context.set("allowPrivilegeEscalation", false)
      .set("readOnlyRootFilesystem", true)
      .set("capabilities", Yaml::map().set("drop", std::vector<std::string>{"ALL"}));
  Yaml container = Yaml::map();
  container.set("name", "look")
      .set("image", "busybox:1.36", "Any image with sh, nc and wget.")
      .set("command", std::vector<std::string>{"sh", "-c", script})
      .set("securityContext", container_context);
  Yaml pod_context = Yaml::map();
  pod_context.set("runAsNonRoot", true)
      .set("runAsUser", 65532)
      .set("runAsGroup", 65532)
      .set("seccompProfile", Yaml::map().set("type", "RuntimeDefault"));
  Yaml spec = Yaml::map();
  spec.set("restartPolicy", "Never")
      .set("automountServiceAccountToken", false)
      .set("securityContext", pod_context)
      .set("containers", Yaml::list().add(container));
  Yaml pod = Yaml::map();
  pod.set("metadata", Yaml::map().set("labels", std::move(pod_labels))).set("spec", spec);
  Yaml job = Yaml::map();
  job.set("apiVersion", "batch/v1")
      .set("kind", "Job")
      .set("metadata",
           Yaml::map()
               .set("name", plan.name + "-verify-" + what)
               .set("labels", Yaml::map().set("app.kubernetes.io/part-of", plan.name + "-verify")))
      .set("spec", Yaml::map().set("backoffLimit", 0).set("template", pod));
  return job;
}

// One request that succeeds when the server answers.
std::string reach_command(const Plan& plan) {
  uint16_t port = plan.ports[0].outside;
  bool http = plan.probe && plan.probe->kind == Probe::Kind::kHttp &&
              plan.probe->port == plan.ports[0].port;
  if (http && plan.probe->scheme == "http") {
    return fmt::format(
        "wget -q -T 5 -O /dev/null {}",
        base::shell_quote(fmt::format("http://{}:{}{}", plan.name, port, plan.probe->path)));
  }
  return fmt::format("nc -w 5 {} {} </dev/null", plan.name, port);
}

}  // namespace

std::string single_address(const std::string& name) {
  unsigned char buffer[sizeof(in6_addr)];
  if (inet_pton(AF_INET, name.c_str(), buffer) == 1) return name + "/32";
  if (inet_pton(AF_INET6, name.c_str(), buffer) == 1) return name + "/128";
  return "";
}

std::vector<std::string> nameless_egress(const privilege::Policy& policy) {
  std::vector<std::string> out;
  for (const privilege::EgressGrant& e : policy.egress) {
    if (!single_address(e.name).empty()) continue;
    out.push_back("egress to " + e.name + " by name: a NetworkPolicy knows addresses alone");
  }
  return out;
}

Yaml egress_rules(const privilege::Policy& policy) {
  Yaml rules = Yaml::list();
  if (policy.egress_any) {
    rules.add(Yaml::map(), "Everything: the proof could not take it away.");
    return rules;
  }
  bool names = false;
  for (const privilege::EgressGrant& grant : policy.egress) {
    bool address = !single_address(grant.name).empty();
    names = names || !address;
    rules.add(egress_rule(grant), address ? ""
                                          : "For " + grant.name +
                                                ": a NetworkPolicy has no names, so every public "
                                                "address on the port.");
  }
  if (names) rules.add(dns_rule(), "Names have to be looked up.");
  return rules;
}

File service_file(const verdict::Proof& proof, const Plan& plan) {
  Header header;
  header.title = "Service of " + plan.name + ": inference alone.";
  header.check = {"kubectl get endpoints " + plan.name};
  Yaml ports = Yaml::list();
  for (const Port& port : plan.ports) {
    ports.add(Yaml::map()
                  .set("name", port.name)
                  .set("port", port.outside)
                  .set("targetPort", port.name)
                  .set("protocol", base::upper(port.protocol)));
  }
  Yaml selector = name_label(plan.name).set("app.kubernetes.io/component", "server");
  Yaml service = Yaml::map();
  service.set("apiVersion", "v1")
      .set("kind", "Service")
      .set("metadata", Yaml::map().set("name", plan.name).set("labels", name_label(plan.name)))
      .set("spec",
           Yaml::map().set("type", "ClusterIP").set("selector", selector).set("ports", ports));
  return {"service.yaml", comment_lines(header_text(proof, plan, header)) + service.text()};
}

File network_policy_file(const verdict::Proof& proof, const Plan& plan, const Options& options) {
  const privilege::Policy& policy = proof.policy;
  Header header;
  header.title =
      "NetworkPolicy of " + plan.name +
      (plan.ports.empty() ? ": nothing comes in, "
                          : ": clients reach inference, nobody reaches anything else, ") +
      (policy.egress_any       ? "everything goes out."
       : policy.egress.empty() ? "nothing goes out."
                               : "out goes what the proof needs.");
  header.extra.push_back("A client is a Pod of this namespace with the label " +
                         client_label(plan) + ": \"true\".");
  if (!plan.closed_ports.empty()) {
    header.extra.push_back("Not admitted: " + closed_ports_text(plan) + ".");
  }
  bool jobs = plan.selector != kOverlaySelector;  // an overlay has none
  header.assumptions = {std::string("the cluster's network plug-in enforces NetworkPolicy") +
                            (jobs ? " (the Jobs in verify/ show it)" : ""),
                        "no other NetworkPolicy selects these Pods: what each admits adds up",
                        fmt::format("refused connections may be dropped in silence; the proof "
                                    "refused egress as '{}'",
                                    privilege::to_string(policy.refusal))};
  header.check = {"kubectl describe networkpolicy " + plan.name};
  if (jobs) header.check.insert(header.check.begin(), "kubectl apply -f verify/");
  Yaml spec = Yaml::map();
  spec.set("podSelector", Yaml::map().set("matchLabels", Yaml::map().set(plan.selector, plan.name)))
      .set("policyTypes", std::vector<std::string>{"Ingress", "Egress"})
      .set("ingress", ingress_rules(plan, options))
      .set("egress", egress_rules(policy));
  Yaml document = Yaml::map();
  document.set("apiVersion", "networking.k8s.io/v1")
      .set("kind", "NetworkPolicy")
      .set("metadata", Yaml::map().set("name", plan.name).set("labels", name_label(plan.name)))
      .set("spec", spec);
  return {"networkpolicy.yaml", comment_lines(header_text(proof, plan, header)) + document.text()};
}

File verification_file(const verdict::Proof& proof, const Plan& plan) {
  Header header;
  header.title = "Jobs that show what the NetworkPolicy of " + plan.name + " does on this cluster.";
  header.extra.push_back("A cluster whose network plug-in ignores NetworkPolicy fails them.");
  header.check = {"kubectl apply -f verify/  (once the server is ready)",
                  fmt::format("kubectl wait --for=condition=complete --timeout=120s job "
                              "-l app.kubernetes.io/part-of={}-verify",
                              plan.name)};
  std::string text = comment_lines(header_text(proof, plan, header));
  auto append = [&](const std::string& comment, const Yaml& job) {
    text += "---\n" + comment_lines(comment) + job.text();
  };
  std::string reach = reach_command(plan);
  Yaml client = name_label(plan.name + "-verify").set(client_label(plan), "true");
  append(
      "A client reaches inference.",
      look_job(plan, "inference", client,
               fmt::format("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do {} && exit 0; sleep 5; done; "
                           "exit 1",
                           reach)));
  append("Anybody else does not.",
         look_job(plan, "others", name_label(plan.name + "-verify"), "sleep 10; ! " + reach));
  if (!proof.policy.egress_any) {
    // The API server answers every Pod that no policy holds back, so a failure means something.
    Yaml twin = name_label(plan.name).set("app.kubernetes.io/component", "verify");
    append(
        "A Pod under the server's policy reaches nothing: not the API server, not the outside.",
        look_job(plan, "egress", twin,
                 "! nc -w 5 \"$KUBERNETES_SERVICE_HOST\" \"$KUBERNETES_SERVICE_PORT\" </dev/null "
                 "&& ! nc -w 5 1.1.1.1 443 </dev/null"));
  }
  return {"verify/jobs.yaml", text};
}

}  // namespace pare::emit
