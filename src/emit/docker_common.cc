// What docker run and compose share.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "emit/docker.h"

namespace pare::emit {

namespace {

constexpr std::array<std::string_view, 17> kNotKept = {
    "--attach",
    "--cidfile",
    "--detach",
    "--detach-keys",
    "--disable-content-trust",
    "--ip",
    "--ip6",
    "--link",
    "--link-local-ip",
    "--mac-address",
    "--net-alias",
    "--network-alias",
    "--no-healthcheck",
    "--pull",
    "--quiet",
    "--rm",
    "--sig-proxy",
};

}  // namespace

Network network_of(const privilege::Policy& policy, const Plan& plan) {
  if (has_namespace(policy, "network")) return Network::kHost;
  if (policy.egress_any || !policy.egress.empty()) return Network::kOpen;
  return plan.ports.empty() ? Network::kNone : Network::kInternal;
}

std::string network_name(const Plan& plan) {
  return plan.name + "-closed";
}
// An interface's name has at most 15 characters (IFNAMSIZ).
std::string bridge_name(const std::string& network) {
  return "pare-" + base::sha256_hex(network).substr(0, 8);
}

// Where the target published a port of the container; the same number where it did not say.
uint16_t published_port(const target::Target& target, uint16_t port) {
  for (const target::PublishedPort& p : target.ports) {
    if (p.port == port && p.host_port != 0) return p.host_port;
  }
  return port;
}

std::vector<target::KeptOption> kept_options(const target::Target& target) {
  std::vector<target::KeptOption> out;
  for (const target::KeptOption& kept : target.kept) {
    bool said = std::find(kNotKept.begin(), kNotKept.end(), kept.option) == kNotKept.end();
    if (said) out.push_back(kept);
  }
  return out;
}

std::vector<std::string> docker_assumptions(const verdict::Proof& proof, const Plan& plan) {
  std::vector<std::string> out;
  if (network_of(proof.policy, plan) == Network::kInternal) {
    out.push_back(
        fmt::format("refused connections are dropped in silence by some versions of the "
                    "Engine; the proof refused egress as '{}'",
                    privilege::to_string(proof.policy.refusal)));
    out.emplace_back(
        "an Engine with the fix for CVE-2024-29018 (26.0, 25.0.5, 23.0.11): older ones "
        "send DNS questions out of internal networks where the host's resolver is on "
        "its loopback");
  }
  if (proof.policy.user.uid == 0 && !plan.scratch.empty()) {
    out.emplace_back(
        "runc 1.2 or later where another uid than 0 writes to a tmpfs: before, it gets "
        "the mode of the image's own directory");
  }
  if (proof.target.kind == target::Kind::kRootfs) {
    out.push_back("an image made from the root file system that was proved, in the place of " +
                  plan.image);
  }
  for (const Mounted& m : plan.volumes) {
    if (m.source.empty()) continue;
    out.push_back(fmt::format("{} holds what it held when the proof ran, and uid {} may {} it",
                              m.source, proof.policy.user.uid,
                              m.writable ? "read and write" : "read"));
  }
  for (const target::EnvVar& variable : plan.env) {
    if (variable.secret) out.push_back(variable.name + " is in the environment of who runs this");
  }
  return out;
}

std::vector<std::string> docker_inexpressible(const verdict::Proof& proof, const Plan& plan) {
  std::vector<std::string> out;
  Network network = network_of(proof.policy, plan);
  if (network == Network::kOpen && !proof.policy.egress_any) {
    out.push_back("egress to " + base::join(egress_clauses(proof.policy), ", ") +
                  " alone: Docker's networks are open or closed, this one is open");
  }
  if (network == Network::kHost) {
    out.emplace_back("which ports are reachable: the server has the host's network");
  }
  for (const Port& port : plan.closed_ports) {
    if (network != Network::kInternal) continue;
    out.push_back(fmt::format("port {} closed to the containers of the same network", port.port));
  }
  return out;
}

}  // namespace pare::emit
