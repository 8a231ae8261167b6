// Reads back CiliumNetworkPolicies: the ports and the destinations that they admit.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "emit/check_read.h"
#include "emit/kubernetes.h"
#include "target/tree.h"

namespace pare::emit {

using target::Tree;

namespace {

constexpr const char* kNameLabel = "app.kubernetes.io/name";

const std::vector<Tree>& items(const Tree* list) {
  static const std::vector<Tree> kNone;
  return list == nullptr ? kNone : list->seq;
}

std::vector<std::string> ports_of(const Tree& rule) {
  std::vector<std::string> out;
  for (const Tree& group : items(rule.get("toPorts"))) {
    for (const Tree& port : items(group.get("ports"))) {
      const Tree* number = port.get("port");
      const Tree* last = port.get("endPort");
      out.push_back((number == nullptr ? "?" : number->text) +
                    (last == nullptr ? "" : "-" + last->text) +
                    others(port, {"port", "protocol", "endPort"}));
    }
  }
  return out;
}

std::string joined(const std::set<std::string>& lines) {
  return lines.empty() ? "none" : base::join({lines.begin(), lines.end()}, ", ");
}

// Who a rule lets in; every key that is not understood is shown as it is.
std::string senders(const Tree& rule) {
  std::vector<std::string> out;
  for (const Tree::Entry& entry : rule.map) {
    if (entry.key == "toPorts") continue;
    if (entry.key != "fromEndpoints") out.push_back(entry.key);
    for (const Tree& endpoint : entry.value.seq) {
      const Tree* labels = endpoint.get("matchLabels");
      if (labels == nullptr) out.emplace_back("anybody");
      if (labels == nullptr) continue;
      for (const Tree::Entry& label : labels->map) {
        out.push_back(label.key + "=" + label.value.text);
      }
    }
  }
  return base::join(out, " ");
}

std::string ingress_of(const Tree& spec) {
  std::set<std::string> lines;
  if (items(spec.get("ingress")).empty()) return "any";  // the direction is not selected
  for (const Tree& rule : items(spec.get("ingress"))) {
    if (rule.map.empty()) continue;
    std::vector<std::string> ports = ports_of(rule);
    if (ports.empty()) ports.emplace_back("every port");
    for (const std::string& port : ports) lines.insert(port + " from " + senders(rule));
  }
  return joined(lines);
}

// As egress_clauses() spells a policy's.
std::string egress_of(const Tree& spec) {
  std::set<std::string> lines;
  if (items(spec.get("egress")).empty()) return "any";
  for (const Tree& rule : items(spec.get("egress"))) {
    std::vector<std::string> names;
    for (const Tree& name : items(rule.get("toFQDNs"))) {
      const Tree* exact = name.get("matchName");
      names.push_back(exact == nullptr ? "names by pattern" : exact->text);
    }
    for (const Tree& cidr : items(rule.get("toCIDR"))) {
      bool single = base::ends_with(cidr.text, "/32") || base::ends_with(cidr.text, "/128");
      names.push_back(single ? cidr.text.substr(0, cidr.text.find('/')) : cidr.text);
    }
    if (rule.get("toEntities") != nullptr) return "any";
    const Tree* resolver = rule.get("toEndpoints");
    bool dns = resolver != nullptr && ports_of(rule) == std::vector<std::string>{"53"};
    if (resolver != nullptr && !dns) names.emplace_back("Pods of the cluster");
    std::string more = others(rule, {"toFQDNs", "toCIDR", "toEntities", "toEndpoints", "toPorts"});
    if (!more.empty()) names.push_back("not understood:" + more);
    if (names.empty() && !dns && rule.get("toPorts") != nullptr) names.emplace_back("anybody");
    std::vector<std::string> ports = ports_of(rule);
    for (const std::string& name : names) {
      if (ports.empty()) lines.insert(name);
      for (const std::string& port : ports) lines.insert(name + ":" + port);
    }
  }
  return joined(lines);
}

Result<std::pair<Granted, Terms>> read_policy(const Reading& reading, const std::string& name,
                                              bool reached) {
  PARE_TRY(const File* file, need_file(reading.files, name));
  PARE_TRY(std::vector<Tree> documents,
           target::read_trees({file->name, file->content}, 0, target::yaml::Dialect::kKubernetes));
  if (documents.size() > 1) {
    return fail(ErrorKind::kUnread, name + ": it holds more than the one policy that is emitted");
  }
  const Tree* spec = documents.empty() ? nullptr : documents[0].get("spec");
  const Tree* selected =
      spec == nullptr ? nullptr : spec->get({"endpointSelector", "matchLabels", kNameLabel});
  if (selected == nullptr) {
    return fail(ErrorKind::kUnread, name + ": it selects no endpoint by " + kNameLabel);
  }
  Granted granted{name, {}, {}};
  Terms wanted = proof_terms(reading.proof, reading.plan);
  for (const auto& [axis, text] : wanted) {
    if (axis != "port" && axis != "egress") granted.cannot[axis] = "it is no matter of the network";
  }
  std::set<std::string> ports;
  for (const Port& port : reading.plan.ports) {
    ports.insert(fmt::format("{} from {}-client=true", port.port, reading.plan.name));
  }
  for (const Port& port : reading.plan.metrics_ports) {
    ports.insert(fmt::format("{} from k8s:io.kubernetes.pod.namespace={}", port.port,
                             reading.options.metrics_from));
  }
  wanted["port"] = reached ? joined(ports) : "none";
  wanted["endpoint"] = reading.plan.name;
  granted.terms["endpoint"] =
      selected->text + others(*spec->get({"endpointSelector", "matchLabels"}), {kNameLabel}) +
      others(*spec->get("endpointSelector"), {"matchLabels"}) +
      others(*spec, {"description", "endpointSelector", "ingress", "egress"});
  granted.terms["port"] = ingress_of(*spec);
  granted.terms["egress"] = egress_of(*spec);
  return std::pair(granted, wanted);
}

}  // namespace

Result<std::vector<std::pair<Granted, Terms>>> read_cilium(const Reading& reading) {
  std::vector<std::pair<Granted, Terms>> out;
  PARE_TRY(auto server, read_policy(reading, "ciliumnetworkpolicy.yaml", true));
  out.push_back(server);
  if (auto pull = pull_phase(reading.proof)) {
    Plan plan = pull_plan(*pull, reading.plan, reading.options);
    PARE_TRY(auto job, read_policy({*pull, plan, reading.options, reading.files, reading.fresh},
                                   "pull/ciliumnetworkpolicy.yaml", false));
    out.push_back(job);
  }
  return out;
}

}  // namespace pare::emit
