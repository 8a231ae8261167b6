#include "target/kube.h"

#include <gmock/gmock.h>

#include "target/testing_files.h"

namespace pare::target {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Given;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::value_of;

// A Pod with these lines in its container (8 blanks) and in its spec (2 blanks).
std::string pod(const std::string& container, const std::string& spec = "") {
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: llm}\nspec:\n  "
         "automountServiceAccountToken: false\n" +
         spec + "  containers:\n  - name: server\n    image: registry.test/llm:1\n" + container;
}

TEST(Kubernetes, EveryControllersPodIsRead) {
  struct Row {
    const char* kind;
    const char* version;
    const char* head;
    int indent;
  };
  const Row rows[] = {{"Deployment", "apps/v1", "spec:\n  template:\n", 4},
                      {"StatefulSet", "apps/v1", "spec:\n  template:\n", 4},
                      {"DaemonSet", "apps/v1", "spec:\n  template:\n", 4},
                      {"ReplicaSet", "apps/v1", "spec:\n  template:\n", 4},
                      {"Job", "batch/v1", "spec:\n  template:\n", 4},
                      {"CronJob", "batch/v1",
                       "spec:\n  schedule: '* * * * *'\n  jobTemplate:\n    spec:\n      "
                       "template:\n",
                       8}};
  for (const Row& row : rows) {
    std::string text = std::string("apiVersion: ") + row.version + "\nkind: " + row.kind +
                       "\nmetadata: {name: x}\n" + row.head + std::string(row.indent, ' ') +
                       "spec: {containers: [{name: c, image: 'i:1'}]}\n";
    Given given;
    Workload workload = given.one(text);
    ASSERT_FALSE(workload.refused) << row.kind << ": " << workload.refused->message;
    EXPECT_EQ(workload.object, std::string(row.kind) + "/x");
    EXPECT_EQ(workload.target.image, "i:1");
    EXPECT_EQ(workload.platform, "kubernetes");
  }
}

TEST(Kubernetes, ContainersContextWinsOverThePods) {
  Given given;
  Workload w = given.one(
      pod("    securityContext:\n      runAsUser: 1234\n      allowPrivilegeEscalation: false\n"
          "      readOnlyRootFilesystem: true\n      capabilities: {drop: [ALL], add: "
          "[NET_BIND_SERVICE]}\n",
          "  securityContext:\n    runAsUser: 7\n    runAsGroup: 8\n    runAsNonRoot: true\n"
          "    fsGroup: 9\n    supplementalGroups: [10]\n    seccompProfile: {type: "
          "RuntimeDefault}\n    sysctls: [{name: net.core.somaxconn, value: '9'}]\n"));
  ASSERT_FALSE(w.refused) << w.refused->message;
  const Target& t = w.target;
  EXPECT_EQ(t.user, "1234:8");
  EXPECT_THAT(t.group_add, ElementsAre(9u, 10u));
  EXPECT_TRUE(t.no_new_privileges);
  EXPECT_TRUE(t.read_only_rootfs);
  EXPECT_TRUE(t.seccomp_runtime_default);
  EXPECT_EQ(t.sysctls.at("net.core.somaxconn"), "9");
  EXPECT_EQ(w.non_root_where, "f.yaml:9");
  auto policy = asked_policy(t, *privilege::find_platform("kubernetes"));
  EXPECT_EQ(policy.capabilities, (privilege::CapabilitySet{"NET_BIND_SERVICE"}));
  EXPECT_TRUE(policy.seccomp_default);
}

TEST(Kubernetes, EnvironmentAsTheKubeletMakesIt) {
  Given given;
  given.options.secrets["TOKEN"] = "from a file";
  std::string text =
      pod("    command: [serve, $(MODEL)]\n    args: ['$$(MODEL)', $(NOBODY)]\n"
          "    envFrom:\n    - configMapRef: {name: settings}\n      prefix: P_\n"
          "    - secretRef: {name: keys}\n    env:\n"
          "    - {name: MODEL, value: m}\n"
          "    - {name: BOTH, value: $(MODEL)-$(P_a)}\n"
          "    - name: TOKEN\n      valueFrom: {secretKeyRef: {name: elsewhere, key: t}}\n"
          "    - name: WHO\n      valueFrom: {fieldRef: {fieldPath: metadata.name}}\n"
          "    - name: CORES\n      valueFrom: {resourceFieldRef: {resource: limits.cpu}}\n"
          "    resources: {limits: {cpu: 1500m, memory: 2Gi, nvidia.com/gpu: 2}}\n") +
      "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: one}\n"
      "---\napiVersion: v1\nkind: Secret\nmetadata: {name: keys}\ndata: {K: c2VjcmV0}\n";
  Workload w = given.one(text);
  ASSERT_FALSE(w.refused) << w.refused->message;
  const Target& t = w.target;
  EXPECT_THAT(t.entrypoint, ElementsAre("serve", "m"));
  EXPECT_THAT(t.command, ElementsAre("$(MODEL)", "$(NOBODY)"));
  EXPECT_EQ(value_of(t, "P_a"), "one");
  EXPECT_EQ(value_of(t, "BOTH"), "m-one");
  EXPECT_EQ(value_of(t, "K"), "secret");
  EXPECT_EQ(value_of(t, "TOKEN"), "from a file");
  EXPECT_EQ(value_of(t, "WHO"), "llm");
  EXPECT_EQ(value_of(t, "CORES"), "2");
  EXPECT_EQ(t.gpus, "2");
  for (const EnvVar& variable : t.env) {
    EXPECT_EQ(variable.secret, variable.name == "K" || variable.name == "TOKEN") << variable.name;
  }
}

TEST(Kubernetes, VolumesOfEveryKind) {
  Given given;
  given.options.binds = {{"pvc/models", "/srv/models"}, {"volume/nfs", "/srv/nfs"}};
  std::string mounts =
      "    volumeMounts:\n"
      "    - {name: store, mountPath: /models, readOnly: true, subPath: a}\n"
      "    - {name: scratch, mountPath: /tmp}\n    - {name: shm, mountPath: /dev/shm}\n"
      "    - {name: host, mountPath: /data}\n    - {name: conf, mountPath: /etc/app}\n"
      "    - {name: conf, mountPath: /etc/one.conf, subPath: one.conf}\n"
      "    - {name: nfs, mountPath: /nfs}\n";
  std::string volumes =
      "  volumes:\n  - name: store\n    persistentVolumeClaim: {claimName: models}\n"
      "  - name: scratch\n    emptyDir: {sizeLimit: 64Mi}\n"
      "  - name: shm\n    emptyDir: {medium: Memory, sizeLimit: 1Gi}\n"
      "  - name: host\n    hostPath: {path: /srv/data}\n"
      "  - name: conf\n    configMap: {name: settings, defaultMode: 0440}\n"
      "  - name: nfs\n    nfs: {server: s, path: /x}\n";
  Workload w = given.one(pod(mounts, volumes) +
                         "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
                         "data: {one.conf: x=1, two.conf: y}\n");
  ASSERT_FALSE(w.refused) << w.refused->message;
  const Target& t = w.target;
  ASSERT_EQ(t.volumes.size(), 5u);
  EXPECT_EQ(t.volumes[0].source, "/srv/models/a");
  EXPECT_TRUE(t.volumes[0].read_only);
  EXPECT_EQ(t.volumes[1].source, "/srv/data");
  EXPECT_FALSE(t.volumes[1].read_only);
  EXPECT_EQ(t.volumes[4].source, "/srv/nfs");
  EXPECT_THAT(t.tmpfs, ElementsAre("/tmp"));
  EXPECT_EQ(t.tmpfs_options.at("/tmp"), "size=67108864");
  EXPECT_EQ(t.shm_bytes, 1u << 30);
  ASSERT_EQ(w.contents.size(), 2u);
  ASSERT_EQ(w.contents[0].files.size(), 2u);
  EXPECT_EQ(w.contents[0].files[0].mode, 0440u);
  EXPECT_TRUE(w.contents[1].single);
  EXPECT_EQ(w.contents[1].files.at(0).content, "x=1");
  EXPECT_TRUE(t.volumes[w.contents[1].volume].read_only);
}

TEST(Kubernetes, RefusalsNameFileLineAndRemedy) {
  struct Row {
    std::string text;
    std::string why;
  };
  const Row rows[] = {
      {pod("    securityContext: {runAsuser: 5}\n"),
       "f.yaml:9: unknown key 'runAsuser' in the container's securityContext; did you mean "
       "runAsUser?"},
      {pod("    securityContext: {runAsGroup: 5}\n"), "runAsGroup without runAsUser"},
      {pod("    securityContext: {runAsUser: 0, runAsNonRoot: true}\n"), "kubelet refuses"},
      {pod("    securityContext: {runAsUser: 4294967295}\n"),
       "f.yaml:9: runAsUser: an id is a number from 0 to 2147483647"},
      {pod("", "  securityContext: {fsGroup: 2147483648}\n"), "fsGroup: an id is a number"},
      {pod("", "  securityContext:\n    supplementalGroups: [-1]\n"),
       "supplementalGroups: an id is a number"},
      {pod("    securityContext: {privileged: 'true'}\n"), "privileged is neither true nor false"},
      {pod("    securityContext: {capabilities: {add: [FLY]}}\n"), "FLY"},
      {pod("    env: [{name: A, value: 5}]\n"), "f.yaml:9: env.value is no text"},
      {pod("    env:\n    - name: T\n      valueFrom: {secretKeyRef: {name: s, key: k}}\n"),
       "--secret T=FILE"},
      {pod("    volumeMounts: [{name: v, mountPath: /m, readOnly: true}]\n",
           "  volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]\n"),
       "--bind pvc/c=DIR"},
      {pod("    volumeMounts: [{name: v, mountPath: /m}]\n",
           "  volumes: [{name: v, csi: {driver: d}}]\n"),
       "--bind volume/v=DIR"},
      {pod("    volumeMounts: [{name: v, mountPath: /m}]\n"), "no such volume"},
      {pod("    volumeMounts: [{name: v, mountPath: /m, subPath: ../x}]\n",
           "  volumes: [{name: v, emptyDir: {}}]\n"),
       "subPath leaves its volume"},
      {pod("    volumeMounts: [{name: v, mountPath: /m}]\n",
           "  initContainers: [{name: fetch, image: i, volumeMounts: [{name: v, mountPath: "
           "/o}]}]\n  volumes: [{name: v, emptyDir: {}}]\n"),
       "init container fetch fills emptyDir v"},
      {pod("    image: twice\n"), "f.yaml:9: key 'image' stands twice"},
      {pod("    resources: {limits: {memory: lots}}\n"), "limits.memory is not a quantity"},
      {pod("    ports: [{containerPort: 70000}]\n"), "a port is a number from 1 to 65535"},
      {"kind: Service\napiVersion: v1\n", "it has Service"},
      {"kind: Pod\napiVersion: v1\nspec: {}\n", "no containers"},
      {"kind: {{ .Values.x }}\n", "helm template"},
  };
  for (const Row& row : rows) {
    Given given;
    EXPECT_THAT(given.error(row.text), HasSubstr(row.why)) << row.text;
  }
}

TEST(Kubernetes, WhatIsNotModelledIsNamedWithItsLine) {
  Given given;
  Workload w =
      given.one(pod("    lifecycle: {preStop: {exec: {command: [x]}}}\n"
                    "    frobnication: 3\n"
                    "    readinessProbe: {exec: {command: [x]}}\n",
                    "  runtimeClassName: gvisor\n"
                    "  shareProcessNamespace: true\n"));
  ASSERT_FALSE(w.refused) << w.refused->message;
  EXPECT_THAT(w.assumptions, Contains(HasSubstr("f.yaml:11: lifecycle is not modelled")));
  EXPECT_THAT(w.assumptions, Contains(HasSubstr("f.yaml:12: key 'frobnication'")));
  EXPECT_THAT(w.assumptions, Contains(HasSubstr("f.yaml:13: readinessProbe runs a command")));
  EXPECT_THAT(w.assumptions, Contains(HasSubstr("f.yaml:6: runtimeClassName")));
  EXPECT_THAT(w.assumptions, Contains(HasSubstr("f.yaml:7: shareProcessNamespace")));
}

TEST(Kubernetes, TheContainerIsChosenByName) {
  std::string text = pod("", "  initContainers: [{name: setup, image: 'setup:1'}]\n") +
                     "  - {name: proxy, image: 'proxy:1'}\n";
  Given given;
  EXPECT_THAT(given.error(text), HasSubstr("several containers are in these files: name one with "
                                           "--container, of Pod/llm/setup (f.yaml:6, only by its "
                                           "name), Pod/llm/server"));
  given.options.container = "proxy";
  EXPECT_EQ(given.one(text).target.image, "proxy:1");
  given.options.container = "llm/setup";
  EXPECT_EQ(given.one(text).target.image, "setup:1");
  given.options.container = "nobody";
  EXPECT_THAT(given.error(text), HasSubstr("no container is called 'nobody'"));
}

TEST(Kubernetes, NothingToRunNeedsNoValues) {
  Given given;
  given.options.not_to_run = true;
  Workload w =
      given.one(pod("    env:\n    - name: T\n      valueFrom: {secretKeyRef: {name: s, key: k}}\n"
                    "    volumeMounts: [{name: v, mountPath: /m, readOnly: true}]\n",
                    "  volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]\n"));
  ASSERT_FALSE(w.refused) << w.refused->message;
  EXPECT_TRUE(w.target.env.at(0).secret);
  EXPECT_TRUE(w.target.volumes.at(0).read_only);
}

TEST(Kubernetes, ListsAndManyDocuments) {
  Given given;
  auto read = given.all(
      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}, "
      "spec: {containers: [{name: c, image: i}]}}\n---\n# nothing\n---\napiVersion: v1\nkind: "
      "Pod\nmetadata: {name: b}\nspec: {containers: [{name: c, image: i}]}\n",
      "-");
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0].where, "<stdin>:4");
  EXPECT_EQ((*read)[1].object, "Pod/b");
}

TEST(Kubernetes, NimService) {
  Given given;
  given.options.secrets["NGC_API_KEY"] = "k";
  given.options.binds["pvc/cache-pvc"] = "/srv/nim";
  Workload w = given.one(
      "apiVersion: apps.nvidia.com/v1alpha1\nkind: NIMService\nmetadata: {name: nim}\nspec:\n"
      "  image: {repository: nvcr.io/nim/x, tag: '1.0'}\n  authSecret: s\n"
      "  storage: {nimCache: {name: cache}}\n  expose: {service: {port: 9000}}\n"
      "  env: [{name: NIM_LOG_LEVEL, value: DEBUG}]\n"
      "  resources: {limits: {nvidia.com/gpu: 1}}\n");
  ASSERT_FALSE(w.refused) << w.refused->message;
  EXPECT_EQ(w.target.image, "nvcr.io/nim/x:1.0");
  EXPECT_EQ(w.target.user, "1000:2000");
  EXPECT_EQ(value_of(w.target, "NIM_SERVER_PORT"), "9000");
  EXPECT_EQ(value_of(w.target, "NIM_LOG_LEVEL"), "DEBUG");
  EXPECT_EQ(value_of(w.target, "NGC_API_KEY"), "k");
  ASSERT_EQ(w.target.volumes.size(), 1u);
  EXPECT_EQ(w.target.volumes[0].source, "/srv/nim");
  EXPECT_EQ(w.target.volumes[0].path, "/model-store");
  EXPECT_EQ(w.target.ports.at(0).port, 9000);
  EXPECT_THAT(w.assumptions, Contains(HasSubstr("k8s-nim-operator")));
}

TEST(Kubernetes, NimPipelinesAreTheirServices) {
  Given given;
  given.options.not_to_run = true;
  auto read = given.all(
      "apiVersion: apps.nvidia.com/v1alpha1\nkind: NIMPipeline\nmetadata: {name: p}\nspec:\n"
      "  services:\n  - name: a\n    enabled: true\n    spec: {image: {repository: r, tag: '1'}}\n"
      "  - {name: b, enabled: false, spec: {}}\n");
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 1u);
  EXPECT_EQ(read->at(0).object, "NIMService/a");
  EXPECT_EQ(read->at(0).target.image, "r:1");
}

TEST(Kubernetes, InferenceServiceWithItsRuntime) {
  const std::string service =
      "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: m}\n"
      "spec:\n  predictor:\n    model:\n      modelFormat: {name: huggingface}\n"
      "      runtime: hf\n      storageUri: pvc://models/llama\n      args: [--x]\n";
  Given given;
  EXPECT_THAT(given.error(service), HasSubstr("ServingRuntime hf, which is not in these files"));
  given.options.binds["pvc/models"] = "/srv/m";
  Workload w = given.one(service +
                         "---\napiVersion: serving.kserve.io/v1alpha1\nkind: ServingRuntime\n"
                         "metadata: {name: hf}\nspec:\n  containers:\n  - name: kserve-container\n"
                         "    image: kserve/hf:1\n    args: ['--model_name={{.Name}}']\n");
  ASSERT_FALSE(w.refused) << w.refused->message;
  EXPECT_EQ(w.target.image, "kserve/hf:1");
  EXPECT_THAT(w.target.command, ElementsAre("--model_name=m", "--x"));
  EXPECT_EQ(w.target.volumes.at(0).source, "/srv/m/llama");
  EXPECT_EQ(w.target.volumes.at(0).path, "/mnt/models");
}

TEST(Kubernetes, Quantities) {
  EXPECT_EQ(kube::parse_quantity("1.5Gi"), 1610612736.0);
  EXPECT_EQ(kube::parse_quantity("500m"), 0.5);
  EXPECT_EQ(kube::parse_quantity("1e3"), 1000.0);
  EXPECT_EQ(kube::parse_quantity("12"), 12.0);
  for (const char* bad : {"", "Gi", "1.2.3", "-1", "1X", "nan"}) {
    EXPECT_EQ(kube::parse_quantity(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace pare::target
