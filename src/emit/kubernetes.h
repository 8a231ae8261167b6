// What the files of the kubernetes emitter share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "emit/plan.h"
#include "emit/yaml.h"

namespace pare::emit {

enum class PodShape {
  kServer,  // runs for ever
  kPull,    // ends once the server has been ready: the server is a sidecar of a container that ends
            // (without sidecars it is ended from outside)
};

// Whether the cluster is at least 1.MINOR; yes where its version was not said.
bool cluster_has(const Options& options, int minor);
constexpr int kSidecars = 29;    // initContainers[].restartPolicy (KEP-753, beta)
constexpr int kGrpcProbes = 24;  // KEP-2727, beta
constexpr int kHostUsers = 30;   // KEP-127, beta
constexpr int kNamespaceName =
    21;  // namespaces have the label kubernetes.io/metadata.name (KEP-2161)

// spec of a Pod (core/v1 PodSpec).
Yaml pod_spec(const verdict::Proof& proof, const Plan& plan, const Options& options,
              PodShape shape = PodShape::kServer);
// Label of the server's Pods where the workload is somebody else's.
constexpr const char* kOverlaySelector = "pare/server";
void set_user(Yaml& context, const privilege::User& user);
// `patch`: it is merged over another, so what that may say besides is set to null.
void set_seccomp(Yaml& context, const verdict::Proof& proof, const Plan& plan,
                 const Options& options, bool patch);
// `patch`: only what a container's own context cannot say, as the Pod has others in it.
Yaml pod_security_context(const verdict::Proof& proof, const Plan& plan, const Options& options,
                          bool patch = false);
// Groups that the image itself may give the server although the policy does not, one clause each.
std::vector<std::string> groups_of_image(const verdict::Proof& proof);
Yaml container_security_context(const privilege::Policy& policy);
// Text with nothing for Kubernetes to expand: it takes $(NAME) in command, args and env values.
std::string unexpanded(const std::string& text);
// An emptyDir for a writable directory, and the comment above it.
Yaml scratch_volume(const Scratch& scratch);
std::string scratch_comment(const Scratch& scratch);
// Init containers that fill scratch volumes with what the image has there; a list.
Yaml copy_containers(const verdict::Proof& proof, const Plan& plan);
Yaml pod_annotations(const verdict::Proof& proof, const Plan& plan);

// The profile's file name below the kubelet's seccomp/pare directory.
std::string seccomp_name(const Plan& plan);
// The profile as an object, in seccompprofile.yaml; the proof has a list and the options ask for
// it. Its fields follow v1beta1 of the operator (api/seccompprofile/v1beta1, v0.8); no operator was
// run.
constexpr const char* kOperatorFile = "seccompprofile.yaml";
File operator_file(const verdict::Proof& proof, const Plan& plan, const Options& options);
// What the object can say: rules have no errno that runtimes read, so what would be refused with
// ENOSYS is allowed.
privilege::SeccompProfile without_fallbacks(privilege::SeccompProfile profile);
// The profile in the form that the options ask for; nullopt when the proof leaves the calls open.
std::optional<File> profile_file(const verdict::Proof& proof, const Plan& plan,
                                 const Options& options);
// True when the Pod names the Localhost profile: asked for, or RuntimeDefault refuses needed calls.
bool wants_localhost(const verdict::Proof& proof, const Options& options);
// The calls of the policy's list that containerd's and CRI-O's RuntimeDefault profiles refuse.
std::vector<std::string> refused_by_runtime_default(const privilege::Policy& policy);

// The PersistentVolumeClaim that stands for what the target bound.
std::string claim_name(const Plan& plan, const Mounted& mounted);

// A Job that fills the volumes, with the egress that it needs, where the proof shows a pull phase.
std::optional<File> pull_file(const verdict::Proof& proof, const Options& options);

// "192.0.2.1" -> "192.0.2.1/32"; empty for names.
std::string single_address(const std::string& name);
// What a NetworkPolicy cannot say of the policy's egress, one clause each.
std::vector<std::string> nameless_egress(const privilege::Policy& policy);
// What a NetworkPolicy lets out.
Yaml egress_rules(const privilege::Policy& policy);

// Services and NetworkPolicies.
File service_file(const verdict::Proof& proof, const Plan& plan);
File network_policy_file(const verdict::Proof& proof, const Plan& plan, const Options& options);
// Jobs that show what the NetworkPolicy does; needs a port.
File verification_file(const verdict::Proof& proof, const Plan& plan);

// Sysctls of the policy that a kubelet refuses unless it was told of them.
std::vector<std::string> unsafe_sysctls(const privilege::Policy& policy, const Options& options);

// Fields that keep the Pod out of Pod Security "restricted", each with the reason; empty: it fits.
std::vector<std::string> restricted_blockers(const verdict::Proof& proof);

}  // namespace pare::emit
