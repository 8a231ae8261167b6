// The list of calls as a file: Docker's --security-opt seccomp=FILE and a node's Localhost profile.
#include "privilege/seccomp.h"

#include "base/json.h"
#include "base/text.h"
#include "emit/emitters.h"

namespace pare::emit {

std::optional<File> seccomp_file(const verdict::Proof& proof, const Plan& plan,
                                 const std::string& name) {
  if (!proof.policy.seccomp) return std::nullopt;
  Header header;
  header.title = "The calls that " + plan.name + " and its container runtime make; others fail.";
  header.assumptions = {"runc, or a runtime that calls no more before the program starts",
                        "architecture " + proof.policy.seccomp->arch};
  header.check = {"docker run --rm --security-opt seccomp=" + name + " ...",
                  "kubernetes: under the kubelet's seccomp directory, as a Localhost profile"};
  base::Json json = privilege::docker_seccomp(*proof.policy.seccomp);
  // Runtimes read the fields that they know; a comment has no place of its own in JSON.
  std::vector<std::string> comment =
      base::split(base::trim(header_text(proof, plan, header)), '\n');
  nlohmann::ordered_json ordered;
  ordered["comment"] = comment;
  for (const char* key : {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"}) {
    ordered[key] = json[key];
  }
  return File{name, base::write_json(ordered, 2) + "\n"};
}

Result<std::vector<File>> emit_seccomp(const verdict::Proof& proof, const Options& options) {
  Plan plan = make_plan(proof, options);
  auto file = seccomp_file(proof, plan, plan.seccomp_name);
  if (!file) {
    return fail(ErrorKind::kUsage,
                "this proof has no list of system calls (" +
                    std::string(proof.policy.seccomp_default ? "the engine's default profile stood"
                                                             : "no filter stood") +
                    "): run pare prove with the recorder, without --no-record");
  }
  return std::vector<File>{*file};
}

}  // namespace pare::emit
