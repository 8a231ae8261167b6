// Emitted files read back: what was written is what was meant, and what was changed by hand shows.
#include "emit/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "emit/testing.h"

namespace pare::emit {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace {

using State = CheckRow::State;

std::vector<CheckRow> checked(const verdict::Proof& proof, const std::string& to,
                              const std::vector<File>& files, const Options& options = {}) {
  auto rows = check(proof, to, options, files);
  if (!rows) {
    ADD_FAILURE() << to << ": " << rows.error().message;
    return {};
  }
  return *rows;
}

// "capability: NET_RAW, the proof has none", one each.
std::vector<std::string> drift(const std::vector<CheckRow>& rows) {
  std::vector<std::string> out;
  for (const CheckRow& row : rows) {
    if (row.state == State::kDrift) {
      out.push_back(row.file + " " + row.axis + ": " + row.found + ", the proof: " + row.proof);
    }
  }
  return out;
}

std::vector<std::string> axes(const std::vector<CheckRow>& rows, State state) {
  std::vector<std::string> out;
  for (const CheckRow& row : rows) {
    if (row.state == state) out.push_back(row.axis);
  }
  return out;
}

struct Named {
  std::string name;
  verdict::Proof proof;
};

// The real proofs of tests/corpus/proofs and those that use everything.
std::vector<Named> corpus() {
  std::vector<Named> out = {{"llama", llama_proof()},
                            {"image", image_proof("kubernetes")},
                            {"image for docker", image_proof("docker")},
                            {"pulling", pulling_proof("kubernetes")},
                            {"pulling for docker", pulling_proof("docker")}};
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(PARE_SOURCE_DIR) + "/tests/corpus/proofs")) {
    std::string name = entry.path().filename();
    auto json = base::parse_json(base::read_file(entry.path()).value_or(""), name);
    auto proof = verdict::proof_from_json(json.value_or(nullptr), name);
    EXPECT_TRUE(proof) << name;
    if (proof) out.push_back({name, *proof});
  }
  EXPECT_GT(out.size(), 20U);
  return out;
}

std::vector<File> edited(std::vector<File> files, const std::string& name, const std::string& from,
                         const std::string& to) {
  for (File& file : files) {
    if (file.name != name) continue;
    size_t at = file.content.rfind(from);  // the server comes last
    EXPECT_NE(at, std::string::npos) << name << ": " << from;
    if (at != std::string::npos) file.content.replace(at, from.size(), to);
  }
  return files;
}

}  // namespace

TEST(Check, EveryEmitterGrantsEveryProof) {
  std::map<std::string, int> read;
  for (const Named& named : corpus()) {
    for (const Emitter& emitter : emitter_table()) {
      auto files = emit(named.proof, emitter.name, {});
      if (!files) continue;  // refused for its platform, or cannot be expressed there
      auto rows = checked(named.proof, emitter.name, *files);
      EXPECT_THAT(drift(rows), IsEmpty()) << named.name << " as " << emitter.name;
      EXPECT_FALSE(axes(rows, State::kSame).empty()) << named.name << " as " << emitter.name;
      ++read[emitter.name];
    }
  }
  for (const Emitter& emitter : emitter_table()) {
    EXPECT_GE(read[emitter.name], 10) << emitter.name;
  }
}

TEST(Check, OptionsOfKubernetesAreReadBackToo) {
  Options options;
  options.localhost_seccomp = true;
  options.runtime_class = "gvisor";
  options.host_users = false;
  options.metrics_from = "monitoring";
  verdict::Proof proof = pulling_proof("kubernetes");
  auto rows = checked(proof, "kubernetes", emitted(proof, "kubernetes", options), options);
  EXPECT_THAT(drift(rows), IsEmpty());
  EXPECT_THAT(axes(rows, State::kSame), Contains("syscall"));
  Options by_operator;
  by_operator.seccomp_operator = "inference";
  rows = checked(proof, "kubernetes", emitted(proof, "kubernetes", by_operator), by_operator);
  EXPECT_THAT(drift(rows), IsEmpty());
  EXPECT_THAT(axes(rows, State::kSame),
              ::testing::Not(Contains("syscall")));  // it says why it is wider
  Options old;
  old.cluster_minor = 20;
  EXPECT_THAT(drift(checked(proof, "kubernetes", emitted(proof, "kubernetes", old), old)),
              IsEmpty());
}

// What belongs to whoever runs it, and is no privilege.
TEST(Check, WhatGrantsNothingIsNoDrift) {
  verdict::Proof proof = image_proof("kubernetes");
  auto files = emitted(proof, "kubernetes");
  files = edited(files, "deployment.yaml", "replicas: 1", "replicas: 3");
  files = edited(files, "deployment.yaml", "      enableServiceLinks: false",
                 "      enableServiceLinks: false\n      nodeSelector: {gpu: a100}");
  files = edited(files, "service.yaml", "    port: 8000", "    port: 80");
  for (const char* name : {"deployment.yaml", "service.yaml", "networkpolicy.yaml"}) {
    files = edited(files, name, "metadata:\n  name:", "metadata:\n  namespace: models\n  name:");
  }
  EXPECT_THAT(drift(checked(proof, "kubernetes", files)), IsEmpty());
  proof = image_proof("docker");
  files = edited(emitted(proof, "compose"), "compose.yaml", "\n    read_only: true",
                 "\n    read_only: true\n    restart: always");
  files = edited(files, "compose.yaml", "\nservices:", "\nservices:\n  web:\n    image: web");
  EXPECT_THAT(drift(checked(proof, "compose", files)), IsEmpty());
  files =
      edited(emitted(proof, "docker"), "run.sh", "  --read-only", "  --restart always --read-only");
  files = edited(files, "run.sh", "set -eu\n", "set -eu\n# ours\n\n");
  EXPECT_THAT(drift(checked(proof, "docker", files)), IsEmpty());
}

struct Edit {
  const char* to;
  const char* file;
  const char* from;
  const char* by;
  const char* drift;  // part of the one line of it
};

TEST(Check, AnEditByHandIsDrift) {
  const Edit kEdits[] = {
      {"kubernetes", "deployment.yaml", "runAsUser: 1000", "runAsUser: 1001", "user: 1001:1001"},
      {"kubernetes", "deployment.yaml", "- SYS_NICE", "- SYS_ADMIN", "capability: SYS_ADMIN"},
      {"kubernetes", "deployment.yaml", "\"-R\"", "\"-r\"", "container: "},
      {"kubernetes", "deployment.yaml", "readOnlyRootFilesystem: true",
       "readOnlyRootFilesystem: false", "rootfs: writable"},
      {"kubernetes", "deployment.yaml", "type: RuntimeDefault", "type: Unconfined",
       "syscall: no filter"},
      {"kubernetes", "deployment.yaml", "automountServiceAccountToken: false",
       "automountServiceAccountToken: true", "token: mounted"},
      {"kubernetes", "deployment.yaml", "automountServiceAccountToken: false",
       "automountServiceAccountToken: false\n      hostNetwork: true", "namespace: network"},
      {"kubernetes", "networkpolicy.yaml", "egress: []", "egress: [{}]", "egress: any"},
      {"kubernetes", "networkpolicy.yaml", "- Egress", "- Ingress", "egress: any"},
      {"kubernetes", "networkpolicy.yaml", "embed-client: \"true\"\n", "app: web\n",
       "port: 8000/tcp from Pods app=web"},
      {"kubernetes", "networkpolicy.yaml", "      port: 8000\n",
       "      port: 8000\n      endPort: 9000\n", "port: 8000-9000/tcp"},
      {"kubernetes", "networkpolicy.yaml", "  podSelector:\n    matchLabels:",
       "  podSelector:\n    matchExpressions:\n    - {key: app, operator: Exists}\n    "
       "matchLabels:",
       "egress: any"},
      {"kubernetes", "networkpolicy.yaml",
       "metadata:\n  name:", "metadata:\n  namespace: other\n  name:", "egress: any"},
      {"kubernetes", "service.yaml", "ClusterIP", "NodePort", "rest: spec.type"},
      {"kubernetes", "deployment.yaml", "          containerPort: 8000",
       "          containerPort: 8000\n          hostPort: 8000", "containers.ports.hostPort"},
      {"kubernetes", "deployment.yaml", "          privileged: false",
       "          privileged: false\n          procMount: Unmasked", "securityContext.procMount"},
      {"kubernetes", "deployment.yaml", "      enableServiceLinks: false",
       "      enableServiceLinks: false\n      shareProcessNamespace: true",
       "rest: spec.template.spec.shareProcessNamespace"},
      {"kubernetes", "deployment.yaml", "      annotations:",
       "      annotations:\n        container.apparmor.security.beta.kubernetes.io/embed: "
       "unconfined",
       "rest: spec.template.metadata.annotations.container.apparmor"},
      {"kustomize", "patch.yaml", "      hostNetwork: false\n", "",
       "rest: spec.template.spec.host"},
      {"kustomize", "kustomization.yaml", "- networkpolicy.yaml\n", "",
       "rest: without networkpolicy.yaml"},
      {"helm", "post-render.sh", "cat >", "sed s/false/true/ >", "script: "},
      {"kustomize", "patch.yaml", "runAsUser: 1000", "runAsUser: 1001", "user: 1001:1001"},
      {"helm", "patch.yaml", "- SYS_NICE", "- SYS_NICE\n            - NET_ADMIN",
       "capability: NET_ADMIN, SYS_NICE"},
      {"docker", "run.sh", "--cap-drop ALL", "--cap-drop NET_RAW", "capability: "},
      {"docker", "run.sh", "--read-only", "--init", "rootfs: writable"},
      {"docker", "run.sh", "network create --internal", "network create", "egress: any"},
      {"docker", "run.sh", "--user 1000:1001", "--user 0:0", "user: 0:0"},
      {"docker", "run.sh", "set -eu\n", "set -eu\ndocker network connect bridge embed\n",
       "script: "},
      {"docker", "run.sh", "--read-only", "--cgroupns host --read-only", "option: --cgroupns host"},
      {"docker", "run.sh", "--read-only", "--group-add docker --read-only", "+docker"},
      {"docker", "embed.seccomp.json", "\"read\",", "\"read\", \"mount\",", "syscall: a list of"},
      {"compose", "compose.yaml", "internal: true", "internal: false", "egress: any"},
      {"compose", "compose.yaml", "- SYS_NICE", "- SYS_PTRACE", "capability: SYS_PTRACE"},
      {"compose", "compose.yaml", "\n    read_only: true", "\n    read_only: false",
       "rootfs: writable"},
      {"compose", "compose.yaml", "\n    read_only: true",
       "\n    read_only: true\n    cgroup: host", "rest: services.embed.cgroup"},
      {"cilium", "ciliumnetworkpolicy.yaml", "egress:\n  - {}", "egress: []", "egress: any"},
      {"cilium", "ciliumnetworkpolicy.yaml", "egress:\n  - {}",
       "egress:\n  - toCIDRSet:\n    - cidr: 0.0.0.0/0", "egress: not understood: toCIDRSet"},
      {"cilium", "ciliumnetworkpolicy.yaml", "egress:\n  - {}",
       "egress:\n  - toPorts:\n    - ports:\n      - port: \"443\"", "egress: anybody:443"},
      {"cilium", "ciliumnetworkpolicy.yaml", "  egress:\n  - {}",
       "  enableDefaultDeny: {egress: false}\n  egress:\n  - {}",
       "endpoint: embed enableDefaultDeny"},
      {"dockerfile", "Dockerfile", "USER 1000:1001", "USER 0:0", "user: 0:0"},
  };
  for (const Edit& edit : kEdits) {
    std::string to = edit.to;
    bool cluster = to == "kubernetes" || to == "kustomize" || to == "helm" || to == "cilium";
    verdict::Proof proof = image_proof(cluster ? "kubernetes" : "docker");
    auto files = edited(emitted(proof, to), edit.file, edit.from, edit.by);
    auto rows = check(proof, to, {}, files);
    ASSERT_TRUE(rows) << to << " " << edit.by << ": " << rows.error().message;
    EXPECT_THAT(drift(*rows), Contains(HasSubstr(edit.drift))) << to << " " << edit.by;
  }
}

TEST(Check, ABundleThatWasEditedIsDrift) {
  verdict::Proof proof = llama_proof();
  auto files = emitted(proof, "oci");
  auto with = [&](auto&& change) {
    std::vector<File> changed = files;
    base::Json config = base::Json::parse(changed[0].content);
    change(config);
    changed[0].content = config.dump();
    return drift(checked(proof, "oci", changed));
  };
  EXPECT_THAT(with([](base::Json&) {}), IsEmpty());
  EXPECT_THAT(with([](base::Json& c) { c["process"]["capabilities"]["bounding"] = {"CAP_KILL"}; }),
              Contains(HasSubstr("capability: KILL")));
  EXPECT_THAT(with([](base::Json& c) { c["process"]["noNewPrivileges"] = false; }),
              Contains(HasSubstr("escalation: allowed")));
  EXPECT_THAT(with([](base::Json& c) { c["linux"].erase("seccomp"); }),
              Contains(HasSubstr("syscall: no filter")));
  EXPECT_THAT(with([](base::Json& c) { c["linux"]["namespaces"].clear(); }),
              Contains(HasSubstr("namespace: ipc, network, pid, uts")));
  EXPECT_THAT(with([](base::Json& c) { c["linux"]["resources"].erase("pids"); }),
              Contains(HasSubstr("pids: ")));
  EXPECT_THAT(
      with([](base::Json& c) {
        c["mounts"].push_back({{"destination", "/host"}, {"source", "/"}, {"type", "bind"}});
      }),
      Contains(HasSubstr("/host rw")));
  EXPECT_THAT(with([](base::Json& c) { c["linux"]["maskedPaths"].clear(); }),
              Contains(HasSubstr("rest: linux.maskedPaths")));
  EXPECT_THAT(with([](base::Json& c) {
                c["linux"]["resources"]["devices"] = {{{"allow", true}, {"access", "rwm"}}};
              }),
              Contains(HasSubstr("rest: linux.resources.devices")));
  EXPECT_THAT(with([](base::Json& c) {
                for (base::Json& ns : c["linux"]["namespaces"]) {
                  if (ns["type"] == "network") ns["path"] = "/proc/1/ns/net";
                }
              }),
              Contains(HasSubstr("namespace: network")));
}

// The head of what is emitted tells the user to write the secret into process.env.
TEST(Check, ASecretIsNeitherDriftNorShown) {
  verdict::Proof proof = llama_proof();
  proof.target.env.push_back({"HF_TOKEN", "", true});
  auto files = emitted(proof, "oci");
  base::Json config = base::Json::parse(files[0].content);
  config["process"]["env"].push_back("HF_TOKEN=hunter2");
  files[0].content = config.dump();
  EXPECT_THAT(drift(checked(proof, "oci", files)), IsEmpty());
  config["process"]["env"].push_back("OTHER_API_KEY=hunter3");
  files[0].content = config.dump();
  auto lines = drift(checked(proof, "oci", files));
  EXPECT_THAT(lines, Contains(HasSubstr("OTHER_API_KEY (a secret)")));
  EXPECT_THAT(lines, ::testing::Not(Contains(HasSubstr("hunter"))));
}

TEST(Check, SaysWhatEachPlatformCannot) {
  verdict::Proof proof = image_proof("kubernetes");
  auto rows = checked(proof, "kubernetes", emitted(proof, "kubernetes"));
  EXPECT_THAT(axes(rows, State::kInexpressible), Contains("pids"));
  for (const CheckRow& row : rows) {
    EXPECT_EQ(row.why.empty(), row.state != State::kInexpressible) << row.axis;
  }
  proof = image_proof("docker");
  EXPECT_THAT(axes(checked(proof, "docker", emitted(proof, "docker")), State::kInexpressible),
              Contains("port"));
  EXPECT_THAT(axes(checked(proof, "seccomp", emitted(proof, "seccomp")), State::kSame),
              ::testing::ElementsAre("syscall"));
}

TEST(Check, AFileThatIsMissingOrBrokenIsAnError) {
  verdict::Proof proof = image_proof("docker");
  for (const char* to : {"docker", "compose", "dockerfile", "seccomp"}) {
    auto rows = check(proof, to, {}, {});
    ASSERT_FALSE(rows) << to;
    EXPECT_EQ(rows.error().kind, ErrorKind::kUnread);
  }
  auto files = emitted(proof, "docker");
  files[0].content = "#!/bin/sh\ndocker run $OPTIONS image\n";
  auto rows = check(proof, "docker", {}, files);
  ASSERT_FALSE(rows);
  EXPECT_THAT(rows.error().message, HasSubstr("run.sh: the docker run line has something at '$"));
  verdict::Proof other = image_proof("kubernetes");
  auto patch =
      edited(emitted(other, "kustomize"), "patch.yaml", "      containers:\n      - name: embed\n",
             "      containers:\n      - embed\n      - name: embed\n");
  auto read = check(other, "kustomize", {}, patch);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, ErrorKind::kUnread);
  files[0].content = "#!/bin/sh\necho gone\n";
  EXPECT_THAT(check(proof, "docker", {}, files).error().message, HasSubstr("docker run"));
}

}  // namespace pare::emit
