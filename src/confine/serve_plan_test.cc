#include "confine/serve_plan.h"

#include <gtest/gtest.h>

#include "confine/serve_metrics.h"

namespace pare::confine {
namespace {

verdict::Proof proof() {
  verdict::Proof p;
  p.confirmed = true;
  p.target.kind = target::Kind::kRootfs;
  p.target.rootfs = "/srv/root";
  p.target.command = {"/server"};
  p.target.env = {{"HF_TOKEN", "", true}, {"MODE", "fast", false}};
  p.target.volumes = {{"/srv/models", "/models", false, true}};
  p.checks = {{"infer", "http://:8000/infer"}};
  p.policy.ports = {{8002, "tcp", "metrics"}, {8000, "tcp", "inference"}};
  return p;
}

evidence::Evidence evidence() {
  evidence::Evidence e;
  e.peaks.tasks = 10;
  e.peaks.memory_bytes = 100 << 20;
  return e;
}

TEST(ServePlan, KeysOfThePullAreAbsent) {
  auto plan = plan_serve(proof(), evidence(), {});
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->target.env.size(), 1u);
  EXPECT_EQ(plan->target.env[0].name, "MODE");
  EXPECT_EQ(plan->dropped, (std::vector<std::string>{"HF_TOKEN"}));
}

TEST(ServePlan, KeysOfTheImageAreAbsentUnlessGiven) {
  target::Target target;
  target.env = {{"NGC_API_KEY", "given", true}};
  target.facts.env = {{"HF_TOKEN", "x", true}, {"NGC_API_KEY", "y", true}, {"MODE", "z", false}};
  EXPECT_EQ(withhold_keys(target), (std::vector<std::string>{"HF_TOKEN"}));
  ASSERT_EQ(target.facts.env.size(), 1u);
  EXPECT_EQ(target.facts.env[0].name, "MODE");
  EXPECT_EQ(target.env.size(), 1u);
}

TEST(ServePlan, ChecksFollowAPortThatWasMoved) {
  verdict::Proof p = proof();
  p.policy.ports = {{8080, "tcp", "inference", 8000}};
  auto plan = plan_serve(p, evidence(), {});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->checks.at(0).port, 8080);
}

TEST(ServePlan, LimitsAreThePeaksAndAMargin) {
  auto plan = plan_serve(proof(), evidence(), {});
  EXPECT_EQ(plan->policy.pids_max, 52u);
  EXPECT_EQ(plan->memory_bytes, (264u << 20));
  ServeWishes wishes;
  wishes.memory_bytes = 0;
  wishes.pids = 7;
  plan = plan_serve(proof(), evidence(), wishes);
  EXPECT_EQ(plan->policy.pids_max, 7u);
  EXPECT_FALSE(plan->memory_bytes);
  EXPECT_FALSE(plan_serve(proof(), std::nullopt, {})->memory_bytes);
}

TEST(ServePlan, AnotherKernelIsNotHeldToTheListOfThisOne) {
  verdict::Proof p = proof();
  p.runtime = "runc 1.1.5 (Docker 20.10)";
  p.policy.seccomp.emplace();
  auto adapted = [&](const std::string& runtime, bool own_kernel, const ServeWishes& wishes = {}) {
    auto plan = plan_serve(p, evidence(), wishes).value();
    auto said = adapt_plan(p, runtime, own_kernel, wishes, plan);
    return std::pair(plan, said.size());
  };
  auto [same, nothing] = adapted("runc 1.2.0", false);
  EXPECT_EQ(nothing, 0u);
  EXPECT_TRUE(same.policy.seccomp);
  auto [crun, one] = adapted("crun 1.8", false);
  EXPECT_EQ(one, 1u);
  EXPECT_TRUE(crun.policy.seccomp && crun.policy.pids_max);
  auto [runsc, three] = adapted("runsc 1", true);
  EXPECT_EQ(three, 3u);
  EXPECT_FALSE(runsc.policy.seccomp || runsc.policy.pids_max);
  EXPECT_EQ(runsc.memory_bytes, (520u << 20));
  ServeWishes wishes;
  wishes.pids = 400;
  wishes.memory_bytes = 1 << 30;
  auto [wished, two] = adapted("runsc 1", true, wishes);
  EXPECT_EQ(two, 2u);
  EXPECT_EQ(wished.policy.pids_max, 400u);
  EXPECT_EQ(wished.memory_bytes, (1u << 30));
  p.runtime = "runsc 0.9";
  auto [own, own_said] = adapted("runsc 1", true);
  EXPECT_EQ(own_said, 0u);
  EXPECT_TRUE(own.policy.seccomp);
}

TEST(ServePlan, WhatStandsAgainstIt) {
  auto why = [](const verdict::Proof& p, const ServeWishes& wishes = {}) {
    auto plan = plan_serve(p, std::nullopt, wishes);
    return plan ? "" : plan.error().message;
  };
  verdict::Proof p = proof();
  p.confirmed = false;
  EXPECT_NE(why(p).find("not confirmed"), std::string::npos);
  p = proof();
  p.policy.egress = {{"models.test", 443}};
  EXPECT_NE(why(p).find("egress (to models.test)"), std::string::npos);
  p = proof();
  p.policy.host_namespaces = {"network"};
  EXPECT_NE(why(p).find("host's network"), std::string::npos);
  p = proof();
  p.target.volumes[0].named = true;
  EXPECT_NE(why(p).find("--volume"), std::string::npos);
  p.target.kind = target::Kind::kImage;
  EXPECT_EQ(why(p), "");  // the daemon knows where it is
  ServeWishes wishes;
  wishes.volumes = {{"/tmp", "/other", false, false}};
  EXPECT_NE(why(proof(), wishes).find("no volume at /other"), std::string::npos);
}

TEST(ServePlan, TheInferencePortIsTheProofs) {
  EXPECT_EQ(inference_port(proof().policy).value_or(0), 8000);
  EXPECT_FALSE(inference_port({}));
}

TEST(Metrics, TextIsPrometheus) {
  Snapshot s;
  s.up = true;
  s.denials["execve"] = 3;
  s.gates["127.0.0.1:8000"].accepted = 5;
  std::string text = metrics_text(s);
  EXPECT_NE(text.find("# TYPE pare_up gauge\npare_up 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("pare_denied_calls_total{call=\"execve\"} 3\n"), std::string::npos) << text;
  EXPECT_NE(text.find("pare_gate_connections_total{gate=\"127.0.0.1:8000\"} 5\n"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace pare::confine
