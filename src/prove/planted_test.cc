// The planted servers: every verdict exactly as planted, in few starts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prove/planted_case.h"

namespace pare::prove {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST(Planted, NeedsNothing) {
  Case c;
  c.run(serves);
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  EXPECT_TRUE(c.proof.confirmed);
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  EXPECT_LE(c.starts, 8);
  EXPECT_EQ(c.kind("port/8000/tcp"), "needed");
  EXPECT_NE(c.proof.policy.user.uid, 0U);
  EXPECT_TRUE(c.proof.policy.capabilities.empty());
  EXPECT_TRUE(c.proof.policy.no_new_privileges);
  EXPECT_FALSE(c.proof.policy.rootfs_writable);
  EXPECT_FALSE(c.proof.policy.egress_any);
  ASSERT_TRUE(c.proof.policy.seccomp);
  EXPECT_THAT(c.because("capability/NET_RAW"), HasSubstr("never used"));
  EXPECT_THAT(c.because("user/root"), HasSubstr("as uid 1000"));
}

TEST(Planted, NeedsRawSocketToInfer) {
  Case c;
  c.run(infers_with_raw_socket);
  // No ambient set on Kubernetes: only root gets the capability.
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/NET_RAW needed", "user/root needed"));
  EXPECT_THAT(c.because("capability/NET_RAW"),
              HasSubstr("check infer failed without it: HTTP 500"));
  EXPECT_THAT(c.because("user/root"), HasSubstr("only root gets the capabilities"));
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  EXPECT_LE(c.starts, 14);
}

TEST(Planted, RawSocketWithAmbientCapabilitiesNeedsNoRoot) {
  Case c;
  c.question.platform.ambient_capabilities = true;
  c.run(infers_with_raw_socket);
  EXPECT_THAT(c.not_unneeded(), ElementsAre("capability/NET_RAW needed"));
}

TEST(Planted, TolerantOfARefusedRawSocket) {
  Case c;
  c.run([](World& world) {
    world.use("NET_RAW", "socket", "AF_PACKET");
    return serves(world);
  });
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  const verdict::Verdict* v = c.find("capability/NET_RAW", evidence::Phase::kServe);
  ASSERT_NE(v, nullptr);
  EXPECT_TRUE(v->used);
  EXPECT_TRUE(v->tolerated);
  EXPECT_EQ(
      v->because,
      "checks pass without it; it was used by socket(AF_PACKET), and the refusal was tolerated");
  EXPECT_LE(c.starts, 8);
}

std::string binds_80(World& world) {
  return world.bind(80) ? "" : "cannot bind port 80";
}

TEST(Planted, Port80OnKubernetesIsFixedByTheSysctl) {
  Case c;
  c.ports = {80};
  c.run(binds_80);
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/NET_BIND_SERVICE fixable", "user/root fixable",
                                   "sysctl/net.ipv4.ip_unprivileged_port_start needed"));
  EXPECT_EQ(c.proof.policy.sysctls.at("net.ipv4.ip_unprivileged_port_start"), "80");
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  EXPECT_LE(c.starts, 11);
}

TEST(Planted, Port80OnDockerNeedsNothing) {
  Case c;
  c.question = default_question("docker");
  c.ports = {80};
  c.run(binds_80);
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
}

TEST(Planted, WritesACacheAtItsThirdInference) {
  Case c;
  c.run([](World& world) -> std::string {
    world.ready();
    return world.write("/cache/x") ? "" : "HTTP 500 at the third request";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("write:/cache needed", "rootfs/write fixable"));
  const verdict::Verdict* v = c.find("rootfs/write", evidence::Phase::kServe);
  ASSERT_TRUE(v->fix);
  EXPECT_EQ(v->fix->text, "mount a tmpfs at /cache");
  EXPECT_EQ(v->fix->change, "tmpfs=/cache");
  EXPECT_LE(c.starts, 9);
}

TEST(Planted, WritesThatAreToleratedNeedNoTmpfs) {
  Case c;
  c.run([](World& world) {
    world.write("/cache/x");
    return serves(world);
  });
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  EXPECT_THAT(c.because("rootfs/write"), HasSubstr("tolerated"));
}

TEST(Planted, DropsToItsUidByItself) {
  Case c;
  c.run([](World& world) -> std::string {
    if (world.uid() == 0 && !world.drop_to(1000)) return "exited before it was ready";
    return serves(world);
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/SETUID fixable", "capability/SETGID fixable"));
  EXPECT_EQ(c.find("capability/SETUID", evidence::Phase::kServe)->fix->text, "run as uid 1000");
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Planted, InsistsOnDroppingToItsUid) {
  Case c;
  c.run([](World& world) -> std::string {
    return world.drop_to(1000) ? serves(world) : "exited before it was ready";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/SETUID fixable", "capability/SETGID fixable",
                                   "user/root fixable"));
}

TEST(Planted, DropsAndWillNotStartOtherwise) {
  Case c;
  c.run([](World& world) -> std::string {
    if (world.uid() != 0) return "must be started as root";
    return world.drop_to(1000) ? serves(world) : "exited before it was ready";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/SETUID needed", "capability/SETGID needed",
                                   "user/root needed"));
}

TEST(Planted, ModelThatAnotherUidOwns) {
  Case c;
  c.run([](World& world) -> std::string {
    return world.read("/model", 1234, false) ? serves(world) : "cannot read the model";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/DAC_OVERRIDE fixable", "user/root fixable"));
  EXPECT_EQ(c.proof.policy.user.uid, 1234U);
  EXPECT_EQ(c.find("user/root", evidence::Phase::kServe)->fix->change, "user=1234:1234");
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  EXPECT_LE(c.starts, 12);
}

TEST(Planted, PullsItsModelOnce) {
  Case c;
  c.question.asked.volumes = {{"/models", true}};
  c.run([](World& world) -> std::string {
    if (!world.in_volume("/models/m")) {
      if (!world.connect("hub.test")) return "cannot download";
      if (!world.write("/models/m", 1000)) return "cannot store the model";
    }
    return serves(world);
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("egress/hub.test:443 needed", "volume-write:/models needed"));
  EXPECT_EQ(c.kind("egress/hub.test:443", evidence::Phase::kPull), "needed");
  EXPECT_EQ(c.kind("egress/any"), "unneeded");
  EXPECT_EQ(c.kind("volume-write:/models"), "unneeded");
  EXPECT_EQ(c.kind("volume-write:/models", evidence::Phase::kPull), "needed");
  EXPECT_FALSE(c.proof.policy.egress_any);
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

// As hubs' libraries do: they ask for news at every start, and go on without an answer.
TEST(Planted, PullsItsModelOnceAndAsksForNewsAtEveryStart) {
  Case c;
  c.question.asked.volumes = {{"/models", true}};
  c.run([](World& world) -> std::string {
    bool reached = world.connect("hub.test");
    bool there = world.in_volume("/models/m");
    if (!there && !(reached && world.write("/models/m", world.uid()))) return "cannot download";
    return serves(world);
  });
  EXPECT_EQ(c.kind("egress/any"), "unneeded");
  EXPECT_EQ(c.kind("egress/hub.test:443", evidence::Phase::kPull), "needed");
  EXPECT_EQ(c.kind("volume-write:/models", evidence::Phase::kPull), "needed");
}

TEST(Planted, TmpfsThatHidesFilesOfTheImage) {
  Case c;
  c.run([](World& world) -> std::string {
    if (!world.write("/opt/app/state")) return "cannot write its state";
    return world.read("/opt/app/config") ? serves(world) : "no configuration";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("write:/opt/app needed", "rootfs/write fixable"));
  ASSERT_EQ(c.proof.policy.writable.size(), 1U);
  EXPECT_TRUE(c.proof.policy.writable[0].copy_up);
}

TEST(Planted, RiskyCallThatIsTolerated) {
  Case c;
  c.run([](World& world) {
    world.call("io_uring_setup");
    return serves(world);
  });
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  EXPECT_THAT(c.because("syscall/io_uring_setup"), HasSubstr("the refusal was tolerated"));
}

TEST(Planted, RiskyCallThatIsNeeded) {
  Case c;
  c.run([](World& world) -> std::string {
    return world.call("ptrace") ? serves(world) : "cannot trace";
  });
  EXPECT_THAT(c.not_unneeded(), ElementsAre("syscall/ptrace needed"));
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Planted, CallThatOnlyTheTightPolicyBringsOut) {
  Case c;
  c.run([](World& world) -> std::string {
    if (world.uid() != 0 && !world.call("getresuid")) return "abort";
    return serves(world);
  });
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  EXPECT_THAT(c.proof.policy.seccomp->syscalls, testing::Contains("getresuid"));
}

TEST(Planted, EgressAtEveryStart) {
  Case c;
  c.run([](World& world) -> std::string {
    return world.connect("licence.test") ? serves(world) : "no licence";
  });
  EXPECT_EQ(c.kind("egress/any", evidence::Phase::kPull), "needed");
  EXPECT_TRUE(c.proof.policy.egress_any);
}

}  // namespace
}  // namespace pare::prove
