#include "audit/pod_security.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "base/testing.h"

namespace pare::audit {
namespace {

struct Judged {
  std::string text;
  std::vector<YamlDocument> documents;
  PodPlace pod;
};

std::unique_ptr<Judged> judge(std::string text, size_t index = 0) {
  auto judged = std::make_unique<Judged>();
  judged->text = std::move(text);
  auto parts = split_documents(judged->text);
  auto part = std::find_if(parts.begin(), parts.end(), [&](auto& p) { return p.index == index; });
  if (part == parts.end()) {
    ADD_FAILURE() << "no document " << index;
    return judged;
  }
  auto documents = parse_yaml(judged->text, part->span);
  EXPECT_TRUE(documents) << (documents ? "" : documents.error().why);
  if (!documents) return judged;
  judged->documents = std::move(*documents);
  judged->pod = find_pod(View(judged->documents[0], judged->documents[0].root));
  return judged;
}

std::string reason(const std::string& spec, PodSecurityLevel level, int minor = kPodSecurityMinor) {
  auto judged = judge("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n" + spec);
  return judge_pod(judged->pod, level, minor).reason();
}
constexpr auto kBaseline = PodSecurityLevel::kBaseline;
constexpr auto kRestricted = PodSecurityLevel::kRestricted;

// What Kubernetes' own evaluator said of public manifests, reasons included.
TEST(PodSecurity, AgreesWithKubernetesOnPublicManifests) {
  const std::string root = std::string(PARE_SOURCE_DIR) + "/../shared/fixtures/";
  auto verdicts = base::read_file(root + "psa-verdicts.jsonl");
  // As in audit_test: data beside the checkout.
  if (!verdicts) GTEST_SKIP() << "../shared/fixtures is not there: " << verdicts.error().message;
  std::istringstream lines(*verdicts);
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    auto row = nlohmann::json::parse(line);
    auto text = base::read_file(root + row["file"].get<std::string>());
    ASSERT_TRUE(text) << text.error().message;
    auto judged = judge(*text, row["doc"].get<size_t>());
    auto level = row["level"] == "baseline" ? kBaseline : kRestricted;
    PodSecurityVerdict verdict = judge_pod(judged->pod, level);
    EXPECT_EQ(verdict.allowed(), row["allowed"].get<bool>()) << line;
    EXPECT_EQ(verdict.reason(), row["reason"].get<std::string>()) << line;
  }
  EXPECT_GE(count, 30u);
}

TEST(PodSecurity, DefaultingIsTheApiServers) {
  // A volume without a source becomes an emptyDir; a null source is no source.
  EXPECT_EQ(reason("  volumes: [{name: v}, {name: w, hostPath: null}]\n", kRestricted), "");
  EXPECT_EQ(reason("  volumes: [{name: v, hostPath: {path: /}}]\n", kBaseline), "hostPath volumes");
  EXPECT_EQ(reason("  volumes: [{name: v, nfs: {}}]\n", kRestricted), "restricted volume types");
  EXPECT_EQ(reason("  volumes: [{name: v, image: {}}]\n", kRestricted), "");
  EXPECT_EQ(reason("  volumes: [{name: v, image: {}}]\n", kRestricted, 32),
            "restricted volume types");
  // With hostNetwork a Pod's container ports become host ports.
  EXPECT_EQ(reason("  hostNetwork: true\n  containers: [{name: c, ports: [{containerPort: 1}]}]\n",
                   kBaseline),
            "host namespaces, hostPort");
}

TEST(PodSecurity, YamlBooleansAndNumbersCount) {
  EXPECT_EQ(reason("  hostPID: yes\n", kBaseline), "host namespaces");
  EXPECT_EQ(reason("  hostPID: 'yes'\n", kBaseline), "");
  EXPECT_EQ(reason("  securityContext: {runAsUser: 00, runAsNonRoot: on}\n", kRestricted),
            "runAsUser=0");
}

TEST(PodSecurity, MergeKeysCarryThePrivilegedFlag) {
  const std::string spec =
      "  x: &p {privileged: true}\n  containers: [{name: c, securityContext: {<<: *p}}]\n";
  EXPECT_EQ(reason(spec, kBaseline), "privileged");
}

TEST(PodSecurity, EachCheck) {
  auto container = [](const std::string& body) {
    return "  containers: [{name: c, securityContext: {" + body + "}}]\n";
  };
  EXPECT_EQ(reason(container("capabilities: {add: [NET_RAW]}"), kBaseline),
            "non-default capabilities");
  EXPECT_EQ(reason(container("capabilities: {add: [CAP_CHOWN]}"), kBaseline),
            "non-default capabilities");
  EXPECT_EQ(reason(container("procMount: Unmasked"), kBaseline), "procMount");
  EXPECT_EQ(reason(container("seLinuxOptions: {type: spc_t}"), kBaseline), "seLinuxOptions");
  EXPECT_EQ(reason(container("seccompProfile: {type: Unconfined}"), kBaseline), "seccompProfile");
  EXPECT_EQ(reason(container("appArmorProfile: {type: Unconfined}"), kBaseline),
            "forbidden AppArmor profile");
  EXPECT_EQ(reason(container("windowsOptions: {hostProcess: true}"), kBaseline), "hostProcess");
  EXPECT_EQ(reason("  containers: [{name: c, livenessProbe: {tcpSocket: {host: h}}}]\n", kBaseline),
            "probe or lifecycle host");
  EXPECT_EQ(reason("  securityContext: {sysctls: [{name: net.ipv4.tcp_rmem}]}\n", kBaseline), "");
  EXPECT_EQ(reason("  securityContext: {sysctls: [{name: net.ipv4.tcp_rmem}]}\n", kBaseline, 31),
            "forbidden sysctls");
  const std::string good =
      "allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, runAsNonRoot: true, "
      "seccompProfile: {type: RuntimeDefault}";
  EXPECT_EQ(reason(container(good), kRestricted), "");
  EXPECT_EQ(reason(container("capabilities: {drop: [all]}, allowPrivilegeEscalation: false, "
                             "runAsNonRoot: true, seccompProfile: {type: Localhost}"),
                   kRestricted),
            "unrestricted capabilities");
}

TEST(PodSecurity, UserNamespacesAndWindowsAreRelaxedByVersion) {
  const std::string users =
      "  hostUsers: false\n  containers: [{name: c, securityContext: {runAsUser: 0, "
      "allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: "
      "RuntimeDefault}}}]\n";
  EXPECT_EQ(reason(users, kRestricted, 35), "");
  EXPECT_EQ(reason(users, kRestricted, 34), "runAsNonRoot != true, runAsUser=0");
  const std::string windows =
      "  os: {name: windows}\n  containers: [{name: c, securityContext: {runAsNonRoot: true}}]\n";
  EXPECT_EQ(reason(windows, kRestricted), "");
}

TEST(PodSecurity, LevelOfAWorkload) {
  auto judged = judge(
      "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: "
      "{containers: [{name: c}]}}}\n");
  EXPECT_EQ(pod_level(judged->pod), kBaseline);
  auto other = judge("apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nspec: {}\n");
  EXPECT_FALSE(other->pod.known);
}

}  // namespace
}  // namespace pare::audit
