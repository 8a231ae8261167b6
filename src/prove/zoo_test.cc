// More planted servers: owners and groups, either/or, fixes, restarts, implied checks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prove/planted_case.h"

namespace pare::prove {
namespace {

using evidence::Phase;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST(Zoo, TwoOwnersNeedDacOverride) {
  Case c;
  c.run([](World& world) -> std::string {
    if (!world.read("/models/weights", 1234, false)) return "no weights";
    return world.read("/models/vocabulary", 2345, false) ? serves(world) : "no vocabulary";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/DAC_OVERRIDE needed", "user/root needed"));
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Zoo, ModelThatAGroupMayRead) {
  Case c;
  c.run([](World& world) -> std::string {
    return world.read_as_member("/models/model.bin", 2000) ? serves(world) : "no model";
  });
  EXPECT_THAT(c.not_unneeded(), ElementsAre("user/root fixable"));
  EXPECT_EQ(c.find("user/root", Phase::kServe)->fix->text, "run as uid 1000 with the group 2000");
  EXPECT_THAT(c.proof.policy.user.groups, ElementsAre(2000));
}

std::string reads_model_of_2000(World& world) {
  return world.read_as_member("/models/model.bin", 2000) ? serves(world) : "no model";
}

TEST(Zoo, GroupThatIsAskedForInPlaceOfRoot) {
  Case c;
  c.question.asked.user.groups = {44, 2000};
  c.run(reads_model_of_2000);
  EXPECT_THAT(c.not_unneeded(), ElementsAre("group/2000 needed"));
  EXPECT_EQ(c.kind("group/44"), "unneeded");
  EXPECT_EQ(c.because("user/root"), "checks pass without it, as uid 1000");
  EXPECT_THAT(c.proof.policy.user.groups, ElementsAre(2000));
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  EXPECT_LE(c.starts, 11);
}

TEST(Zoo, GroupOfAUserThatIsNotRoot) {
  Case c;
  c.question.asked.user = {1000, 1000, {44, 2000, 2000}};
  c.run(reads_model_of_2000);
  EXPECT_THAT(c.not_unneeded(), ElementsAre("group/2000 needed"));
  EXPECT_THAT(c.proof.policy.user.groups, testing::Each(2000U));
  EXPECT_THAT(c.because("group/2000"), HasSubstr("no model (3 of 3 times)"));
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Zoo, GroupsThatAreNotNeededGoWithEverythingElse) {
  Case c;
  c.question.asked.user = {1000, 1000, {44, 107, 1000, 2000}};
  c.run(serves);
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  EXPECT_EQ(c.because("group/44"), "checks pass without it");
  EXPECT_EQ(c.because("group/1000"),
            "checks pass without it, as the server's own group is the same");
  EXPECT_THAT(c.proof.policy.user.groups, IsEmpty());
  EXPECT_EQ(c.starts, 6);
}

TEST(Zoo, GroupThatTheOwnerDoesWithout) {
  Case c;
  c.question.asked.user.groups = {2000};
  c.run([](World& world) -> std::string {
    if (world.uid() == 1234) return serves(world);
    world.read("/models/table", 1234, false);
    return reads_model_of_2000(world);
  });
  EXPECT_EQ(c.proof.policy.user.uid, 1234U);
  EXPECT_EQ(c.kind("group/2000"), "unneeded");
  EXPECT_THAT(c.proof.policy.user.groups, IsEmpty());
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Zoo, GroupThatIsTheNewUsersOwn) {
  Case c;
  c.question.asked.user.groups = {1000};
  c.run([](World& world) -> std::string {
    return world.read_as_member("/models/model.bin", 1000) ? serves(world) : "no model";
  });
  EXPECT_THAT(c.not_unneeded(), ElementsAre("group/1000 fixable"));
  EXPECT_EQ(c.find("group/1000", Phase::kServe)->fix->change, "user=1000:1000");
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Zoo, GroupThatOnlyAColdCacheTakes) {
  Case c;
  c.question.asked.user = {1000, 1000, {44, 2000}};
  c.question.asked.volumes = {{"/cache", true}};
  c.run([](World& world) -> std::string {
    bool kept = !world.cold() && world.in_volume("/cache/answer");
    if (!kept && !world.read_as_member("/cache/answer", 2000)) return "cannot create it";
    return world.write("/cache/answer", world.uid()) ? serves(world) : "cannot write it";
  });
  EXPECT_EQ(c.kind("group/2000"), "unneeded");
  EXPECT_EQ(c.kind("group/2000", Phase::kPull), "needed");
  EXPECT_EQ(c.kind("group/44", Phase::kPull), "unneeded");
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Zoo, GroupThatLeavesNoRefusal) {
  for (bool root : {false, true}) {
    Case c;
    c.question.asked.user = {root ? 0U : 1000U, root ? 0U : 1000U, {44, 2000}};
    c.run([](World& world) -> std::string {
      const auto& groups = world.policy().user.groups;
      bool member = std::find(groups.begin(), groups.end(), 2000U) != groups.end();
      return member || world.uid() == 0 ? serves(world) : "no such socket";
    });
    EXPECT_THAT(c.not_unneeded(), ElementsAre("group/2000 needed")) << root;
    EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  }
}

TEST(Zoo, ChownAtEveryInference) {
  Case c;
  c.run([](World& world) -> std::string {
    world.ready();
    return world.use("CHOWN", "fchownat", "/tmp/x", world.uid()) ? "" : "HTTP 500";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/CHOWN needed", "user/root needed"));
}

TEST(Zoo, ModeOfAFileThatAnotherUidOwns) {
  Case c;
  c.question.asked.volumes = {{"/data", true}};
  c.run([](World& world) -> std::string {
    return world.chmod("/data/table", 1500) ? serves(world) : "HTTP 500";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/FOWNER fixable", "user/root fixable",
                                   "volume-write:/data needed"));
  EXPECT_EQ(c.proof.policy.user.uid, 1500U);
}

TEST(Zoo, StartsOnlyAsRoot) {
  Case c;
  c.run([](World& world) -> std::string {
    return world.uid() == 0 ? serves(world) : "must be root";
  });
  EXPECT_THAT(c.not_unneeded(), ElementsAre("user/root needed"));
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  EXPECT_LE(c.starts, 16);
}

TEST(Zoo, UidThatPasswdKnows) {
  Case c;
  c.run([](World& world) -> std::string {
    return world.uid() == 0 || world.uid() == 1000 ? serves(world) : "getpwuid(): uid not found";
  });
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  EXPECT_EQ(c.proof.policy.user.uid, 1000U);
}

TEST(Zoo, UidWithoutPasswdEntryNeedsAHome) {
  Case c;
  c.question.target.facts.passwd.clear();
  c.run([](World& world) -> std::string {
    bool known = world.uid() == 0 || world.policy().environment.count("USER") > 0;
    return known ? serves(world) : "getpwuid(): uid not found";
  });
  EXPECT_EQ(c.kind("user/root"), "fixable");
  EXPECT_THAT(c.find("user/root", Phase::kServe)->fix->change, HasSubstr("env=USER="));
  EXPECT_NE(c.proof.policy.user.uid, 0U);
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Zoo, EitherCapabilityKeepsTheLessDangerous) {
  Case c;
  c.run([](World& world) -> std::string {
    world.ready();
    bool fine = world.use("NET_RAW", "socket", "AF_INET SOCK_RAW") ||
                world.use("SYS_CHROOT", "chroot", "/");
    return fine ? "" : "HTTP 500";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/SYS_CHROOT needed", "user/root needed"));
}

TEST(Zoo, EitherDirectoryKeepsOne) {
  Case c;
  c.run([](World& world) -> std::string {
    world.ready();
    return world.write("/cache/x") || world.write("/scratch/x") ? "" : "HTTP 500";
  });
  EXPECT_EQ(c.proof.policy.writable.size(), 1U);
  EXPECT_EQ(c.kind("rootfs/write"), "fixable");
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Zoo, BothCapabilities) {
  Case c;
  c.run([](World& world) -> std::string {
    world.ready();
    bool fine = world.use("NET_RAW", "socket", "AF_INET SOCK_RAW") &&
                world.use("SYS_CHROOT", "chroot", "/");
    return fine ? "" : "HTTP 500";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/NET_RAW needed", "capability/SYS_CHROOT needed",
                                   "user/root needed"));
}

TEST(Zoo, RunsWhatItWroteToItsCache) {
  Case c;
  c.question = default_question("docker");  // --tmpfs is noexec there
  c.run([](World& world) -> std::string {
    if (!world.write("/cache/helper")) return "cannot install";
    return world.exec("/cache/helper") ? serves(world) : "cannot run its helper";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("write:/cache needed", "rootfs/write fixable"));
  ASSERT_EQ(c.proof.policy.writable.size(), 1U);
  EXPECT_TRUE(c.proof.policy.writable[0].exec);
}

TEST(Zoo, SetUserIdHelperNeedsNewPrivileges) {
  Case c;
  c.question.asked.user = {1000, 1000, {}};
  c.run([](World& world) -> std::string {
    return world.helper("/key") ? serves(world) : "HTTP 500";
  });
  EXPECT_EQ(c.kind("escalation/new-privileges"), "needed");
  EXPECT_EQ(c.kind("user/root"), "absent");
  EXPECT_EQ(c.proof.policy.user.uid, 1000U);
}

std::string locks_memory(World& world) {
  return world.lock_memory() ? serves(world) : "mlock";
}

TEST(Zoo, LockedMemoryOnKubernetes) {
  Case c;
  c.question.asked.capabilities.add(*privilege::capability_number("IPC_LOCK"));
  c.run(locks_memory);
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/IPC_LOCK needed", "user/root needed"));
}

TEST(Zoo, LockedMemoryOnDockerIsFixedByTheLimit) {
  Case c;
  c.question = default_question("docker");
  c.question.asked.capabilities.add(*privilege::capability_number("IPC_LOCK"));
  c.run(locks_memory);
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/IPC_LOCK fixable", "user/root fixable",
                                   "memlock/unlimited needed"));
  EXPECT_EQ(c.find("capability/IPC_LOCK", Phase::kServe)->fix->change, "memlock=unlimited");
}

std::string places_memory(World& world) {
  return world.call("set_mempolicy") && world.call("mbind") ? serves(world) : "set_mempolicy";
}

Case with_nice(const std::string& platform) {
  Case c;
  c.question = default_question(platform);
  c.question.target.kind = target::Kind::kImage;
  c.question.asked = target::asked_policy(c.question.target, c.question.platform);
  c.question.asked.capabilities.add(*privilege::capability_number("SYS_NICE"));
  return c;
}

TEST(Zoo, CallsOfNumaInTheListStandInForSysNice) {
  Case c = with_nice("docker");
  ASSERT_TRUE(c.question.asked.seccomp_default);
  c.run(places_memory);
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/SYS_NICE fixable", "syscall/numa needed"));
  EXPECT_EQ(c.find("capability/SYS_NICE", Phase::kServe)->fix->text,
            "allow mbind, set_mempolicy in the seccomp profile");
  EXPECT_TRUE(c.proof.policy.capabilities.empty());
  EXPECT_THAT(c.proof.policy.seccomp->syscalls, testing::Contains("mbind"));
  EXPECT_THAT(c.proof.policy.seccomp->syscalls, testing::Not(testing::Contains("get_mempolicy")));
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  EXPECT_LE(c.starts, 9);
}

TEST(Zoo, CallsOfNumaWhereNoFilterStandsNeedNoSysNice) {
  Case c = with_nice("kubernetes");
  c.run(places_memory);
  EXPECT_THAT(c.not_unneeded(), ElementsAre("syscall/numa needed"));
}

TEST(Zoo, CallsOfNumaThatAreTolerated) {
  Case c = with_nice("docker");
  c.run([](World& world) {
    world.call("set_mempolicy");
    return serves(world);
  });
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  EXPECT_TRUE(c.find("syscall/numa", Phase::kServe)->tolerated);
  EXPECT_THAT(c.proof.policy.seccomp->syscalls, testing::Not(testing::Contains("set_mempolicy")));
  EXPECT_LE(c.starts, 6);
}

TEST(Zoo, BeaconIsUsedAndTolerated) {
  Case c;
  c.run([](World& world) {
    world.connect("telemetry.test");
    return serves(world);
  });
  EXPECT_EQ(c.kind("egress/any"), "unneeded");
  EXPECT_TRUE(c.find("egress/any", Phase::kServe)->used);
  EXPECT_TRUE(c.find("egress/any", Phase::kServe)->tolerated);
}

TEST(Zoo, VolumeWriteThatIsTolerated) {
  Case c;
  c.question.asked.volumes = {{"/data", true}};
  c.run([](World& world) {
    world.write("/data/stamp", world.uid());
    return serves(world);
  });
  EXPECT_EQ(c.kind("volume-write:/data"), "unneeded");
  EXPECT_TRUE(c.find("volume-write:/data", Phase::kServe)->tolerated);
}

TEST(Zoo, VolumeOfRoots) {
  Case c;
  c.question.asked.volumes = {{"/data", true}};
  c.run([](World& world) -> std::string {
    return world.write("/data/log", 0) ? serves(world) : "HTTP 500";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("volume-write:/data needed", "user/root fixable"));
  EXPECT_EQ(c.find("user/root", Phase::kServe)->fix->change,
            "user=1000:1000 chown=/data:1000:1000");
  EXPECT_TRUE(c.proof.policy.volumes[0].owned);
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  EXPECT_LE(c.starts, 16);
}

TEST(Zoo, OnlyTheVolumeThatIsMissedChangesHands) {
  Case c;
  c.question.asked.volumes = {{"/data", true}, {"/models", true}};
  c.run([](World& world) -> std::string {
    bool weights = world.read("/models/a", 1234, false) && world.read("/models/b", 2345, false);
    return weights && world.read("/data/settings") ? serves(world) : "HTTP 500";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/DAC_OVERRIDE fixable", "user/root fixable"));
  EXPECT_FALSE(c.proof.policy.volumes[0].owned);
  EXPECT_TRUE(c.proof.policy.volumes[1].owned);
  EXPECT_FALSE(c.proof.policy.volumes[1].writable);
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Zoo, NeedThatOnlyARestartBringsOut) {
  Case c;
  c.question.asked.volumes = {{"/data", true}};
  FakeRunner runner(c.question, serves);
  runner.set_on_restart([](World& world) -> std::string {
    return world.write("/data/lock", world.uid()) ? "" : "stale lock";
  });
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof);
  c.proof = *proof;
  EXPECT_EQ(c.kind("volume-write:/data"), "needed");
  EXPECT_TRUE(c.proof.confirmed);
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Zoo, RestartThatTheUnchangedTargetFailsIsAFinding) {
  Case c;
  FakeRunner runner(c.question, serves);
  runner.set_on_restart([](World&) -> std::string { return "port still in use"; });
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof);
  c.proof = *proof;
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  EXPECT_TRUE(c.proof.confirmed);
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  ASSERT_EQ(c.proof.findings.size(), 1U);
  EXPECT_EQ(c.proof.findings[0].id, "restart");
}

TEST(Zoo, StopThatTheBaselineFailsIsAFinding) {
  Case c;
  FakeRunner runner(c.question, serves);
  runner.set_stop([](World&) { return CheckOutcome{"stop", false, "killed after 10 s", true}; });
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof);
  c.proof = *proof;
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  EXPECT_TRUE(c.proof.minimal);
  ASSERT_EQ(c.proof.findings.size(), 1U);
  EXPECT_EQ(c.proof.findings[0].id, "stop");
}

TEST(Zoo, WhatAStopNeedsIsNeeded) {
  Case c;
  FakeRunner runner(c.question, serves);
  runner.set_stop([](World& world) {
    bool saved = world.write("/state/last");
    return CheckOutcome{"stop", saved, saved ? "" : "exit code 1", true};
  });
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof);
  c.proof = *proof;
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("write:/state needed", "rootfs/write fixable"));
  EXPECT_THAT(c.because("write:/state"), HasSubstr("check stop failed without it: exit code 1"));
}

TEST(Zoo, LossLeavesTheCallsUnproven) {
  Case c;
  FakeRunner runner(c.question, serves);
  runner.set_loss({3, {}}, 1000);
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof);
  c.proof = *proof;
  EXPECT_EQ(c.kind("syscall/any"), "unproven");
  EXPECT_FALSE(c.proof.minimal);
  EXPECT_THAT(c.proof.not_minimal_because, HasSubstr("lost"));
}

TEST(Zoo, EvidenceOfWhatRanAlreadySupportsNoProof) {
  Case c;
  c.run([](World& world) {
    world.evidence.coverage = evidence::Coverage::kAttached;
    return serves(world);
  });
  EXPECT_EQ(c.kind("syscall/any"), "unproven");
  EXPECT_FALSE(c.proof.minimal);
  EXPECT_THAT(c.proof.not_minimal_because, HasSubstr("joined after the start"));
}

TEST(Zoo, WhatTheBaselineLostIsRecordedAgain) {
  Case c;
  FakeRunner runner(c.question, serves);
  runner.set_loss({3, {}}, 2);
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof);
  EXPECT_TRUE(proof->minimal) << proof->not_minimal_because;
  EXPECT_FALSE(proof->loss.any());
  EXPECT_EQ(runner.starts(), 7);
}

TEST(Zoo, LossInATrialThatNothingRestsOnIsNoLoss) {
  Case c;
  FakeRunner runner(c.question, serves);
  runner.set_loss({3, {}}, 1);
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof);
  EXPECT_TRUE(proof->minimal) << proof->not_minimal_because;
  EXPECT_EQ(runner.starts(), 6);
}

TEST(Zoo, BeaconIsRefusedInEveryWay) {
  Case c;
  c.run([](World& world) -> std::string {
    world.connect("telemetry.test");
    bool hangs = world.policy().refusal == privilege::Refusal::kDropped;
    return hangs ? "timed out" : serves(world);
  });
  EXPECT_EQ(c.kind("egress/any"), "unneeded");
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  ASSERT_EQ(c.proof.findings.size(), 1U);
  EXPECT_EQ(c.proof.findings[0].text,
            "where outbound packets are dropped, check infer failed: timed out");
  EXPECT_THAT(c.proof.assumptions,
              testing::Contains("outbound attempts may be unreachable or refused"));
}

TEST(Zoo, ScratchSpaceIsLimitedToWhatWasSeen) {
  Case c;
  c.run([](World& world) -> std::string {
    return world.fill("/cache", 40 << 20, 30 << 20) ? serves(world) : "no space left";
  });
  ASSERT_EQ(c.proof.policy.writable.size(), 1U);
  EXPECT_EQ(c.proof.policy.writable[0].peak_bytes, uint64_t{30} << 20);
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  EXPECT_LE(c.starts, 9);
}

TEST(Zoo, ScratchSpaceThatNeedsMoreThanWasSeenHasNoLimit) {
  Case c;
  c.run([](World& world) -> std::string {
    return world.fill("/cache", 900 << 20, 1 << 20) ? serves(world) : "no space left";
  });
  ASSERT_EQ(c.proof.policy.writable.size(), 1U);
  EXPECT_EQ(c.proof.policy.writable[0].peak_bytes, 0U);
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Zoo, LockedMemoryWhereTheHostCannotRaiseTheLimit) {
  Case c;
  c.question = default_question("docker");
  c.question.asked.capabilities.add(*privilege::capability_number("IPC_LOCK"));
  FakeRunner runner(c.question, locks_memory);
  runner.set_can_raise_memlock(false);
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof);
  c.proof = *proof;
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/IPC_LOCK needed", "user/root needed"));
}

TEST(Zoo, AnotherAnswerIsAFailure) {
  Case c;
  FakeRunner runner(c.question, serves);
  runner.set_answer(
      [](World& world) { return world.use("NET_RAW", "socket") ? "forty-two" : "forty-one"; });
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof);
  c.proof = *proof;
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/NET_RAW needed", "user/root needed"));
  EXPECT_THAT(c.because("capability/NET_RAW"), HasSubstr("another answer than unchanged"));
}

TEST(Zoo, AnswersThatDifferByThemselvesAreNotCompared) {
  Case c;
  FakeRunner runner(c.question, serves);
  int calls = 0;
  runner.set_answer([&](World&) { return std::string(static_cast<size_t>(++calls), 'x'); });
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof);
  EXPECT_TRUE(proof->minimal) << proof->not_minimal_because;
}

TEST(Zoo, AnswersThatWereAlikeByChanceAreNoFailure) {
  Case c;
  FakeRunner runner(c.question, serves);
  int calls = 0;
  runner.set_answer([&](World&) { return ++calls % 4 == 0 ? "forty-one" : "forty-two"; });
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof);
  c.proof = *proof;
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  EXPECT_TRUE(proof->minimal) << proof->not_minimal_because;
}

TEST(Zoo, SlowerIsAFinding) {
  Case c;
  FakeRunner runner(c.question, serves);
  runner.set_latency([](World& world) { return world.use("KILL", "setpriority") ? 0.02 : 0.27; });
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof);
  c.proof = *proof;
  EXPECT_EQ(c.kind("capability/KILL"), "unneeded");
  ASSERT_EQ(c.proof.findings.size(), 1U);
  EXPECT_THAT(
      c.proof.findings[0].text,
      HasSubstr("check infer is slower under this policy: 0.27 s, unchanged at most 0.02 s; "
                "it takes 13.5 times as long without capability/KILL alone"));
}

TEST(Zoo, BaselineThatNeverGetsReadyIsTriedOnce) {
  Case c;
  FakeRunner runner(c.question, [](World&) -> std::string { return "nothing answers"; });
  runner.set_never_ready();
  auto proof = prove(c.question, runner);
  ASSERT_FALSE(proof);
  EXPECT_EQ(runner.starts(), 1);
}

TEST(Zoo, BaselineThatFailsIsAnError) {
  Case c;
  FakeRunner runner(c.question, [](World&) -> std::string { return "HTTP 503"; });
  auto proof = prove(c.question, runner);
  ASSERT_FALSE(proof);
  EXPECT_EQ(proof.error().kind, ErrorKind::kBaseline);
  EXPECT_THAT(proof.error().message, HasSubstr("check infer: HTTP 503"));
}

TEST(Zoo, PortThatNoCheckUsesIsUnneeded) {
  Case c;
  c.question.asked.ports = {{8000, "tcp", "unknown"}, {9090, "tcp", "unknown"}};
  c.run([](World& world) {
    world.bind(9090);
    return serves(world);
  });
  EXPECT_EQ(c.kind("port/9090/tcp"), "unneeded");
  EXPECT_EQ(c.kind("port/8000/tcp"), "needed");
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

}  // namespace
}  // namespace pare::prove
