// What the emitted NetworkPolicies mean, by an evaluator of their semantics.
#include <gtest/gtest.h>

#include <random>

#include "emit/testing.h"
#include "emit/testing_network.h"

namespace pare::emit {

namespace {

const Endpoint kServer{
    "apps",
    {{"app.kubernetes.io/name", "embed"}, {"app.kubernetes.io/component", "server"}},
    "10.0.0.1"};
const Endpoint kTwin{
    "apps",
    {{"app.kubernetes.io/name", "embed"}, {"app.kubernetes.io/component", "verify"}},
    "10.0.0.2"};
const Endpoint kClient{"apps", {{"embed-client", "true"}}, "10.0.0.3"};
const Endpoint kOther{"apps", {{"app", "web"}}, "10.0.0.4"};
const Endpoint kForeignClient{"else", {{"embed-client", "true"}}, "10.0.0.5"};
const Endpoint kMonitor{"monitoring", {{"app", "prometheus"}}, "10.0.0.6"};
const Endpoint kDns{"kube-system", {{"k8s-app", "kube-dns"}}, "10.0.0.7"};
const Endpoint kPull{"apps", {{"app.kubernetes.io/name", "embed-pull"}}, "10.0.0.8"};
const Endpoint kHub{"", {}, "203.0.113.9"};
const Endpoint kMetadata{"", {}, "169.254.169.254"};
const Endpoint kLan{"", {}, "192.168.1.1"};

NetworkPolicies policies_of(const verdict::Proof& proof, const Options& options = {}) {
  std::vector<base::Json> policies;
  for (const File& file : emitted(proof, "kubernetes", options)) {
    if (file.name.find(".yaml") == std::string::npos) continue;
    for (const base::Json& document : yaml_documents(file.content)) {
      if (document.value("kind", "") == "NetworkPolicy") policies.push_back(document);
    }
  }
  return {"apps", policies};
}

struct Pair {
  const char* what;
  Endpoint from, to;
  int port;
  bool allowed;
  const char* protocol = "TCP";
};

void expect_pairs(const NetworkPolicies& policies, const std::vector<Pair>& pairs) {
  for (const Pair& p : pairs) {
    EXPECT_EQ(policies.allows(p.from, p.to, p.port, p.protocol), p.allowed) << p.what;
  }
}

}  // namespace

TEST(NetworkPolicy, ClientsReachInferenceAndNothingGoesOut) {
  expect_pairs(policies_of(image_proof("kubernetes")),
               {{"a client to inference", kClient, kServer, 8000, true},
                {"a client to inference by UDP", kClient, kServer, 8000, false, "UDP"},
                {"a client to metrics", kClient, kServer, 8002, false},
                {"a client to any other port", kClient, kServer, 22, false},
                {"anybody else to inference", kOther, kServer, 8000, false},
                {"a client of another namespace", kForeignClient, kServer, 8000, false},
                {"monitoring to metrics", kMonitor, kServer, 8002, false},
                {"the outside to inference", kHub, kServer, 8000, false},
                {"the server to its client", kServer, kClient, 8000, false},
                {"the server to DNS", kServer, kDns, 53, false, "UDP"},
                {"the server to the outside", kServer, kHub, 443, false},
                {"the server to the metadata service", kServer, kMetadata, 80, false},
                {"its twin to the outside", kTwin, kHub, 443, false},
                {"others among themselves", kOther, kClient, 80, true}});
}

TEST(NetworkPolicy, MetricsAreOpenToTheMonitoringNamespaceAlone) {
  Options options;
  options.metrics_from = "monitoring";
  expect_pairs(policies_of(image_proof("kubernetes"), options),
               {{"monitoring to metrics", kMonitor, kServer, 8002, true},
                {"monitoring to inference", kMonitor, kServer, 8000, false},
                {"a client to metrics", kClient, kServer, 8002, false},
                {"a client to inference", kClient, kServer, 8000, true}});
  auto none = emit(llama_proof(), "kubernetes", options);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::kUsage);
}

TEST(NetworkPolicy, ThePullReachesItsHubAndTheServerDoesNot) {
  expect_pairs(policies_of(pulling_proof("kubernetes")),
               {{"the pull to its hub", kPull, kHub, 443, true},
                {"the pull to another port", kPull, kHub, 80, false},
                {"the pull to DNS", kPull, kDns, 53, true, "UDP"},
                {"the pull to the metadata service", kPull, kMetadata, 443, false},
                {"the pull to a neighbour", kPull, kLan, 443, false},
                {"the pull to another Pod", kPull, kOther, 443, false},
                {"a client to the pull", kClient, kPull, 8000, false},
                {"the server to the hub", kServer, kHub, 443, false},
                {"the server to DNS", kServer, kDns, 53, false, "UDP"}});
}

TEST(NetworkPolicy, ANeededAddressIsReachedAndNoOther) {
  verdict::Proof proof = image_proof("kubernetes");
  proof.policy.egress = {{"203.0.113.9", 443}, {"192.168.1.1", 0}};
  expect_pairs(policies_of(proof), {{"the address", kServer, kHub, 443, true},
                                    {"another port of it", kServer, kHub, 80, false},
                                    {"one without a port", kServer, kLan, 5000, true},
                                    {"the metadata service", kServer, kMetadata, 443, false},
                                    {"DNS, which no name needs", kServer, kDns, 53, false, "UDP"}});
  proof.policy.egress_any = true;
  EXPECT_TRUE(policies_of(proof).allows(kServer, kMetadata, 80, "TCP"));
}

// For any policy: a connection comes in exactly where a port of inference meets a client of the
// namespace (or a metrics port the monitoring), and goes out exactly where egress was proved.
TEST(NetworkPolicy, HoldsForRandomPolicies) {
  std::mt19937 random(7);
  auto one_of = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const std::vector<Endpoint> peers = {kClient, kOther,    kForeignClient, kMonitor, kDns,
                                       kHub,    kMetadata, kLan,           kPull};
  const char* roles[] = {"inference", "metrics", "admin"};
  for (int round = 0; round < 300; ++round) {
    verdict::Proof proof = image_proof("kubernetes");
    proof.policy.ports = {{8000, "tcp", "inference"}};
    for (uint16_t port = 8001; port < 8004; ++port) {
      if (one_of(2) == 0) proof.policy.ports.push_back({port, "tcp", roles[one_of(3)]});
    }
    proof.policy.egress.clear();
    for (const Endpoint& outside : {kHub, kLan}) {
      uint16_t port = one_of(2) == 0 ? 0 : 443;
      if (one_of(2) == 0) proof.policy.egress.push_back({outside.address, port});
    }
    Options options;
    bool metrics = std::any_of(proof.policy.ports.begin(), proof.policy.ports.end(),
                               [](const auto& p) { return p.role == "metrics"; });
    if (metrics && one_of(2) == 0) options.metrics_from = "monitoring";
    NetworkPolicies policies = policies_of(proof, options);
    for (const Endpoint& peer : peers) {
      for (int port : {443, 8000, 8001, 8002, 8003}) {
        bool in = false;
        for (const privilege::PortGrant& g : proof.policy.ports) {
          bool client = g.role == "inference" && peer.name_space == "apps" &&
                        peer.labels.count("embed-client") > 0;
          bool monitor = g.role == "metrics" && !options.metrics_from.empty() &&
                         peer.name_space == "monitoring";
          in = in || (g.port == port && (client || monitor));
        }
        EXPECT_EQ(policies.allows(peer, kServer, port, "TCP"), in) << peer.address << " " << port;
        bool out = false;
        for (const privilege::EgressGrant& e : proof.policy.egress) {
          out = out || (e.name == peer.address && (e.port == 0 || e.port == port));
        }
        EXPECT_EQ(policies.allows(kServer, peer, port, "TCP"), out) << peer.address << " " << port;
      }
    }
  }
}

}  // namespace pare::emit
