// What the files of the kubernetes emitter share.
#pragma once

#include <string>
#include <vector>

#include "emit/plan.h"
#include "emit/yaml.h"

namespace pare::emit {

// spec of a Pod (core/v1 PodSpec).
Yaml pod_spec(const verdict::Proof& proof, const Plan& plan, const Options& options);

// The profile's file name below the kubelet's seccomp/pare directory.
std::string seccomp_name(const Plan& plan);
// True when the Pod names the Localhost profile: asked for, or RuntimeDefault refuses needed calls.
bool wants_localhost(const verdict::Proof& proof, const Options& options);
// The calls of the policy's list that containerd's and CRI-O's RuntimeDefault profiles refuse.
std::vector<std::string> refused_by_runtime_default(const privilege::Policy& policy);

// The PersistentVolumeClaim that stands for what the target bound.
std::string claim_name(const Plan& plan, const Mounted& mounted);

// Services and NetworkPolicies.
File service_file(const verdict::Proof& proof, const Plan& plan);
File network_policy_file(const verdict::Proof& proof, const Plan& plan);
// Jobs that show what the NetworkPolicy does; needs a port.
File verification_file(const verdict::Proof& proof, const Plan& plan);

// Fields that keep the Pod out of Pod Security "restricted", each with the reason; empty: it fits.
std::vector<std::string> restricted_blockers(const verdict::Proof& proof);

}  // namespace pare::emit
