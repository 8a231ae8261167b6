#include "engine/oci_config.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/json.h"
#include "engine/oci_files.h"
#include "engine/oci_runtime.h"

namespace pare::engine {
namespace {

using base::Json;
using testing::ElementsAre;

class OciConfig : public testing::Test {
 protected:
  OciConfig() {
    target_.rootfs = "/root";
    target_.argv = {"/bin/server", "--port", "8000"};
    target_.command = {"/bin/server", "--port", "8000"};
    platform_ = privilege::find_platform("docker").value();
    options_.id = "pare-0123456789ab-1";
  }
  Json json() {
    return Json::parse(oci_config_json(target_, policy_, platform_, options_, "/merged"));
  }
  std::vector<std::string> mount_points() {
    std::vector<std::string> points;
    Json config = json();  // outlives the loop
    for (const Json& mount : config["mounts"]) points.push_back(mount["destination"]);
    return points;
  }
  Json mount(const std::string& path) {
    Json config = json();
    for (const Json& m : config["mounts"]) {
      if (m["destination"] == path) return m;
    }
    return nullptr;
  }

  target::Target target_;
  privilege::Policy policy_;
  privilege::Platform platform_;
  CreateOptions options_;
};

bool has(const Json& list, const std::string& item) {
  return std::find(list.begin(), list.end(), Json(item)) != list.end();
}

TEST_F(OciConfig, TheTightestPolicyReadsAsSuch) {
  policy_.user = {65532, 65532, {}};
  policy_.no_new_privileges = true;
  policy_.rootfs_writable = false;
  policy_.pids_max = 64;
  Json json = this->json();
  EXPECT_EQ(json["ociVersion"], "1.0.2");
  EXPECT_EQ(json["root"], Json({{"path", "/merged"}, {"readonly", true}}));
  EXPECT_EQ(json["process"]["user"], Json({{"uid", 65532}, {"gid", 65532}}));
  EXPECT_EQ(json["process"]["noNewPrivileges"], true);
  EXPECT_EQ(json["process"]["terminal"], false);
  EXPECT_EQ(json["process"]["capabilities"], Json({{"bounding", Json::array()}}));
  EXPECT_EQ(json["linux"]["cgroupsPath"], "/pare/pare-0123456789ab-1");
  EXPECT_EQ(json["linux"]["resources"]["pids"]["limit"], 64);
  EXPECT_EQ(json["linux"]["resources"]["devices"],
            Json::array({{{"allow", false}, {"access", "rwm"}}}));
  EXPECT_EQ(json["linux"]["maskedPaths"], Json(platform_.masked_paths));
  EXPECT_FALSE(json["linux"].contains("seccomp"));
}

TEST_F(OciConfig, OnlyRootOrAnAmbientPlatformHoldsCapabilitiesAfterExec) {
  policy_.capabilities = {"NET_RAW"};
  Json list = Json::array({"CAP_NET_RAW"});
  EXPECT_EQ(json()["process"]["capabilities"],
            Json({{"bounding", list}, {"effective", list}, {"permitted", list}}));
  policy_.user.uid = 1;
  EXPECT_EQ(json()["process"]["capabilities"], Json({{"bounding", list}}));
  platform_.ambient_capabilities = true;
  EXPECT_EQ(json()["process"]["capabilities"]["ambient"], list);
  EXPECT_EQ(json()["process"]["capabilities"]["inheritable"], list);
}

TEST_F(OciConfig, MountsAreOrderedByDepthAndAVolumeHasItsPathAlone) {
  platform_.mounts = {{"/proc", "proc", {}}, {"/dev", "tmpfs", {}}, {"/dev/shm", "tmpfs", {}}};
  options_.volumes = {{"/host/deep", "/var/cache/models"}, {"/host/shm", "/dev/shm"}};
  policy_.volumes = {{"/dev/shm", true}};
  policy_.writable = {{"/var/cache"}, {"/tmp"}, {"/var/cache/models"}};
  EXPECT_THAT(mount_points(),
              ElementsAre("/proc", "/dev", "/tmp", "/dev/shm", "/var/cache", "/var/cache/models"));
  EXPECT_EQ(mount("/dev/shm")["source"], "/host/shm");
  EXPECT_TRUE(has(mount("/dev/shm")["options"], "rw"));
  EXPECT_EQ(mount("/var/cache/models")["type"], "bind");
  EXPECT_TRUE(has(mount("/var/cache/models")["options"], "ro"));
}

TEST_F(OciConfig, ScratchSpaceIsExecWhereThePolicyOrThePlatformSaysSo) {
  policy_.writable = {{"/a"}, {"/b", "tmpfs", 1, true, true}};
  target_.tmpfs_options = {{"/a", "size=5m,exec,uid=7"}};
  EXPECT_TRUE(has(mount("/a")["options"], "noexec"));
  EXPECT_FALSE(has(mount("/a")["options"], "exec"));
  EXPECT_TRUE(has(mount("/a")["options"], "size=5m"));
  EXPECT_TRUE(has(mount("/a")["options"], "uid=7"));
  EXPECT_FALSE(has(mount("/a")["options"], "tmpcopyup"));
  EXPECT_TRUE(has(mount("/b")["options"], "exec"));
  EXPECT_TRUE(has(mount("/b")["options"], "tmpcopyup"));
  EXPECT_TRUE(has(mount("/b")["options"], "size=16777216"));
  platform_.tmpfs_exec = true;
  EXPECT_TRUE(has(mount("/a")["options"], "exec"));
}

TEST_F(OciConfig, ScratchSpaceBelongsToTheUserWhereThePlatformCanSaySo) {
  policy_.writable = {{"/a"}};
  policy_.user = {5, 6, {}};
  EXPECT_TRUE(has(mount("/a")["options"], "uid=5"));
  EXPECT_TRUE(has(mount("/a")["options"], "gid=6"));
  platform_ = privilege::find_platform("kubernetes").value();
  EXPECT_FALSE(has(mount("/a")["options"], "uid=5"));
  EXPECT_TRUE(has(mount("/a")["options"], "mode=1777"));
}

TEST_F(OciConfig, SharedMemoryHasThePlatformsSizeUnlessThePolicyHasOne) {
  EXPECT_TRUE(has(mount("/dev/shm")["options"], "size=67108864"));
  policy_.shm_bytes = 1 << 30;
  EXPECT_TRUE(has(mount("/dev/shm")["options"], "size=1073741824"));
  policy_.host_namespaces = {"ipc"};
  EXPECT_EQ(mount("/dev/shm")["type"], "bind");
}

TEST_F(OciConfig, NamespacesAndTheSysctlsThatLiveInThem) {
  auto types = [&] {
    std::vector<std::string> out;
    Json json = this->json();
    for (const Json& n : json["linux"]["namespaces"]) {
      if (n["type"] != "cgroup") out.push_back(n["type"]);
    }
    return out;
  };
  policy_.sysctls = {{"kernel.shmmax", "1"}, {"net.ipv4.ping_group_range", "1 0"}};
  EXPECT_THAT(types(), ElementsAre("mount", "pid", "ipc", "uts", "network"));
  EXPECT_EQ(json()["linux"]["sysctl"]["net.ipv4.ping_group_range"], "1 0");
  EXPECT_EQ(json()["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"], "0");
  options_.netns = "/run/netns/x";
  EXPECT_EQ(json()["linux"]["namespaces"][4],
            Json({{"type", "network"}, {"path", "/run/netns/x"}}));
  options_.netns.clear();
  options_.host_network = true;
  EXPECT_THAT(types(), ElementsAre("mount", "pid", "ipc", "uts"));
  EXPECT_EQ(json()["linux"]["sysctl"], Json({{"kernel.shmmax", "1"}}));
  EXPECT_TRUE(json().contains("hostname"));
  policy_.host_namespaces = {"pid", "uts", "network"};
  EXPECT_THAT(types(), ElementsAre("mount", "ipc"));
  EXPECT_FALSE(json().contains("hostname"));
}

TEST_F(OciConfig, TheEnvironmentIsTheImagesThenTheTargetsThenThePolicys) {
  target_.name = "llm-server";
  target_.facts.env = {{"A", "image"}, {"PATH", "/opt/bin"}, {"B", "image"}};
  target_.env = {{"B", "target"}, {"C", "target"}};
  policy_.environment = {{"C", "policy"}, {"D", "x=y"}};
  EXPECT_THAT(effective_env(target_, policy_),
              ElementsAre("PATH=/opt/bin", "HOSTNAME=llm-server", "A=image", "B=target", "C=policy",
                          "D=x=y"));
  target_.name = "not/a host name";
  EXPECT_EQ(effective_hostname(target_), "container");
}

TEST_F(OciConfig, ArgumentsReplaceTheCommandAndKeepTheEntryPoint) {
  policy_.arguments = {{"--port", "80"}};
  target_.entrypoint = {"/bin/server"};
  EXPECT_EQ(json()["process"]["args"], Json({"/bin/server", "--port", "80"}));
  policy_.arguments.reset();
  EXPECT_EQ(json()["process"]["args"], Json(target_.argv));
}

TEST_F(OciConfig, LimitsThatWereAskedForAreKept) {
  target_.ulimits = {{"nofile", 10, 20}, {"memlock", 1, 1}, {"core", -1, -1}};
  policy_.memlock_bytes = UINT64_MAX;
  Json json = this->json()["process"]["rlimits"];
  EXPECT_EQ(json,
            Json::array({{{"type", "RLIMIT_MEMLOCK"}, {"soft", UINT64_MAX}, {"hard", UINT64_MAX}},
                         {{"type", "RLIMIT_NOFILE"}, {"soft", 10}, {"hard", 20}},
                         {{"type", "RLIMIT_CORE"}, {"soft", UINT64_MAX}, {"hard", UINT64_MAX}}}));
}

TEST_F(OciConfig, DevicesAreTakenWithTheirNumbers) {
  policy_.devices = {"/dev/null:/dev/other:rw"};
  Json json = this->json()["linux"];
  EXPECT_EQ(json["devices"][0]["path"], "/dev/other");
  EXPECT_EQ(json["devices"][0]["type"], "c");
  EXPECT_EQ(json["devices"][0]["major"], 1);
  EXPECT_EQ(json["devices"][0]["minor"], 3);
  EXPECT_EQ(json["resources"]["devices"][1]["access"], "rw");
}

TEST_F(OciConfig, ASeccompProfileIsSpelledAsTheRuntimeReadsIt) {
  policy_.seccomp = privilege::SeccompProfile{"x86_64", "EPERM", {"clone3"}, {"read"}, {}};
  Json seccomp = json()["linux"]["seccomp"];
  EXPECT_EQ(seccomp["defaultAction"], "SCMP_ACT_ERRNO");
  EXPECT_FALSE(seccomp["syscalls"].empty());
}

TEST(ResolvConf, NameServersOfTheHostsLoopbackAreLeftOut) {
  EXPECT_EQ(container_resolv_conf("# made\nnameserver 127.0.0.53\nnameserver 10.1.1.1\n"
                                  "options edns0\nsearch corp.test\n"),
            "nameserver 10.1.1.1\noptions edns0\nsearch corp.test\n");
  EXPECT_EQ(container_resolv_conf("nameserver ::1\n"), "nameserver 192.0.2.53\n");
  EXPECT_EQ(container_resolv_conf(""), "nameserver 192.0.2.53\n");
}

TEST(OwnFailure, TellsThePolicysDoingFromTheHosts) {
  const std::string start = "runc run failed: unable to start container process: ";
  EXPECT_EQ(own_failure(start + "exec: \"x\": executable file not found in $PATH", false), 127);
  EXPECT_EQ(own_failure(start + "exec: \"/x\": stat /x: no such file or directory", false), 127);
  EXPECT_EQ(own_failure(start + "exec: \"/x\": permission denied", false), 126);
  EXPECT_EQ(own_failure("runc run failed: container process is already dead", true), 126);
  EXPECT_EQ(own_failure("runc run failed: container process is already dead", false), std::nullopt);
  EXPECT_EQ(own_failure(start + "error setting rlimit type 7: operation not permitted", true),
            std::nullopt);
  EXPECT_EQ(
      own_failure(start + "unable to apply cgroup configuration: no space left on device", true),
      std::nullopt);
}

}  // namespace
}  // namespace pare::engine
