// The emitters of emitter_table(), one file each.
#pragma once

#include "emit/plan.h"

namespace pare::emit {

Result<std::vector<File>> emit_kubernetes(const verdict::Proof& proof, const Options& options);
Result<std::vector<File>> emit_docker(const verdict::Proof& proof, const Options& options);
Result<std::vector<File>> emit_compose(const verdict::Proof& proof, const Options& options);
Result<std::vector<File>> emit_dockerfile(const verdict::Proof& proof, const Options& options);
Result<std::vector<File>> emit_kustomize(const verdict::Proof& proof, const Options& options);
Result<std::vector<File>> emit_helm(const verdict::Proof& proof, const Options& options);
Result<std::vector<File>> emit_oci(const verdict::Proof& proof, const Options& options);
Result<std::vector<File>> emit_cilium(const verdict::Proof& proof, const Options& options);
Result<std::vector<File>> emit_seccomp(const verdict::Proof& proof, const Options& options);

// The seccomp profile as a file that Docker and a node's Localhost profile take alike; nullopt
// when the proof leaves the calls open.
std::optional<File> seccomp_file(const verdict::Proof& proof, const Plan& plan,
                                 const std::string& name);

}  // namespace pare::emit
