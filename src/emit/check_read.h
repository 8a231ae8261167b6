// What the readers of emitted files share: a policy in words that can be compared.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "emit/check.h"
#include "emit/plan.h"
#include "target/tree.h"

namespace pare::emit {

// By axis; equal texts are equal grants.
using Terms = std::map<std::string, std::string>;

// What one file grants.
struct Granted {
  std::string file;
  Terms terms;
  Terms cannot;  // axes that this platform cannot say, with the reason
};

struct Reading {
  const verdict::Proof& proof;
  const Plan& plan;
  const Options& options;
  const std::vector<File>& files;  // as they stand
  const std::vector<File>& fresh;  // as emit() writes them now
};

// One reader an emitter; several results where several files grant (a server, its pull).
using Reader = Result<std::vector<std::pair<Granted, Terms>>> (*)(const Reading&);

// nullptr when there is none of that name.
const File* find_file(const std::vector<File>& files, const std::string& name);
// kUnread when there is none.
Result<const File*> need_file(const std::vector<File>& files, const std::string& name);

// Of a policy alone: no "image", "command" and "environment".
Terms policy_terms(const privilege::Policy& policy);
// What the proof needs, as a server is started from it.
Terms proof_terms(const verdict::Proof& proof, const Plan& plan);

std::string words_term(const std::vector<std::string>& entrypoint,
                       const std::vector<std::string>& arguments);
std::string environment_term(const std::vector<target::EnvVar>& env);
// The plan's secrets, without their values: what a reader needs to know of its environment.
std::map<std::string, std::string> secret_values(const Plan& plan);
// " KEY JSON" for each key of the mapping that is none of `known`: what a reader does not
// understand is shown, and so never takes part in an equal text.
std::string others(const target::Tree& map, const std::vector<std::string_view>& known);
// A script's commands, without comments and blank lines, as a digest.
std::string script_term(const std::string& text);
// One row ("rest") for each of the `fresh` files that has structure: what none of the axes reads.
Result<std::vector<CheckRow>> rest_rows(const std::vector<File>& files,
                                        const std::vector<File>& fresh);
// Paths in any order.
std::string paths_term(std::vector<std::string> paths);
// A profile's meaning: "a list of 61 calls (sha256:...)". kUnread when it is no profile.
Result<std::string> seccomp_term(const base::Json& profile, const std::string& file);

// The policy of a target that was read back from `file`, in its terms; the profile that it names is
// looked up among the files.
Result<Terms> target_terms(target::Target target, const privilege::Platform& platform,
                           const Reading& reading, const std::string& file);

// "egress", and what Docker cannot say of "port" and "egress". `closed`: no network, or an internal
// one.
void docker_network_terms(const Reading& reading, bool closed, Granted& granted);

Result<std::vector<std::pair<Granted, Terms>>> read_kubernetes(const Reading& reading);
Result<std::vector<std::pair<Granted, Terms>>> read_overlay(const Reading& reading);
Result<std::vector<std::pair<Granted, Terms>>> read_compose(const Reading& reading);
Result<std::vector<std::pair<Granted, Terms>>> read_docker(const Reading& reading);
Result<std::vector<std::pair<Granted, Terms>>> read_oci(const Reading& reading);
Result<std::vector<std::pair<Granted, Terms>>> read_seccomp(const Reading& reading);
Result<std::vector<std::pair<Granted, Terms>>> read_cilium(const Reading& reading);
Result<std::vector<std::pair<Granted, Terms>>> read_dockerfile(const Reading& reading);

}  // namespace pare::emit
