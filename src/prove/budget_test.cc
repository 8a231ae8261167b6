// Budgets, journals and ablation alone: a proof says what it could not show, and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prove/plan.h"
#include "prove/planted_case.h"
#include "prove/statistics.h"

namespace pare::prove {
namespace {

using evidence::Phase;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// Writes a cache, needs a raw socket and drops to uid 1000 by itself where it can.
std::string many_needs(World& world) {
  if (!world.write("/cache/x")) return "no cache";
  world.ready();
  return world.use("NET_RAW", "socket", "AF_INET SOCK_RAW") ? "" : "HTTP 500";
}

TEST(Budget, EndsInAnHonestPartialProof) {
  Case whole;
  whole.run(many_needs);
  ASSERT_TRUE(whole.proof.minimal) << whole.proof.not_minimal_because;
  int trials = static_cast<int>(whole.proof.trials.size());
  for (int budget = 1; budget < trials; ++budget) {
    Case part;
    part.question.options.max_trials = budget;
    part.run(many_needs);
    EXPECT_EQ(part.proof.trials.size(), static_cast<size_t>(budget));
    EXPECT_FALSE(part.proof.minimal) << budget;
    EXPECT_THAT(part.proof.not_minimal_because, HasSubstr("budget"));
    for (const verdict::Verdict& v : part.proof.verdicts) {
      if (v.kind == verdict::Kind::kUnproven) continue;
      EXPECT_EQ(to_string(v.kind), whole.kind(to_string(v.privilege)))
          << to_string(v.privilege) << " with a budget of " << budget;
    }
  }
}

TEST(Budget, OfTimeCountsTheSecondsOfTrials) {
  Case c;
  c.question.options.max_time = std::chrono::milliseconds(4500);
  c.run(many_needs);
  EXPECT_EQ(c.proof.trials.size(), 5U);  // of one second each
}

TEST(Budget, PartialProofKeepsTheTightestPolicyThatPassed) {
  Case c;
  c.question.options.max_trials = 5;
  c.run(many_needs);
  EXPECT_FALSE(c.proof.confirmed);
  EXPECT_FALSE(c.proof.policy.egress_any);
  EXPECT_THAT(c.because("egress/any"), HasSubstr("passed without it; the budget ended"));
}

// Hands out the outcomes of an earlier run first, as a journal does.
class Resumed : public TrialRunner {
 public:
  Resumed(FakeRunner& runner, size_t finished) : runner_(runner), finished_(finished) {}
  Result<Outcome> run(const Request& request) override {
    auto outcome = runner_.run(request);
    if (outcome) outcome->replayed = runner_.requests().size() <= finished_;
    return outcome;
  }
  std::vector<verdict::CheckEntry> checks() const override { return runner_.checks(); }
  std::vector<uint16_t> check_ports() const override { return runner_.check_ports(); }

 private:
  FakeRunner& runner_;
  size_t finished_;
};

void expect_resumes(const Server& server, size_t budget) {
  Case whole;
  FakeRunner first(whole.question, server);
  ASSERT_TRUE(prove(whole.question, first));
  Question limited = whole.question;
  limited.options.max_trials = static_cast<int>(budget);
  for (size_t finished = 0; finished < first.requests().size(); ++finished) {
    FakeRunner again(limited, server);
    Resumed resumed(again, finished);
    ASSERT_TRUE(prove(limited, resumed));
    ASSERT_EQ(again.requests().size(), std::min(first.requests().size(), finished + budget));
    for (size_t i = 0; i < again.requests().size(); ++i) {
      EXPECT_EQ(again.requests()[i].id, first.requests()[i].id);
      EXPECT_EQ(again.requests()[i].policy, first.requests()[i].policy);
      EXPECT_EQ(again.requests()[i].cold, first.requests()[i].cold);
      EXPECT_EQ(again.requests()[i].restart, first.requests()[i].restart);
    }
  }
}

TEST(Resume, AsksTheSameAgainAndTheBudgetStartsAnew) {
  expect_resumes(many_needs, 4);
}

// Also past the two ways to refuse egress, which are asked for together.
TEST(Resume, OneTrialAtATimeGetsToTheEnd) {
  expect_resumes(
      [](World& world) {
        world.connect("telemetry.test");
        return serves(world);
      },
      1);
}

TEST(Plan, RunsTheBaselineAlone) {
  Case c;
  FakeRunner runner(c.question, many_needs);
  auto estimate = plan(c.question, runner);
  ASSERT_TRUE(estimate);
  EXPECT_EQ(runner.starts(), 2);
  EXPECT_GE(estimate->starts_at_most, estimate->starts_expected);
  // Resumed in the same journal it still runs nothing more.
  FakeRunner again(c.question, many_needs);
  Resumed resumed(again, 2);
  ASSERT_TRUE(plan(c.question, resumed));
  EXPECT_EQ(again.starts(), 2);
}

TEST(Plan, CountsEachRunOfTheBaselineOnce) {
  Case c;
  FakeRunner runner(c.question, many_needs);
  runner.set_loss({3, {}}, 1000);
  auto estimate = plan(c.question, runner);
  ASSERT_TRUE(estimate);
  EXPECT_EQ(runner.starts(), 4);
  // Each trial takes one second.
  EXPECT_DOUBLE_EQ(estimate->seconds_expected, estimate->starts_expected);
}

TEST(Ablation, NeedsNothing) {
  Case c;
  c.question.options.recording = false;
  c.run(serves);
  EXPECT_THAT(c.not_unneeded(), IsEmpty());
  EXPECT_LE(c.starts, 8);
}

TEST(Ablation, FindsWhatARecorderWouldFind) {
  Case c;
  c.question.options.recording = false;
  c.run([](World& world) -> std::string {
    if (!world.write("/tmp/socket", world.uid())) return "no socket";
    return infers_with_raw_socket(world);
  });
  EXPECT_THAT(c.not_unneeded(),
              UnorderedElementsAre("capability/NET_RAW needed", "user/root needed",
                                   "write:/tmp needed", "rootfs/write fixable"));
  EXPECT_TRUE(c.proof.confirmed);
}

TEST(Ablation, LeavesTheCallsUnproven) {
  Case c;
  c.question = default_question("docker");
  c.question.asked.seccomp_default = true;
  c.question.options.recording = false;
  c.run(serves);
  EXPECT_EQ(c.kind("syscall/any"), "unproven");
  EXPECT_THAT(c.because("syscall/any"), HasSubstr("only a recorder"));
  EXPECT_FALSE(c.proof.minimal);
  EXPECT_TRUE(c.proof.confirmed);
  EXPECT_TRUE(c.proof.policy.seccomp_default);
}

TEST(Ablation, PullsItsModelOnce) {
  Case c;
  c.question.options.recording = false;
  c.question.asked.volumes = {{"/models", true}};
  c.run([](World& world) -> std::string {
    if (!world.in_volume("/models/m")) {
      if (!world.connect("hub.test")) return "cannot download";
      if (!world.write("/models/m", world.uid())) return "cannot store the model";
    }
    return serves(world);
  });
  EXPECT_EQ(c.kind("egress/any"), "unneeded");
  EXPECT_EQ(c.kind("egress/any", Phase::kPull), "needed");
  EXPECT_EQ(c.kind("volume-write:/models", Phase::kPull), "needed");
}

TEST(Flaky, TargetIsComparedWithItself) {
  Case c;
  int runs = 0;
  c.run([&](World& world) -> std::string { return ++runs % 5 == 0 ? "HTTP 502" : serves(world); });
  EXPECT_FALSE(c.proof.minimal);
  EXPECT_TRUE(c.proof.confirmed);
  EXPECT_THAT(c.because("capability/NET_RAW"), HasSubstr("points worse (95 %)"));
  EXPECT_EQ(c.kind("capability/NET_RAW"), "unneeded");
  EXPECT_THAT(c.proof.findings, testing::Contains(testing::Field(&verdict::Finding::id, "flaky")));
  EXPECT_THAT(c.proof.assumptions, testing::Contains(HasSubstr("the target is flaky")));
}

// What the warm run lost is recorded in a third run; that one fails.
TEST(Flaky, TargetThatFailsWhenItIsRecordedAgain) {
  Case c;
  int runs = 0;
  FakeRunner runner(c.question, [&](World& world) -> std::string {
    return ++runs % 5 == 3 ? "HTTP 502" : serves(world);
  });
  runner.set_loss({3, {}}, 1000);
  auto proof = prove(c.question, runner);
  ASSERT_TRUE(proof) << proof.error().message;
  EXPECT_THAT(proof->not_minimal_because, testing::Not(HasSubstr("budget")));
  EXPECT_THAT(proof->findings, testing::Contains(testing::Field(&verdict::Finding::id, "flaky")));
}

TEST(Flaky, PolicyThatFailsOftenerIsUnproven) {
  Case c;
  int runs = 0;
  c.run([&](World& world) -> std::string {
    bool tight = world.uid() != 0;
    return ++runs % (tight ? 2 : 10) == 0 ? "HTTP 502" : serves(world);
  });
  EXPECT_FALSE(c.proof.minimal);
  EXPECT_FALSE(c.proof.confirmed);
  EXPECT_EQ(c.kind("capability/NET_RAW"), "unproven");
}

TEST(Statistics, BoundOfADifference) {
  // Newcombe's interval narrows with the runs and widens with the difference.
  EXPECT_EQ(worse_by_at_most({0, 0}, {3, 3}), 1.0);
  EXPECT_NEAR(worse_by_at_most({12, 12}, {12, 12}), 0.184, 0.001);
  EXPECT_NEAR(worse_by_at_most({8, 10}, {8, 10}), 0.290, 0.005);
  EXPECT_GT(worse_by_at_most({12, 12}, {8, 12}), 0.3);
  EXPECT_LT(worse_by_at_most({120, 120}, {120, 120}), 0.03);
}

}  // namespace
}  // namespace pare::prove
