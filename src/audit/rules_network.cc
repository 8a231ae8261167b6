// Rules about what is reachable: ports, Services, NetworkPolicies.
#include <algorithm>

#include "audit/input.h"
#include "audit/remedies.h"
#include "audit/rule_functions.h"
#include "base/text.h"

namespace pare::audit {
namespace {

// The number that a setting gives a role: an environment variable or a flag of the command line.
uint16_t configured_port(const Container& c, const target::PortSetting& setting) {
  auto parse = [](std::string_view text) -> uint16_t {
    auto number = base::parse_u64(text);
    return number && *number > 0 && *number < 65536 ? static_cast<uint16_t>(*number) : uint16_t{0};
  };
  if (!base::starts_with(setting.name, "-")) {
    const EnvEntry* entry = c.find_env(setting.name);
    return entry != nullptr && entry->value ? parse(*entry->value) : uint16_t{0};
  }
  for (size_t i = 0; i < c.command.size(); ++i) {
    std::string_view word = c.command[i];
    if (word == setting.name && i + 1 < c.command.size()) return parse(c.command[i + 1]);
    if (word.substr(0, setting.name.size()) == setting.name &&
        word.substr(setting.name.size(), 1) == "=") {
      return parse(word.substr(setting.name.size() + 1));
    }
  }
  return 0;
}

struct PortMeaning {
  std::string role = "unknown";
  std::string what;
  bool verified = false;
};

PortMeaning meaning_of(const Container& c, uint16_t port) {
  for (const target::PortSetting& setting : c.server->port_settings) {
    if (configured_port(c, setting) == port) {
      return {setting.role, "set by " + setting.name, true};
    }
  }
  const target::ServerPort* row = target::find_port(*c.server, port);
  if (row == nullptr) return {"unknown", "no known port of " + c.server->title, false};
  // A second inference row (a speech NIM's 9000) counts only where the first is not there.
  return {row->role, row->what, row->verified};
}

bool is_inference(const Container& c, const PortEntry& port) {
  return !port.unknown && port.port != 0 && port.port == inference_port(c);
}

// Something else in the file that names the port: a probe, a Service's targetPort.
const Node* other_use(Scope& scope, const PortEntry& port) {
  if (port.name.empty() || scope.document() == nullptr) return nullptr;
  for (const ParsedDocument& document : scope.model().documents) {
    for (const Node& node : document.yaml.nodes) {
      if (node.kind != NodeKind::kScalar || node.text != port.name) continue;
      bool same =
          &document == scope.document() && node.parent != kNoNode && port.item == node.parent;
      bool value = node.parent != kNoNode;
      if (same || !value || node.style == NodeStyle::kLiteral) continue;
      NodeId parent = node.parent;
      // Only `port: NAME` and `targetPort: NAME` refer to it.
      const Node& map = document.yaml.at(parent);
      if (map.kind != NodeKind::kMap) continue;
      for (NodeId k = map.first; k != kNoNode;) {
        NodeId v = document.yaml.at(k).next;
        if (v == kNoNode) break;
        std::string_view key = document.yaml.at(k).text;
        if (&document.yaml.at(v) == &node && (key == "port" || key == "targetPort")) return &node;
        k = document.yaml.at(v).next;
      }
    }
  }
  return nullptr;
}

Remedy remove_port(Scope& scope, const Container& c, const PortEntry& port) {
  if (port.item == kNoNode) return remedy_remove(scope, c, {"port", port.place}, "--publish");
  if (other_use(scope, port) != nullptr) {
    return no_remedy("port name '" + port.name + "' is used by a probe or a Service of this file");
  }
  Remedy remedy;
  remedy.operations = {remove_item(port.item)};
  remedy.breaks =
      scope.kubernetes()
          ? "Services, monitors and probes that name the port; the listener itself stays "
            "until the server's own switch or a NetworkPolicy closes it"
          : "clients outside the host that use the port";
  return remedy;
}
}  // namespace

uint16_t inference_port(const Container& c) {
  if (c.server == nullptr) return 0;
  for (const target::PortSetting& setting : c.server->port_settings) {
    if (setting.role != "inference") continue;
    if (uint16_t port = configured_port(c, setting)) return port;
  }
  for (const target::ServerPort& row : c.server->ports) {
    if (row.role != "inference") continue;
    for (const PortEntry& port : c.ports) {
      if (port.port == row.port) return row.port;
    }
  }
  for (const target::ServerPort& row : c.server->ports) {
    if (row.role == "inference") return row.port;
  }
  return 0;
}

void check_ports(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (c.server == nullptr || c.server->ports.empty() || c.role == Role::kInit) continue;
    bool inference = std::any_of(c.ports.begin(), c.ports.end(),
                                 [&](const PortEntry& p) { return is_inference(c, p); });
    for (const PortEntry& port : c.ports) {
      if (port.unknown || port.port == 0 || is_inference(c, port)) continue;
      PortMeaning meaning = meaning_of(c, port.port);
      std::string message = "port " + std::to_string(port.port) + " is not the inference endpoint";
      message += inference ? "" : " that is known";
      message += ": on " + c.server->title + " it is " + meaning.what;
      if (!meaning.verified) message += " (unverified: see what answers there)";
      Finding& f = scope.add(&c, port.place, message);
      if (meaning.role == "admin") f.severity = Severity::kHigh;
      if (meaning.role == "grpc") f.severity = Severity::kLow;
      if (inference) {
        f.remedy = remove_port(scope, c, port);
      } else {
        f.remedy = no_remedy("no other port is declared, so this one may be the endpoint");
      }
    }
  }
}

void check_published(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    for (const PortEntry& port : c.ports) {
      if (!port.published) continue;
      if (scope.kubernetes()) {
        Finding& f = scope.add(&c, port.place,
                               "hostPort " + std::to_string(port.host_port) +
                                   " opens the port on every node that runs it");
        f.remedy.operations = {remove_key(port.item, {"hostPort"})};
        f.remedy.breaks = "clients that use the node's address: use a Service";
        continue;
      }
      std::string address = port.host_address;
      if (!address.empty() && address != "0.0.0.0" && address != "[::]" && address != "::")
        continue;
      std::string number = port.unknown ? "a port" : "port " + std::to_string(port.port);
      Finding& f = scope.add(&c, port.place,
                             number +
                                 " is published on all interfaces, past the host's firewall "
                                 "(Docker writes its own rules)");
      if (port.item == kNoNode || scope.document() == nullptr) {
        f.remedy =
            no_remedy("write -p 127.0.0.1:HOST:CONTAINER where the clients are on this host");
      } else {
        View item(scope.document()->yaml, port.item, scope.document()->dialect);
        std::string text = item.text_or();
        if (item.is_map()) {
          f.remedy.operations = {set_value(port.item, {"host_ip"}, "127.0.0.1")};
        } else if (base::starts_with(text, "0.0.0.0:")) {
          f.remedy = remedy_set_at(scope, place_of(item), "127.0.0.1:" + text.substr(8));
        } else if (!address.empty()) {
          f.remedy = no_remedy("an IPv6 address: write 127.0.0.1 or [::1]");
        } else if (has_variable(text) && text[0] == '$' && text.find(':') == std::string::npos) {
          f.remedy = no_remedy("a variable stands in the place");
        } else {
          std::string prefix = port.host_port == 0 && !port.unknown && text.find(':') == text.npos
                                   ? "127.0.0.1::"
                                   : "127.0.0.1:";
          // What is no mapping stays none with an address before it.
          f.remedy = parse_ports(prefix + text).front().host_address == "127.0.0.1"
                         ? remedy_set_at(scope, place_of(item), prefix + text)
                         : no_remedy("this is no port mapping: write 127.0.0.1:HOST:CONTAINER");
        }
      }
      if (f.fixable())
        f.remedy.breaks = "clients on other machines: put a proxy with a login before it";
    }
  }
}

void check_services(Scope& scope) {
  const Workload& w = scope.workload();
  auto exposed = [](const std::string& type) {
    return type == "LoadBalancer" || type == "NodePort";
  };
  if (w.managed && exposed(w.service_type)) {
    Finding& f = scope.add(&w.containers[0], w.service_place,
                           "the Service is of type " + w.service_type +
                               ": the API, with metrics and administration on the same port, is "
                               "reachable from outside the cluster");
    f.remedy = no_remedy(
        "who the clients are is not in the file; ClusterIP behind a gateway that "
        "allows the inference paths alone");
    return;
  }
  for (const ServiceObject* service : scope.all().services) {
    if (service->selector.empty() || service->name_space != w.name_space ||
        !selects(service->selector, w.labels) || !exposed(service->type)) {
      continue;
    }
    for (const Container& c : w.containers) {
      if (c.server == nullptr) continue;
      for (const PortEntry& port : service->ports) {
        if (port.unknown || port.port == inference_port(c)) continue;
        PortMeaning meaning = meaning_of(c, port.port);
        Finding& f = scope.add(&c, port.place,
                               "Service " + service->name + " of type " + service->type +
                                   " exposes port " + std::to_string(port.port) + ": " +
                                   meaning.what + (meaning.verified ? "" : " (unverified)"));
        f.file = service->file;
        f.document = service->document;
        f.remedy = no_remedy("remove the port from the Service, or make it ClusterIP");
      }
    }
  }
}

void check_network_policy(Scope& scope) {
  const Workload& w = scope.workload();
  if (w.managed || w.host_network.is(true)) return;
  bool ingress = false, egress = false;
  for (const PolicyObject* policy : scope.all().policies) {
    if (policy->name_space != w.name_space) continue;
    bool selected = policy->selects_all ||
                    (!policy->expressions && selects(policy->pod_selector, w.labels)) ||
                    policy->expressions;
    ingress |= selected && policy->limits_ingress;
    egress |= selected && policy->limits_egress;
  }
  if (ingress && egress) return;
  std::string missing = !ingress && !egress ? "no NetworkPolicy selects its Pods: anyone in the "
                                              "cluster reaches it, and it reaches everything, the "
                                              "cloud's metadata service included"
                        : ingress           ? "its NetworkPolicies leave egress open"
                                            : "its NetworkPolicies leave ingress open";
  const Container* server = nullptr;
  for (const Container& c : w.containers) {
    if (c.role == Role::kMain && c.server != nullptr && !c.server->ports.empty()) server = &c;
  }
  Finding& f = scope.add(nullptr, w.place, missing);
  if (ingress || egress) {
    f.remedy = no_remedy("a policy is there already: extend it by hand");
  } else if (server == nullptr) {
    f.remedy = no_remedy("what this container talks to is not known: pare prove finds out");
  } else {
    f.remedy = remedy_network_policy(scope, *server);
  }
}

void check_open_egress(Scope& scope) {
  const Workload& w = scope.workload();
  for (const PolicyObject* policy : scope.all().policies) {
    if (policy->name_space != w.name_space || !policy->egress_open) continue;
    if (!policy->selects_all && !selects(policy->pod_selector, w.labels)) continue;
    Finding& f = scope.add(nullptr, policy->open_egress,
                           "NetworkPolicy " + policy->name + " lets " + w.name +
                               " reach any address: the rule has no `to`, or 0.0.0.0/0 without "
                               "exceptions");
    f.file = policy->file;
    f.document = policy->document;
    f.remedy = no_remedy("which addresses it needs shows at run time: pare prove");
  }
}

void check_pull_and_serve(Scope& scope) {
  const Workload& w = scope.workload();
  if (w.managed || w.batch) return;
  for (const Container& c : w.containers) {
    if (c.server == nullptr || c.server->keys.empty() || c.role == Role::kInit) continue;
    for (const EnvEntry& entry : c.env) {
      bool key = std::find(c.server->keys.begin(), c.server->keys.end(), entry.name) !=
                 c.server->keys.end();
      if (!key || entry.value == "") continue;
      Finding& f = scope.add(&c, entry.place,
                             "pulls its model (" + entry.name +
                                 ") and serves under one egress policy: a NetworkPolicy selects a "
                                 "whole Pod, so the pull belongs in a Job that fills a volume");
      f.remedy = no_remedy(
          "two objects are needed: pare emit writes the pull Job and the serving "
          "Pod from a proof");
      break;
    }
  }
}

void check_probe_hosts(Scope& scope) {
  const Workload& w = scope.workload();
  if (scope.document() == nullptr || w.pod_spec == kNoNode) return;
  for (const Container& c : w.containers) {
    if (c.map == kNoNode) continue;
    View container(scope.document()->yaml, c.map);
    for (std::string_view probe : {"livenessProbe", "readinessProbe", "startupProbe"}) {
      for (std::string_view kind : {"httpGet", "tcpSocket"}) {
        View host = container.get({probe, kind, "host"});
        if (host.text_or().empty()) continue;
        Finding& f = scope.add(&c, place_of(host),
                               "the kubelet is told to probe the host " + host.text_or());
        f.remedy.operations = {remove_key(container.get({probe, kind}).id(), {"host"})};
        f.remedy.breaks = "a probe that meant another host";
      }
    }
  }
}

}  // namespace pare::audit
