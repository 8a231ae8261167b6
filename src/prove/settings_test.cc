// The server's own switches, arguments of calls, driver capabilities, trials side by side.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prove/arguments.h"
#include "prove/planted_case.h"

namespace pare::prove {
namespace {

using evidence::Phase;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

bool has_word(const World& world, const std::string& word) {
  const auto& words = world.policy().arguments;
  return words && std::find(words->begin(), words->end(), word) != words->end();
}

std::string llama(World& world) {
  std::string why = serves(world);
  world.evidence.listeners.back().server = "llama-cpp";
  world.answer("/slots", has_word(world, "--no-slots") ? 501 : 200);
  world.answer("/props");
  return why;
}

TEST(Settings, AnEndpointIsClosedByTheServersOwnSwitch) {
  Case c;
  c.question.target.argv = {"/bin/server", "-m", "x"};
  c.run(llama);
  const verdict::Verdict* slots = c.find("endpoint/GET /slots", Phase::kServe);
  ASSERT_NE(slots, nullptr);
  EXPECT_EQ(slots->kind, verdict::Kind::kUnneeded);
  EXPECT_TRUE(slots->used);
  ASSERT_TRUE(slots->fix);
  EXPECT_EQ(slots->fix->change, "argument=--no-slots");
  EXPECT_THAT(*c.proof.policy.arguments, ElementsAre("/bin/server", "-m", "x", "--no-slots"));
  const verdict::Verdict* props = c.find("endpoint/GET /props", Phase::kServe);
  ASSERT_NE(props, nullptr);
  EXPECT_FALSE(props->fix);
  EXPECT_THAT(props->because, HasSubstr("allow only other paths in front"));
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  EXPECT_EQ(c.starts, 7);
}

TEST(Settings, ASwitchThatBreaksTheServerIsLeftAlone) {
  Case c;
  c.run([](World& world) -> std::string {
    return has_word(world, "--no-slots") ? "unknown option" : llama(world);
  });
  EXPECT_FALSE(c.find("endpoint/GET /slots", Phase::kServe)->fix);
  EXPECT_EQ(c.kind("endpoint/GET /slots"), "unneeded");
  EXPECT_FALSE(c.proof.policy.arguments);
}

TEST(Settings, AWordThatOpensMetricsIsLeftOut) {
  Case c;
  c.question.target.argv = {"/bin/server", "--metrics"};
  c.run([](World& world) {
    bool off = world.policy().arguments && !has_word(world, "--metrics");
    std::string why = serves(world);
    world.evidence.listeners.back().server = "llama-cpp";
    world.answer("/metrics", off ? 501 : 200, "metrics");
    return why;
  });
  EXPECT_EQ(c.find("endpoint/GET /metrics", Phase::kServe)->fix->change,
            "without-argument=--metrics");
  EXPECT_THAT(*c.proof.policy.arguments, ElementsAre("/bin/server"));
}

TEST(Settings, AnotherFamilysSwitchIsNotTried) {
  Case c;
  c.run([](World& world) {
    std::string why = serves(world);
    world.answer("/slots");
    return why;
  });
  EXPECT_FALSE(c.find("endpoint/GET /slots", Phase::kServe)->fix);
  EXPECT_EQ(c.starts, 6);
}

TEST(Settings, TelemetryIsSilencedByItsVariable) {
  Case c;
  c.run([](World& world) {
    if (world.policy().environment.count("VLLM_NO_USAGE_STATS") == 0)
      world.connect("stats.vllm.ai");
    return serves(world);
  });
  EXPECT_EQ(c.proof.policy.environment.at("VLLM_NO_USAGE_STATS"), "1");
  EXPECT_TRUE(std::any_of(c.proof.findings.begin(), c.proof.findings.end(),
                          [](const auto& f) { return f.id == "telemetry"; }));
}

TEST(Settings, AHomelessServerGetsItsFamilysVariables) {
  Case c;
  c.question.target.argv = {"vllm serve"};
  c.question.target.facts.passwd.clear();
  c.run([](World& world) -> std::string {
    const auto& variables = world.policy().environment;
    return world.uid() == 0 || variables.count("VLLM_CACHE_ROOT") > 0 ? serves(world) : "no cache";
  });
  EXPECT_EQ(c.kind("user/root"), "fixable");
  EXPECT_THAT(c.find("user/root", Phase::kServe)->fix->change, HasSubstr("env=VLLM_CACHE_ROOT="));
}

TEST(Settings, DriverCapabilitiesAreTakenAwayByName) {
  Case c;
  c.question.target.gpus = "all";
  c.question.target.env = {{"NVIDIA_DRIVER_CAPABILITIES", "all", false}};
  c.run([](World& world) -> std::string {
    const auto& variables = world.policy().environment;
    auto left = variables.find("NVIDIA_DRIVER_CAPABILITIES");
    bool compute = left == variables.end() || left->second.find("compute") != std::string::npos;
    return compute ? serves(world) : "no CUDA device";
  });
  EXPECT_EQ(c.kind("device/nvidia-compute"), "needed");
  EXPECT_EQ(c.kind("device/nvidia-graphics"), "unneeded");
  EXPECT_EQ(c.proof.policy.environment.at("NVIDIA_DRIVER_CAPABILITIES"), "compute,utility");
}

// Listens where --port says, else on 80; the checks come to where the policy says.
std::string by_port_word(World& world, const std::vector<std::string>& today) {
  const std::vector<std::string> words = world.policy().arguments.value_or(today);
  auto flag = std::find(words.begin(), words.end(), "--port");
  auto port = static_cast<uint16_t>(flag == words.end() ? 80 : std::stoi(*(flag + 1)));
  uint16_t asked = world.policy().ports.empty() ? 80 : world.policy().ports[0].port;
  if (!world.bind(port)) return "cannot bind";
  return port == asked ? "" : "nothing listens there";
}

TEST(Settings, APortOfTheCommandLineIsMovedAboveThePrivilegedOnes) {
  Case c;
  c.ports = {80};
  c.question.target.argv = {"/bin/server", "--threads", "80", "--port", "80"};
  c.run([&](World& world) { return by_port_word(world, c.question.target.argv); });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/NET_BIND_SERVICE fixable", "user/root fixable"));
  EXPECT_EQ(c.find("capability/NET_BIND_SERVICE", Phase::kServe)->fix->text,
            "listen on 8080 with 8080 instead of 80");
  EXPECT_THAT(*c.proof.policy.arguments,
              ElementsAre("/bin/server", "--threads", "80", "--port", "8080"));
  ASSERT_EQ(c.proof.policy.ports.size(), 1U);
  EXPECT_EQ(c.proof.policy.ports[0].port, 8080);
  EXPECT_EQ(c.proof.policy.ports[0].instead, 80);
  EXPECT_THAT(c.proof.policy.sysctls, IsEmpty());
  EXPECT_EQ(c.kind("port/80/tcp"), "needed");
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
  EXPECT_LE(c.starts, 10);
}

TEST(Settings, APortIsMovedByWhatTheFamilyIsKnownFor) {
  Case c;
  c.ports = {80};
  c.question.target.argv = {"llama-server", "-m", "x"};
  c.run([&](World& world) { return by_port_word(world, c.question.target.argv); });
  EXPECT_EQ(c.find("capability/NET_BIND_SERVICE", Phase::kServe)->fix->change,
            "port=80->8080 argument=--port argument=8080");
}

TEST(Settings, APortThatDoesNotMoveIsLeftToTheSysctl) {
  Case c;
  c.ports = {80};
  c.question.target.argv = {"/bin/server", "--port=80"};
  c.run([](World& world) -> std::string {
    bool same = world.policy().ports.empty() || world.policy().ports[0].port == 80;
    return same && world.bind(80) ? "" : "cannot bind";
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/NET_BIND_SERVICE fixable", "user/root fixable",
                                   "sysctl/net.ipv4.ip_unprivileged_port_start needed"));
  EXPECT_FALSE(c.proof.policy.arguments);
  EXPECT_EQ(c.proof.policy.ports[0].port, 80);
}

TEST(Settings, APortIsNotMovedWhereEveryUidMayBindIt) {
  Case c;
  c.question = default_question("docker");
  c.ports = {80};
  c.question.target.argv = {"/bin/server", "--port", "80"};
  c.run([&](World& world) { return by_port_word(world, c.question.target.argv); });
  EXPECT_FALSE(c.proof.policy.arguments);
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
}

evidence::Evidence calls_socket(const std::vector<uint64_t>& families, uint64_t calls) {
  evidence::Evidence evidence;
  evidence.syscalls.push_back({"socket", calls});
  for (uint64_t family : families) {
    evidence.arguments.push_back({"socket", {family, 1, 0}, "", std::nullopt, 1, Phase::kPull});
  }
  return evidence;
}

TEST(Settings, CallsAreNarrowedToSeenArguments) {
  auto narrowed = seen_arguments({calls_socket({2, 10}, 2), calls_socket({2}, 1)}, {});
  ASSERT_EQ(narrowed.size(), 1U);
  EXPECT_THAT(narrowed[0].values, ElementsAre(2, 10));
  EXPECT_THAT(seen_arguments({calls_socket({2}, 1)}, {"socket"}), IsEmpty());
  EXPECT_THAT(seen_arguments({calls_socket({2}, 2)}, {}), IsEmpty()) << "one call is not known";
}

TEST(Settings, AFamilyThatOnlyALaterRunAsksForIsGivenBack) {
  Case c;
  c.run([](World& world) -> std::string {
    auto& e = world.evidence;
    uint64_t family = world.uid() == 0 ? 2 : 16;
    bool fine = true;
    if (world.policy().seccomp) {
      for (const auto& a : world.policy().seccomp->arguments) {
        if (a.syscall == "socket") fine = std::count(a.values.begin(), a.values.end(), family) > 0;
      }
    }
    e.arguments.push_back({"socket", {family, 1, 0}, "", std::nullopt, 1, Phase::kPull});
    for (auto& fact : e.syscalls) {
      if (fact.name == "socket" && !fine) fact.refused = 1, fact.count = 0;
    }
    return fine ? serves(world) : "no netlink";
  });
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  EXPECT_THAT(c.proof.policy.seccomp->arguments, IsEmpty());
  EXPECT_TRUE(c.proof.minimal) << c.proof.not_minimal_because;
}

TEST(Settings, SideBySideSaysTheSame) {
  auto needs_two = [](World& world) -> std::string {
    world.ready();
    bool fine = world.use("NET_RAW", "socket", "AF_INET SOCK_RAW") &&
                world.use("SYS_CHROOT", "chroot", "/") && world.write("/cache/x", world.uid());
    return fine ? "" : "HTTP 500";
  };
  Case one, four;
  one.run(needs_two);
  four.jobs = 4;
  four.run(needs_two);
  EXPECT_EQ(one.not_unneeded(), four.not_unneeded());
  EXPECT_TRUE(four.proof.minimal) << four.proof.not_minimal_because;
  EXPECT_LE(four.starts, one.starts * 3 / 2);
}

TEST(Settings, OneByOneAsksForEachPrivilegeAsOften) {
  auto needs_one = [](World& world) -> std::string {
    world.ready();
    return world.use("NET_RAW", "socket", "AF_PACKET") ? "" : "HTTP 500";
  };
  Case each, few;
  each.question.options.one_by_one = true;
  each.run(needs_one);
  few.run(needs_one);
  EXPECT_EQ(each.kind("capability/NET_RAW"), "needed");
  EXPECT_EQ(each.kind("capability/CHOWN"), "unneeded");
  EXPECT_EQ(each.proof.policy.capabilities, few.proof.policy.capabilities);
  EXPECT_GE(each.starts, few.starts * 4);
}

}  // namespace
}  // namespace pare::prove
