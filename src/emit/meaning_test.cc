// Emitted text read back by those who will read it: a YAML parser, a shell and Docker's own option
// rules, libseccomp, runc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/testing.h"
#include "emit/kubernetes.h"
#include "emit/testing.h"
#include "privilege/seccomp.h"
#include "privilege/seccomp_eval.h"
#include "target/docker_run.h"

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

// A directory of its own, gone at the end.
class Directory {
 public:
  Directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "pare-emit-XXXXXX").string();
    path_ = mkdtemp(pattern.data()) != nullptr ? pattern : "";
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::string& path() const { return path_; }

  void write(const std::vector<File>& files) const {
    for (const File& file : files) {
      std::string path = path_ + "/" + file.name;
      ASSERT_TRUE(base::make_directories(std::filesystem::path(path).parent_path()));
      ASSERT_TRUE(base::write_file_atomic(path, file.content));
    }
  }

 private:
  std::string path_;
};

struct Ran {
  int code = -1;
  std::string output;
};

Ran run(const std::string& command) {
  Ran ran;
  FILE* pipe = popen((command + " 2>&1").c_str(), "re");
  if (pipe == nullptr) return ran;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) ran.output.append(buffer, n);
  int status = pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return ran;
}

// What the script hands to docker, word by word, for each time that it calls it.
std::vector<std::vector<std::string>> docker_calls(const std::vector<File>& files) {
  Directory dir;
  dir.write(files);
  std::string stub = "#!/bin/sh\nfor word in docker \"$@\"; do printf '%s\\0' \"$word\"; done >>'" +
                     dir.path() + "/calls'\nprintf '\\1\\0' >>'" + dir.path() +
                     "/calls'\n[ \"$2\" != inspect ]\n";
  EXPECT_TRUE(base::write_file_atomic(dir.path() + "/docker", stub, 0755));
  Ran ran = run("NGC_API_KEY=key PATH='" + dir.path() + "':$PATH sh '" + dir.path() + "/run.sh'");
  EXPECT_EQ(ran.code, 0) << ran.output;
  std::vector<std::vector<std::string>> calls(1);
  for (const std::string& word :
       base::split(base::read_file(dir.path() + "/calls").value_or(""), '\0')) {
    if (word == "\1") {
      calls.emplace_back();
    } else {
      calls.back().push_back(word);
    }
  }
  calls.pop_back();
  return calls;
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

TEST(Docker, TheLineReadsBackAsThePolicy) {
  for (const verdict::Proof& proof : {llama_proof(), image_proof("docker")}) {
    auto calls = docker_calls(emitted(proof, "docker"));
    ASSERT_EQ(calls.size(), 3u);
    EXPECT_THAT(calls[1], ::testing::IsSupersetOf({"network", "create", "--internal"}));
    auto target = target::parse_docker_run(calls[2], {{"NGC_API_KEY", "key"}});
    ASSERT_TRUE(target) << target.error().message;
    target->resolved_user = *target::resolve_user(target->user, {});
    target->resolved_user.groups = target->group_add;
    privilege::Policy read = target::asked_policy(*target, platform("docker"));
    const privilege::Policy& policy = proof.policy;
    EXPECT_EQ(read.user, policy.user);
    EXPECT_EQ(read.capabilities, policy.capabilities);
    EXPECT_EQ(read.no_new_privileges, policy.no_new_privileges);
    EXPECT_EQ(read.rootfs_writable, policy.rootfs_writable);
    EXPECT_EQ(read.pids_max, policy.pids_max);
    EXPECT_EQ(read.shm_bytes, policy.shm_bytes);
    EXPECT_EQ(read.sysctls, policy.sysctls);
    EXPECT_TRUE(read.host_namespaces.empty() && read.devices.empty());
    std::set<std::string> writable, read_writable;
    for (const auto& w : policy.writable) writable.insert(w.path);
    for (const auto& v : policy.volumes) {
      if (v.writable) writable.insert(v.path);
    }
    for (const auto& w : read.writable) read_writable.insert(w.path);
    for (const auto& v : read.volumes) {
      if (v.writable) read_writable.insert(v.path);
    }
    EXPECT_EQ(read_writable, writable);
    EXPECT_THAT(target->seccomp_file, HasSubstr(".seccomp.json"));
    EXPECT_EQ(target->network, target->name + "-closed");
    EXPECT_TRUE(target->ports.empty());
  }
}

TEST(Docker, WordsSurviveTheShell) {
  auto calls = docker_calls(emitted(image_proof("docker"), "docker"));
  ASSERT_FALSE(calls.empty());
  EXPECT_THAT(calls.back(), Contains("ODD=a$(HOME) 'b'\nc"));
  EXPECT_THAT(calls.back(), Contains("NGC_API_KEY"));
  EXPECT_EQ(calls.back().back(), "--all");
}

TEST(Docker, AnOpenNetworkIsPublishedOnLoopbackAlone) {
  verdict::Proof proof = image_proof("docker");
  proof.policy.egress = {{"models.example", 443}};
  auto files = emitted(proof, "docker");
  auto calls = docker_calls(files);
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_THAT(calls[0], Contains("127.0.0.1:9000:8000"));
  EXPECT_THAT(content_of(files, "run.sh"), HasSubstr("models.example:443 alone"));
  proof.policy.egress.clear();
  proof.policy.ports.clear();
  EXPECT_THAT(docker_calls(emitted(proof, "docker")).at(0), Contains("none"));
}

TEST(Docker, ThePullIsAContainerOfItsOwnThatEndsWhenReady) {
  Directory dir;
  dir.write(emitted(pulling_proof("docker"), "docker"));
  for (const auto& [name, body] : {std::pair{"docker", "echo docker \"$@\"; echo true"},
                                   std::pair{"curl", "echo curl \"$@\""}}) {
    ASSERT_TRUE(base::write_file_atomic(dir.path() + "/" + name,
                                        std::string("#!/bin/sh\n") + body + "\n", 0755));
  }
  Ran ran = run("NGC_API_KEY=k PATH='" + dir.path() + "':$PATH sh '" + dir.path() + "/pull.sh'");
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("docker run --detach --name embed-pull "));
  EXPECT_THAT(ran.output, HasSubstr("type=bind,source=/data/cache,target=/opt/cache "));
  EXPECT_THAT(ran.output, HasSubstr("curl --fail --silent --output /dev/null "
                                    "http://127.0.0.1:9000/v1/health/ready"));
  EXPECT_THAT(content_of(emitted(pulling_proof("docker"), "docker"), "run.sh"),
              HasSubstr("source=/data/cache,target=/opt/cache,readonly"));
}

TEST(Docker, AMissingSecretStopsTheScriptBeforeDocker) {
  Directory dir;
  dir.write(emitted(image_proof("docker"), "docker"));
  Ran ran = run("env -u NGC_API_KEY PATH=/nonexistent:$PATH sh '" + dir.path() + "/run.sh'");
  EXPECT_NE(ran.code, 0);
  EXPECT_THAT(ran.output, HasSubstr("NGC_API_KEY: export it first"));
}

TEST(Compose, TheServiceHasThePolicyAndNothingElse) {
  auto files = emitted(image_proof("docker"), "compose");
  Json document = yaml_documents(content_of(files, "compose.yaml")).at(0);
  ASSERT_EQ(document["services"].size(), 1u);
  Json service = document["services"]["embed"];
  EXPECT_EQ(service["user"], "1000:1001");
  EXPECT_EQ(service["group_add"], (Json{"44", "107"}));
  EXPECT_EQ(service["privileged"], false);
  EXPECT_EQ(service["read_only"], true);
  EXPECT_EQ(service["cap_drop"], Json::array({"ALL"}));
  EXPECT_EQ(service["cap_add"], Json::array({"SYS_NICE"}));
  EXPECT_EQ(service["security_opt"],
            (Json{"no-new-privileges:true", "seccomp:./embed.seccomp.json"}));
  EXPECT_EQ(service["pids_limit"], 512);
  EXPECT_EQ(service["networks"], Json::array({"closed"}));
  EXPECT_FALSE(service.contains("ports") || service.contains("network_mode"));
  EXPECT_EQ(document["networks"]["closed"]["internal"], true);
  EXPECT_EQ(service["command"], (Json{"serve", "--all"}));
  EXPECT_EQ(service["mem_limit"], "8g");
  EXPECT_THAT(service["environment"], Contains("NGC_API_KEY"));
  EXPECT_THAT(service["environment"], Contains("ODD=a$$(HOME) 'b'\nc"));
  ASSERT_EQ(service["volumes"].size(), 4u);
  EXPECT_EQ(service["volumes"][1]["target"], "/opt/cache");
  EXPECT_FALSE(service["volumes"][1].contains("read_only"));
  EXPECT_EQ(
      service["volumes"][2],
      (Json{{"type", "volume"}, {"source", "models"}, {"target", "/models"}, {"read_only", true}}));
  EXPECT_EQ(document["volumes"]["models"]["external"], true);
  std::string head = content_of(files, "compose.yaml");
  EXPECT_THAT(head, HasSubstr("--log-driver=local: write it in by hand"));
  EXPECT_THAT(head, ::testing::Not(HasSubstr("--detach=true")));
}

TEST(Compose, ThePullIsAServiceThatIsOnlyStartedOnRequest) {
  auto files = emitted(pulling_proof("docker"), "compose");
  Json services = yaml_documents(content_of(files, "compose.yaml")).at(0)["services"];
  EXPECT_EQ(services["embed-pull"]["profiles"], Json::array({"pull"}));
  EXPECT_EQ(services["embed-pull"]["ports"], Json::array({"127.0.0.1:9000:8000"}));
  EXPECT_FALSE(services["embed-pull"]["volumes"][1].contains("read_only"));
  EXPECT_EQ(services["embed"]["volumes"][1]["read_only"], true);
  EXPECT_EQ(services["embed"]["networks"], Json::array({"closed"}));
}

TEST(SeccompFile, MeansThePolicyWithItsCommentInside) {
  verdict::Proof proof = llama_proof();
  Json json = Json::parse(emitted(proof, "seccomp").at(0).content);
  auto filter = privilege::SeccompFilter::compile(json);
  ASSERT_TRUE(filter) << filter.error().message;
  using Kind = privilege::SeccompDecision::Kind;
  EXPECT_EQ(filter->evaluate("read").kind, Kind::kAllow);
  EXPECT_EQ(filter->evaluate("ptrace"), (privilege::SeccompDecision{Kind::kErrno, 1}));
  EXPECT_EQ(filter->evaluate("clone3"), (privilege::SeccompDecision{Kind::kErrno, 38}));
}

// The emitted bundle, run by runc as it is: the program sees the policy from inside.
TEST(Oci, RuncRunsTheBundleAsProved) {
  if (geteuid() != 0) PARE_SKIP("runc needs root");
  if (run("runc --version").code != 0) PARE_SKIP("runc is not installed");
  if (run("test -x /bin/busybox").code != 0) PARE_SKIP("busybox-static is not installed");
  Directory dir;
  std::string root = dir.path() + "/root";
  for (const char* sub : {"bin", "proc", "dev", "sys", "tmp", "etc", "models"}) {
    std::filesystem::create_directories(root + "/" + sub);
  }
  std::filesystem::create_directories(dir.path() + "/models");
  std::filesystem::copy("/bin/busybox", root + "/bin/busybox");
  for (bool no_new_privileges : {true, false}) {
    verdict::Proof proof = llama_proof();
    proof.target.rootfs = root;
    proof.target.name = std::filesystem::path(dir.path()).filename();
    proof.target.volumes[0].source = dir.path() + "/models";
    proof.target.argv = {"/bin/busybox", "sh", "-c",
                         "busybox cat /proc/self/status; for f in /x /models/x /tmp/x; do echo y "
                         ">$f && echo wrote $f; "
                         "done; busybox hostname; echo done"};
    proof.policy.no_new_privileges = no_new_privileges;
    std::set<std::string> calls = {"arch_prctl", "brk",      "clone",           "dup2",
                                   "getegid",    "geteuid",  "getgid",          "getppid",
                                   "getrandom",  "getuid",   "ioctl",           "mprotect",
                                   "open",       "prctl",    "prlimit64",       "readlink",
                                   "rseq",       "sendfile", "set_robust_list", "set_tid_address",
                                   "stat",       "uname",    "vfork",           "wait4"};
    for (const auto* list :
         {&privilege::error_path_syscalls(), &privilege::runtime_syscalls(no_new_privileges)}) {
      calls.insert(list->begin(), list->end());
    }
    proof.policy.seccomp->syscalls.assign(calls.begin(), calls.end());
    proof.policy.seccomp->enosys = privilege::fallback_syscalls();
    Directory bundle;
    bundle.write(emitted(proof, "oci"));
    Ran ran = run("timeout 60 sh '" + bundle.path() + "/run.sh' </dev/null");
    EXPECT_EQ(ran.code, 0) << ran.output;
    EXPECT_THAT(ran.output, HasSubstr("Uid:\t65532\t65532\t65532\t65532"));
    EXPECT_THAT(ran.output, HasSubstr("CapEff:\t0000000000000000"));
    EXPECT_THAT(ran.output, HasSubstr("CapBnd:\t0000000000000000"));
    EXPECT_THAT(ran.output, HasSubstr("Seccomp:\t2"));
    EXPECT_THAT(ran.output, HasSubstr(no_new_privileges ? "NoNewPrivs:\t1" : "NoNewPrivs:\t0"));
    EXPECT_THAT(ran.output, HasSubstr("wrote /tmp/x"));
    EXPECT_THAT(ran.output, ::testing::Not(HasSubstr("wrote /x")));
    EXPECT_THAT(ran.output, ::testing::Not(HasSubstr("wrote /models/x")));
    EXPECT_THAT(ran.output, HasSubstr("done"));
  }
}

TEST(Oci, RefusesWhatABundleCannotSay) {
  verdict::Proof proof = image_proof("docker");
  auto named_volume = emit(proof, "oci", {});
  ASSERT_FALSE(named_volume);
  EXPECT_THAT(named_volume.error().message, HasSubstr("/models"));
  proof.target.volumes.clear();
  proof.policy.devices = {"/dev/fuse"};
  auto device = emit(proof, "oci", {});
  ASSERT_FALSE(device);
  EXPECT_THAT(device.error().message, HasSubstr("/dev/fuse"));
}

}  // namespace pare::emit
