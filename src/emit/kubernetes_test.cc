// Kubernetes files read back by a YAML parser.
#include "emit/kubernetes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "emit/check.h"
#include "emit/testing.h"

namespace pare::emit {

using base::Json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

Json pod_of(const std::vector<File>& files) {
  return yaml_documents(content_of(files, "deployment.yaml")).at(0)["spec"]["template"]["spec"];
}

Json named(const Json& list, const std::string& name) {
  for (const Json& item : list) {
    if (item.at("name") == name) return item;
  }
  ADD_FAILURE() << "nothing is named " << name << " in " << list.dump();
  return {};
}

}  // namespace

TEST(Kubernetes, GrantsWhatTheProofNeedsAndNoMore) {
  Json pod = pod_of(emitted(llama_proof(), "kubernetes"));
  EXPECT_EQ(pod["automountServiceAccountToken"], false);
  EXPECT_EQ(pod["enableServiceLinks"], false);
  EXPECT_FALSE(pod.contains("hostNetwork") || pod.contains("hostPID") || pod.contains("hostIPC"));
  EXPECT_EQ(pod["securityContext"], (Json{{"runAsNonRoot", true},
                                          {"runAsUser", 65532},
                                          {"runAsGroup", 65532},
                                          {"seccompProfile", {{"type", "RuntimeDefault"}}}}));
  Json container = pod["containers"].at(0);
  EXPECT_EQ(container["securityContext"], (Json{{"privileged", false},
                                                {"allowPrivilegeEscalation", false},
                                                {"readOnlyRootFilesystem", true},
                                                {"capabilities", {{"drop", {"ALL"}}}}}));
  EXPECT_EQ(container["command"], Json(llama_proof().target.argv));
  EXPECT_EQ(container["ports"].at(0)["containerPort"], 8000);
  EXPECT_EQ(container["readinessProbe"]["httpGet"], (Json{{"path", "/health"}, {"port", 8000}}));
  EXPECT_EQ(named(pod["volumes"], "tmp")["emptyDir"],
            (Json{{"medium", "Memory"}, {"sizeLimit", "16Mi"}}));
  EXPECT_EQ(named(pod["volumes"], "models")["persistentVolumeClaim"],
            (Json{{"claimName", "llama-server-models"}, {"readOnly", true}}));
  EXPECT_EQ(named(container["volumeMounts"], "models")["readOnly"], true);
}

TEST(Kubernetes, TheOperatorsProfileIsNamedAsItPutsItOnTheNode) {
  Options options;
  options.seccomp_operator = "inference";
  verdict::Proof proof = llama_proof();
  proof.policy.seccomp->enosys = {"clone3"};
  auto files = emitted(proof, "kubernetes", options);
  Json object = yaml_documents(content_of(files, "seccompprofile.yaml")).at(0);
  EXPECT_EQ(object["kind"], "SeccompProfile");
  EXPECT_EQ(object["metadata"], (Json{{"name", "llama-server"}, {"namespace", "inference"}}));
  EXPECT_EQ(object["spec"]["defaultAction"], "SCMP_ACT_ERRNO");
  const Json& allowed = object["spec"]["syscalls"].at(0);
  EXPECT_EQ(allowed["action"], "SCMP_ACT_ALLOW");
  // What libc falls back from cannot be "no such call" there.
  EXPECT_THAT(allowed["names"], Contains("clone3"));
  EXPECT_FALSE(object.dump().find("errnoRet") != std::string::npos);
  EXPECT_EQ(
      pod_of(files)["securityContext"]["seccompProfile"],
      (Json{{"type", "Localhost"}, {"localhostProfile", "operator/inference/llama-server.json"}}));
  for (const File& file : files) EXPECT_NE(file.name, "seccomp/llama-server.json");
}

TEST(Kubernetes, WritesTheWholePolicy) {
  Options options;
  options.localhost_seccomp = true;
  options.host_users = false;
  auto files = emitted(image_proof("kubernetes"), "kubernetes", options);
  Json pod = pod_of(files);
  EXPECT_EQ(pod["hostUsers"], false);
  Json context = pod["securityContext"];
  EXPECT_EQ(context["runAsUser"], 1000);
  EXPECT_EQ(context["runAsGroup"], 1001);
  EXPECT_EQ(context["supplementalGroups"], (Json{44, 107}));
  EXPECT_EQ(context["seccompProfile"],
            (Json{{"type", "Localhost"}, {"localhostProfile", "pare/embed.json"}}));
  EXPECT_EQ(context["sysctls"].at(0),
            (Json{{"name", "net.ipv4.ip_unprivileged_port_start"}, {"value", "0"}}));
  Json container = pod["containers"].at(0);
  EXPECT_EQ(container["image"], image_proof("kubernetes").target.facts.pinned);
  EXPECT_FALSE(container.contains("command"));
  EXPECT_EQ(container["args"], (Json{"serve", "--all"}));
  EXPECT_EQ(container["securityContext"]["capabilities"],
            (Json{{"drop", {"ALL"}}, {"add", {"SYS_NICE"}}}));
  EXPECT_EQ(named(container["env"], "NGC_API_KEY")["valueFrom"]["secretKeyRef"],
            (Json{{"name", "embed-secrets"}, {"key", "NGC_API_KEY"}}));
  EXPECT_EQ(named(container["env"], "ODD")["value"], "a$$(HOME) 'b'\nc");
  EXPECT_EQ(named(container["env"], "HOME")["value"], "/tmp");
  EXPECT_EQ(named(pod["volumes"], "dev-shm")["emptyDir"]["sizeLimit"], "1Gi");
  EXPECT_EQ(named(pod["volumes"], "root-triton")["emptyDir"].count("medium"), 0u);
  EXPECT_FALSE(named(container["volumeMounts"], "opt-cache").contains("readOnly"));
  EXPECT_EQ(named(container["volumeMounts"], "etc-config-yaml")["subPath"], "config.yaml");
  EXPECT_EQ(pod["initContainers"].at(0)["volumeMounts"].at(0)["name"], "opt-app-state");
}

TEST(Kubernetes, AServerThatWasMovedKeepsThePortThatClientsKnow) {
  verdict::Proof proof = llama_proof();
  proof.checks = {{"health", "http://:80/health"}};
  proof.policy.ports = {{8080, "tcp", "inference", 80}};
  auto files = emitted(proof, "kubernetes");
  Json service = yaml_documents(content_of(files, "service.yaml")).at(0);
  EXPECT_EQ(service["spec"]["ports"][0]["port"], 80);
  Json container = pod_of(files)["containers"].at(0);
  EXPECT_EQ(container["ports"][0]["containerPort"], 8080);
  EXPECT_EQ(container["readinessProbe"]["httpGet"]["port"], 8080);
  EXPECT_THAT(content_of(files, "verify/jobs.yaml"), HasSubstr("llama-server:80/health"));
}

TEST(Kubernetes, AVolumeThatBelongsToTheServerGetsItsGroup) {
  verdict::Proof proof = llama_proof();
  EXPECT_FALSE(pod_of(emitted(proof, "kubernetes"))["securityContext"].contains("fsGroup"));
  proof.policy.volumes[0].owned = true;
  Json pod = pod_of(emitted(proof, "kubernetes"));
  EXPECT_EQ(pod["securityContext"]["fsGroup"], 65532);
  EXPECT_EQ(named(pod["containers"].at(0)["volumeMounts"], "models")["readOnly"], true);
}

TEST(Kubernetes, TheNetworkPolicyAdmitsInferenceAloneAndLetsNothingOut) {
  auto files = emitted(image_proof("kubernetes"), "kubernetes");
  Json policy = yaml_documents(content_of(files, "networkpolicy.yaml")).at(0);
  EXPECT_EQ(policy["spec"]["policyTypes"], (Json{"Ingress", "Egress"}));
  EXPECT_EQ(policy["spec"]["egress"], Json::array());
  ASSERT_EQ(policy["spec"]["ingress"].size(), 1u);
  Json rule = policy["spec"]["ingress"][0];
  EXPECT_EQ(rule["ports"], (Json::array({{{"protocol", "TCP"}, {"port", 8000}}})));
  EXPECT_EQ(rule["from"].at(0)["podSelector"]["matchLabels"], (Json{{"embed-client", "true"}}));
  Json service = yaml_documents(content_of(files, "service.yaml")).at(0);
  ASSERT_EQ(service["spec"]["ports"].size(), 1u);
  EXPECT_EQ(service["spec"]["ports"][0]["port"], 8000);
  // The policy's selector takes in the server and its twin of the egress Job; the Service's does
  // not take in the twin.
  Json labels = yaml_documents(content_of(files, "deployment.yaml"))
                    .at(0)["spec"]["template"]["metadata"]["labels"];
  Json twin;
  for (const Json& job : yaml_documents(content_of(files, "verify/jobs.yaml"))) {
    if (job["metadata"]["name"] == "embed-verify-egress") {
      twin = job["spec"]["template"]["metadata"]["labels"];
    }
  }
  auto selects = [](const Json& selector, const Json& target) {
    for (const auto& [key, value] : selector.items()) {
      if (!target.contains(key) || target[key] != value) return false;
    }
    return true;
  };
  Json policy_selector = policy["spec"]["podSelector"]["matchLabels"];
  EXPECT_TRUE(selects(policy_selector, labels) && selects(policy_selector, twin));
  EXPECT_TRUE(selects(service["spec"]["selector"], labels));
  EXPECT_FALSE(selects(service["spec"]["selector"], twin));
}

TEST(Kubernetes, NeededEgressIsAsNarrowAsANetworkPolicyCanSay) {
  verdict::Proof proof = llama_proof();
  proof.policy.egress = {{"203.0.113.9", 443}, {"models.example", 443}};
  Json rules = yaml_documents(content_of(emitted(proof, "kubernetes"), "networkpolicy.yaml"))
                   .at(0)["spec"]["egress"];
  ASSERT_EQ(rules.size(), 3u);
  EXPECT_EQ(rules[0]["to"][0]["ipBlock"]["cidr"], "203.0.113.9/32");
  EXPECT_THAT(rules[1]["to"][0]["ipBlock"]["except"], Contains("169.254.0.0/16"));
  EXPECT_EQ(rules[1]["ports"][0]["port"], 443);
  EXPECT_EQ(rules[2]["ports"].size(), 2u);  // DNS, by both protocols
  EXPECT_THAT(content_of(emitted(proof, "kubernetes"), "deployment.yaml"),
              HasSubstr("models.example by name"));
}

TEST(Kubernetes, ThePullHasAPodAndAPolicyOfItsOwn) {
  auto files = emitted(pulling_proof("kubernetes"), "kubernetes");
  auto documents = yaml_documents(content_of(files, "pull/job.yaml"));
  ASSERT_EQ(documents.size(), 2u);
  Json policy = documents[0]["spec"], pod = documents[1]["spec"]["template"];
  Json label = {{"app.kubernetes.io/name", "embed-pull"}};
  EXPECT_EQ(policy["podSelector"]["matchLabels"], label);
  EXPECT_EQ(policy["ingress"], Json::array());
  EXPECT_EQ(policy["egress"][0]["ports"][0]["port"], 443);
  EXPECT_EQ(pod["metadata"]["labels"], label);
  Json server = named(pod["spec"]["initContainers"], "embed-pull");
  EXPECT_EQ(server["restartPolicy"], "Always");
  EXPECT_TRUE(server.contains("startupProbe"));
  EXPECT_FALSE(named(server["volumeMounts"], "opt-cache").contains("readOnly"));
  EXPECT_EQ(named(server["volumeMounts"], "models")["readOnly"], true);
  EXPECT_EQ(named(server["env"], "NGC_API_KEY")["valueFrom"]["secretKeyRef"]["name"],
            "embed-secrets");
  EXPECT_EQ(pod["spec"]["containers"].at(0)["command"], Json::array({"true"}));
  // The server mounts the same claim, read-only, and nothing goes out of it.
  Json serving = pod_of(files);
  EXPECT_EQ(named(serving["volumes"], "opt-cache")["persistentVolumeClaim"],
            (Json{{"claimName", "embed-opt-cache"}, {"readOnly", true}}));
  EXPECT_EQ(named(pod["spec"]["volumes"], "opt-cache")["persistentVolumeClaim"]["claimName"],
            "embed-opt-cache");
  Json closed = yaml_documents(content_of(files, "networkpolicy.yaml")).at(0)["spec"];
  EXPECT_EQ(closed["egress"], Json::array());
  EXPECT_NE(closed["podSelector"]["matchLabels"], label);
}

TEST(Kubernetes, CallsThatTheDefaultProfileRefusesBringTheLocalhostProfile) {
  verdict::Proof proof = llama_proof();
  proof.policy.seccomp->syscalls.push_back("mbind");
  auto files = emitted(proof, "kubernetes");
  EXPECT_EQ(pod_of(files)["securityContext"]["seccompProfile"]["type"], "Localhost");
  EXPECT_THAT(content_of(files, "deployment.yaml"), HasSubstr("would refuse mbind"));
}

TEST(Kubernetes, SaysWhatKeepsItOutOfRestricted) {
  EXPECT_TRUE(restricted_blockers(llama_proof()).empty());
  verdict::Proof proof = image_proof("kubernetes");
  proof.policy.user = {};
  proof.policy.no_new_privileges = false;
  proof.policy.host_namespaces = {"ipc"};
  proof.policy.sysctls = {{"kernel.msgmax", "1"}};
  proof.policy.capabilities.add(*privilege::capability_number("NET_BIND_SERVICE"));
  EXPECT_THAT(restricted_blockers(proof),
              ElementsAre(HasSubstr("runAsUser: 0"), HasSubstr("allowPrivilegeEscalation"),
                          "capabilities.add SYS_NICE (check embed failed: HTTP 500)",
                          HasSubstr("kernel.msgmax"), HasSubstr("ipc")));
}

// What kustomize makes of it: tests/kubernetes/overlay_test.py.
TEST(Overlay, ThePatchTakesAwayWhatAMergeWouldKeep) {
  verdict::Proof proof = image_proof("kubernetes");
  proof.policy.capabilities = {};
  Json pod = yaml_documents(content_of(emitted(proof, "kustomize"), "patch.yaml"))
                 .at(0)["spec"]["template"]["spec"];
  EXPECT_EQ(pod["hostNetwork"], false);
  Json context = pod["containers"].at(0)["securityContext"];
  EXPECT_EQ(context["capabilities"], (Json{{"drop", {"ALL"}}, {"add", nullptr}}));
  EXPECT_EQ(context["seccompProfile"],
            (Json{{"type", "RuntimeDefault"}, {"localhostProfile", nullptr}}));
  // Sidecars keep what they have.
  for (const char* field : {"runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile"}) {
    EXPECT_FALSE(pod["securityContext"].contains(field)) << field;
  }
  EXPECT_EQ(context["runAsUser"], 1000);
  EXPECT_EQ(context["privileged"], false);
}

TEST(Overlay, TheWorkloadAndItsContainerCanBeNamed) {
  Options options;
  options.workload = "web";
  options.container = "model";
  auto files = emitted(image_proof("kubernetes"), "kustomize", options);
  Json patch = yaml_documents(content_of(files, "patch.yaml")).at(0);
  EXPECT_EQ(patch["spec"]["template"]["spec"]["containers"].at(0)["name"], "model");
  Json kustomization = yaml_documents(content_of(files, "kustomization.yaml")).at(0);
  EXPECT_EQ(kustomization["patches"].at(0)["target"]["name"], "web");
}

TEST(Kubernetes, AGroupThatTheImageMayGiveIsSaid) {
  verdict::Proof proof = image_proof("kubernetes");
  proof.asked.user = proof.policy.user;
  proof.policy.user.groups = {107};
  std::string head = content_of(emitted(proof, "kubernetes"), "deployment.yaml");
  EXPECT_THAT(head, HasSubstr("that the group 44 is left out"));
  EXPECT_THAT(head, ::testing::Not(HasSubstr("group 107")));
}

TEST(Kubernetes, AGroupThatOnlyTheFirstStartTakesIsThePullJobs) {
  verdict::Proof proof = llama_proof();
  verdict::Verdict group;
  group.privilege = {privilege::Axis::kGroup, "2000"};
  group.phase = evidence::Phase::kPull;
  group.kind = verdict::Kind::kNeeded;
  proof.verdicts.push_back(group);
  auto files = emitted(proof, "kubernetes");
  Json job = yaml_documents(content_of(files, "pull/job.yaml")).at(1);
  Json pulling = job["spec"]["template"]["spec"]["securityContext"];
  EXPECT_EQ(pulling["supplementalGroups"], Json::array({2000}));
  EXPECT_THAT(content_of(files, "pull/job.yaml"), HasSubstr("Egress: none."));
  EXPECT_THAT(content_of(files, "deployment.yaml"),
              ::testing::Not(HasSubstr("supplementalGroups")));
  auto rows = check(proof, "kubernetes", {}, files);
  ASSERT_TRUE(rows);
  for (const CheckRow& row : *rows) EXPECT_NE(row.state, CheckRow::State::kDrift) << row.axis;
  // A patch takes away what the workload itself asks for.
  EXPECT_THAT(content_of(emitted(proof, "kustomize"), "patch.yaml"),
              HasSubstr("supplementalGroups: null"));
}

}  // namespace pare::emit
