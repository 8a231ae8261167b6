// Proof -> platform text. Pure: returns files, writes none.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "verdict/verdict.h"

namespace pare::emit {

struct File {
  std::string name;  // relative, e.g. "deployment.yaml"
  std::string content;
  bool executable() const { return name.size() > 3 && name.substr(name.size() - 3) == ".sh"; }
};

struct Options {
  bool unconfirmed = false;  // emit although the proof is not confirmed; written into every file
  std::string proof_digest;  // sha256 of proof.json's bytes, hex; empty: of the proof as written
  bool localhost_seccomp = false;  // kubernetes: the Localhost profile instead of RuntimeDefault
  // kubernetes: the namespace of an object of the Security Profiles Operator in the file's place
  std::string seccomp_operator;
  std::string metrics_from;   // kubernetes: a namespace that may reach the metrics ports
  std::string runtime_class;  // kubernetes: runtimeClassName; empty: the cluster's default
  std::string workload;       // kustomize, helm: the workload to patch; empty: the target's name
  std::string container;      // kustomize, helm: its container; empty: the workload's name
  bool host_users = true;     // kubernetes: false writes hostUsers: false (1.30 and later)
  int cluster_minor = 0;      // kubernetes: of the oldest cluster, 20 for 1.20; 0: a current one
};

// One row a platform.
struct Emitter {
  std::string name;  // "kubernetes", "docker", "oci", "seccomp"
  std::string summary;
  std::string platform;  // the row of privilege::platform_table() that it writes for; empty: any
  Result<std::vector<File>> (*emit)(const verdict::Proof&, const Options&);
};
const std::vector<Emitter>& emitter_table();

// kUsage for an unknown platform, an unconfirmed proof without the option, or one that the proof
// did not ask about and that differs on an axis (the message has the command that would ask).
Result<std::vector<File>> emit(const verdict::Proof& proof, const std::string& to,
                               const Options& options);

}  // namespace pare::emit
