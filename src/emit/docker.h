// What the docker and compose emitters share: Docker's networks and what it cannot express.
#pragma once

#include <string>
#include <vector>

#include "emit/plan.h"

namespace pare::emit {

enum class Network {
  kNone,      // loopback alone
  kInternal,  // reached at the container's address; no way out
  kOpen,      // a way out is needed, and Docker knows no narrower one
  kHost,
};
Network network_of(const privilege::Policy& policy, const Plan& plan);
std::string network_name(const Plan& plan);
// Of that network's interface on the host, for firewall rules.
std::string bridge_name(const std::string& network);
// Where the target published a port of the container; the same number where it did not say.
uint16_t published_port(const target::Target& target, uint16_t port);

// What the target says besides its privileges and stays said: not what concerns the docker client
// of that one run (--detach, --cidfile), nor the network that it had (--ip).
std::vector<target::KeptOption> kept_options(const target::Target& target);

// The service's part of a merge patch for a compose file (emit/patch.h).
std::string compose_patch(const verdict::Proof& proof, const Options& options);

std::vector<std::string> docker_assumptions(const verdict::Proof& proof, const Plan& plan);
std::vector<std::string> docker_inexpressible(const verdict::Proof& proof, const Plan& plan);

}  // namespace pare::emit
