#include "confine/telemetry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace pare::confine {
namespace {

using ::testing::HasSubstr;

const TelemetryVariable kKnown{"X_OPTOUT", "1", "0", {"stats.x.test"}, true, "docs"};
const TelemetryVariable kUsers{"Y_OPTOUT", "1", "0", {}, false, "the command line"};

TEST(Telemetry, EachEffectIsToldFromTheOthers) {
  const Attempts some = {{"stats.x.test", 20}, {"model.x.test", 3}};
  EXPECT_EQ(judge(kKnown, some, {{"model.x.test", 3}}, some).effect, Effect::kWorks);
  EXPECT_EQ(judge(kKnown, some, {{"stats.x.test", 19}}, some).effect, Effect::kDoesNothing);
  EXPECT_EQ(judge(kUsers, some, some, some).effect, Effect::kUnknown);
  auto half = judge(kKnown, some, {{"stats.x.test", 10}}, some);
  EXPECT_EQ(half.effect, Effect::kPartial);
  EXPECT_THAT(half.because, HasSubstr("20 attempts without it, 10 with it"));
  EXPECT_EQ(judge(kUsers, some, {{"model.x.test", 3}}, some).effect, Effect::kPartial);
}

TEST(Telemetry, NothingIsNotComparedWithNothing) {
  EXPECT_EQ(judge(kKnown, {}, {}, Attempts{}).effect, Effect::kUnproven);
  // Off by default: only its enabling value shows that the off value works.
  EXPECT_EQ(judge(kKnown, {}, {}, Attempts{{"stats.x.test", 4}}).effect, Effect::kWorks);
}

TEST(Telemetry, QuestionsCountWhereNothingFollowedThem) {
  evidence::Evidence evidence;
  evidence.dns = {{"a.test", "A", 5}, {"a.test", "AAAA", 5}, {"b.test", "A", 2}};
  evidence.egress.resize(3);
  evidence.egress[0].destination = "203.0.113.1";
  evidence.egress[0].name = "b.test";
  evidence.egress[0].attempts = 7;
  evidence.egress[1].destination = "10.0.0.53";
  evidence.egress[1].port = 53;
  evidence.egress[1].attempts = 12;
  evidence.egress[2].destination = "203.0.113.9";
  evidence.egress[2].attempts = 1;
  EXPECT_EQ(attempts_of(evidence), (Attempts{{"a.test", 5}, {"b.test", 7}, {"203.0.113.9", 1}}));
}

TEST(Telemetry, StagesSumUpToTheWhole) {
  auto run = [](uint64_t connections, uint64_t questions, uint64_t asked_alone) {
    evidence::Evidence evidence;
    evidence.dns = {{"a.test", "A", asked_alone}, {"b.test", "A", questions}};
    evidence.egress.resize(1);
    evidence.egress[0].name = "b.test";
    evidence.egress[0].attempts = connections;
    return evidence;
  };
  evidence::Evidence idle = run(0, 2, 3);
  idle.egress.clear();
  const Stages stages = stages_of(run(7, 3, 5), {{"start-up", run(7, 1, 2)}, {"idle", idle}});
  EXPECT_EQ(stages,
            (Stages{{"start-up", {{"a.test", 2}, {"b.test", 7}}}, {"idle", {{"a.test", 3}}}}));
  EXPECT_EQ(stages_text(stages, "a.test"), "start-up 2, idle 3");
  EXPECT_EQ(stages_text(stages, "b.test"), "start-up 7");
  EXPECT_EQ(to_json(stages)["idle"]["a.test"], 3);
}

TEST(Telemetry, VariablesComeFromTheServerAndTheUser) {
  auto variables = variables_to_try(target::find_server("vllm"), {"NGC_TELEMETRY_OPTOUT=1", "BAD"});
  ASSERT_GE(variables.size(), 2U);
  EXPECT_EQ(variables[0].name, "VLLM_NO_USAGE_STATS");
  EXPECT_EQ(variables[0].on, "0");
  EXPECT_TRUE(variables[0].known);
  EXPECT_EQ(variables[0].hosts, std::vector<std::string>{"stats.vllm.ai"});
  EXPECT_EQ(variables.back().name, "NGC_TELEMETRY_OPTOUT");
  EXPECT_FALSE(variables.back().known);
}

}  // namespace
}  // namespace pare::confine
