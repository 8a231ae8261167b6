#include "privilege/privilege.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "privilege/platforms.h"
#include "privilege/policy.h"

namespace pare::privilege {

TEST(Privilege, SpellingRoundTrips) {
  for (const char* text : {"capability/NET_RAW", "user/root", "write:/cache", "port/8080/tcp",
                           "egress/huggingface.co:443", "device:/dev/nvidia0", "syscall/clone3",
                           "volume-write:/models", "namespace/host-ipc", "group/2000"}) {
    auto parsed = parse_privilege(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(to_string(*parsed), text);
  }
  EXPECT_FALSE(parse_privilege("capability"));
  EXPECT_FALSE(parse_privilege("nonsense/x"));
  EXPECT_FALSE(parse_privilege("write//cache"));
}

TEST(Privilege, EveryAxisHasOneCompleteRow) {
  for (const AxisRow& row : axis_table()) {
    EXPECT_EQ(&axis_row(row.axis), &row);
    EXPECT_FALSE(row.withheld.empty()) << row.name;
    EXPECT_FALSE(row.gain.empty()) << row.name;
  }
}

TEST(Privilege, DangerOrdersRootOnTheHostFirst) {
  EXPECT_GT(danger({Axis::kCapability, "SYS_ADMIN"}), danger({Axis::kCapability, "NET_RAW"}));
  EXPECT_GT(danger({Axis::kCapability, "NET_RAW"}),
            danger({Axis::kCapability, "NET_BIND_SERVICE"}));
}

TEST(Capabilities, KnowsAll41ByNameAndNumber) {
  EXPECT_EQ(capability_row(21).name, "SYS_ADMIN");
  EXPECT_EQ(capability_number("cap_net_raw"), 13);
  EXPECT_FALSE(capability_number("NET_RAWW"));
  EXPECT_EQ(CapabilitySet::all().names().size(), 41u);
  auto bad = CapabilitySet::parse({"NET_RWA"});
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("NET_RAW"), std::string::npos);
  for (int i = 0; i < kCapabilityCount; ++i) EXPECT_EQ(capability_row(i).number, i);
}

TEST(Policy, JsonRoundTrips) {
  Policy p;
  p.user = {1000, 1000, {44}};
  p.capabilities = {"NET_RAW"};
  p.no_new_privileges = true;
  p.rootfs_writable = false;
  p.writable = {{"/tmp", "tmpfs", 4096, true, true}};
  p.volumes = {{"/models", false}, {"/data", true, true}};
  p.ports = {{8000, "tcp", "inference"}, {8080, "tcp", "inference", 80}};
  p.egress = {{"model.example", 443}};
  p.refusal = Refusal::kDropped;
  p.seccomp = SeccompProfile{"x86_64", "EPERM", {"clone3"}, {"read", "write"}, {"read"}};
  p.seccomp->arguments = {{"write", 0, 0xffffffff, {1, 2}}};
  p.devices = {"/dev/nvidia0"};
  p.host_namespaces = {"ipc"};
  p.pids_max = 64;
  p.shm_bytes = 1;
  p.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "80"}};
  p.environment = {{"HOME", "/tmp"}};
  p.arguments = std::vector<std::string>{"/server"};
  auto back = policy_from_json(to_json(p));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, p);
  EXPECT_FALSE(policy_from_json(base::Json::object()));
}

TEST(Policy, ATmpfsHoldsTwiceItsPeakAndSixteenMebibytesAtLeast) {
  constexpr uint64_t kMiB = 1 << 20;
  Writable writable;
  EXPECT_EQ(tmpfs_bytes(writable), 0U);
  writable.peak_bytes = 1;
  EXPECT_EQ(tmpfs_bytes(writable), 16 * kMiB);
  writable.peak_bytes = 10 * kMiB + 1;
  EXPECT_EQ(tmpfs_bytes(writable), 21 * kMiB);
}

TEST(Platforms, DockerGivesItsFourteenAndPortsKubernetesDoesNot) {
  auto docker = find_platform("docker").value();
  auto kubernetes = find_platform("kubernetes").value();
  EXPECT_EQ(docker.default_capabilities.names().size(), 14u);
  EXPECT_EQ(docker.sysctls.at("net.ipv4.ip_unprivileged_port_start"), "0");
  EXPECT_EQ(kubernetes.sysctls.at("net.ipv4.ip_unprivileged_port_start"), "1024");
  EXPECT_FALSE(docker.ambient_capabilities || kubernetes.ambient_capabilities);
  EXPECT_FALSE(find_platform("nomad"));
}

}  // namespace pare::privilege
