// What NetworkPolicies mean (Kubernetes API reference, networking.k8s.io/v1), for tests alone: who
// may open a connection to whom.
#pragma once

#include <arpa/inet.h>

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/text.h"

namespace pare::emit {

// A Pod, or an address outside of the cluster (an empty name_space).
struct Endpoint {
  std::string name_space;
  std::map<std::string, std::string> labels;
  std::string address;
};

class NetworkPolicies {
 public:
  // Policies of one name_space, as parsed.
  NetworkPolicies(std::string name_space, std::vector<base::Json> policies)
      : name_space_(std::move(name_space)), policies_(std::move(policies)) {}

  bool allows(const Endpoint& from, const Endpoint& to, int port,
              const std::string& protocol) const {
    return side("Egress", "egress", "to", from, to, port, protocol) &&
           side("Ingress", "ingress", "from", to, from, port, protocol);
  }

 private:
  // One end's word: nothing selects it, or some rule of a policy that does admits the peer.
  bool side(const char* type, const char* rules, const char* peers, const Endpoint& self,
            const Endpoint& peer, int port, const std::string& protocol) const {
    bool isolated = false;
    for (const base::Json& policy : policies_) {
      const base::Json& spec = policy.at("spec");
      bool of_type = false;
      for (const base::Json& t : spec.at("policyTypes")) of_type = of_type || t == type;
      if (!of_type || self.name_space != name_space_) continue;
      if (!selects(spec.at("podSelector"), self.labels)) continue;
      isolated = true;
      for (const base::Json& rule : spec.value(rules, base::Json::array())) {
        if (peer_in(rule, peers, peer) && port_in(rule, port, protocol)) return true;
      }
    }
    return !isolated;
  }

  static bool selects(const base::Json& selector,
                      const std::map<std::string, std::string>& labels) {
    for (const auto& [key, value] : selector.items()) {
      if (key != "matchLabels") throw std::logic_error("selector " + key);
      for (const auto& [name, wanted] : value.items()) {
        auto label = labels.find(name);
        if (label == labels.end() || label->second != wanted) return false;
      }
    }
    return true;
  }

  bool peer_in(const base::Json& rule, const char* key, const Endpoint& peer) const {
    if (!rule.contains(key) || rule.at(key).empty()) return true;
    for (const base::Json& p : rule.at(key)) {
      if (p.contains("ipBlock")) {
        if (in_block(p.at("ipBlock"), peer.address)) return true;
        continue;
      }
      if (peer.name_space.empty()) continue;
      bool space = p.contains("namespaceSelector")
                       ? selects(p.at("namespaceSelector"),
                                 {{"kubernetes.io/metadata.name", peer.name_space}})
                       : peer.name_space == name_space_;
      bool pod = !p.contains("podSelector") || selects(p.at("podSelector"), peer.labels);
      if (space && pod) return true;
    }
    return false;
  }

  static bool port_in(const base::Json& rule, int port, const std::string& protocol) {
    if (!rule.contains("ports") || rule.at("ports").empty()) return true;
    for (const base::Json& p : rule.at("ports")) {
      if (p.value("protocol", "TCP") != protocol) continue;
      if (!p.contains("port") || p.at("port") == port) return true;
    }
    return false;
  }

  static bool in_cidr(const std::string& cidr, const std::string& address) {
    size_t slash = cidr.find('/');
    in_addr network{}, host{};
    if (inet_pton(AF_INET, cidr.substr(0, slash).c_str(), &network) != 1 ||
        inet_pton(AF_INET, address.c_str(), &host) != 1) {
      return false;
    }
    int bits = std::stoi(cidr.substr(slash + 1));
    uint32_t mask = bits == 0 ? 0 : htonl(~uint32_t{0} << (32 - bits));
    return (network.s_addr & mask) == (host.s_addr & mask);
  }

  static bool in_block(const base::Json& block, const std::string& address) {
    if (!in_cidr(block.at("cidr"), address)) return false;
    for (const base::Json& except : block.value("except", base::Json::array())) {
      if (in_cidr(except, address)) return false;
    }
    return true;
  }

  std::string name_space_;
  std::vector<base::Json> policies_;
};

}  // namespace pare::emit
