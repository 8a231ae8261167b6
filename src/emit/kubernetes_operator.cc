// The list of calls as an object of the Security Profiles Operator, which puts it on the nodes.
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "emit/emitters.h"
#include "emit/kubernetes.h"
#include "privilege/seccomp.h"

namespace pare::emit {

namespace {

Yaml arguments(const base::Json& conditions) {
  Yaml list = Yaml::list();
  for (const base::Json& condition : conditions) {
    Yaml one = Yaml::map();
    for (const char* key : {"index", "value", "valueTwo"}) {
      if (condition.contains(key)) one.set(key, condition.at(key).get<uint64_t>());
    }
    list.add(one.set("op", condition.at("op").get<std::string>()));
  }
  return list;
}

}  // namespace

privilege::SeccompProfile without_fallbacks(privilege::SeccompProfile profile) {
  std::set<std::string> calls(profile.syscalls.begin(), profile.syscalls.end());
  calls.insert(profile.enosys.begin(), profile.enosys.end());
  profile.syscalls.assign(calls.begin(), calls.end());
  profile.enosys.clear();
  return profile;
}

File operator_file(const verdict::Proof& proof, const Plan& plan, const Options& options) {
  const privilege::SeccompProfile& proved = *proof.policy.seccomp;
  base::Json json = privilege::oci_seccomp(without_fallbacks(proved));
  Yaml rules = Yaml::list();
  for (const base::Json& rule : json.at("syscalls")) {
    Yaml one = Yaml::map();
    one.set("action", rule.at("action").get<std::string>());
    one.set("names", rule.at("names").get<std::vector<std::string>>());
    if (rule.contains("args")) one.set("args", arguments(rule.at("args")));
    rules.add(one);
  }
  Yaml spec = Yaml::map();
  spec.set("defaultAction", json.at("defaultAction").get<std::string>())
      .set("architectures", json.at("architectures").get<std::vector<std::string>>())
      .set("syscalls", rules);
  Yaml object = Yaml::map();
  object.set("apiVersion", "security-profiles-operator.x-k8s.io/v1beta1")
      .set("kind", "SeccompProfile")
      .set("metadata",
           Yaml::map().set("name", plan.claims_of).set("namespace", options.seccomp_operator))
      .set("spec", spec);
  Header header;
  header.title = "The calls that " + plan.name + " and its container runtime make; others fail.";
  header.assumptions = {
      "the Security Profiles Operator runs, of a release whose profiles have a "
      "namespace (v1beta1)"};
  if (!proved.enosys.empty()) {
    header.inexpressible.push_back(
        "\"no such call\", which libc falls back from: these are allowed instead, with any "
        "arguments: " +
        base::join(proved.enosys, ", "));
  }
  header.check = {"kubectl apply -f " + std::string(kOperatorFile),
                  "kubectl -n " + options.seccomp_operator + " get seccompprofile " +
                      plan.claims_of + " -o jsonpath='{.status.localhostProfile}'",
                  "it prints the localhostProfile of the Pod"};
  return {kOperatorFile, comment_lines(header_text(proof, plan, header)) + object.text()};
}

}  // namespace pare::emit
