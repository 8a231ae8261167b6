#include "confine/egress_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"

namespace pare::confine {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(EgressPolicy, WhatItSaysIsWhatWasLearnt) {
  WindowReport report;
  report.subject = "Model_Server";
  EXPECT_THAT(network_policy(report), HasSubstr("egress: []"));
  EXPECT_THAT(network_policy(report), HasSubstr("name: model-server-egress"));
  report.learnt.push_back(
      {*parse_exception("model.test:443/tcp"), {"server"}, 3, Need::kNeeded, ""});
  report.learnt.push_back({*parse_exception("[2001:db8::/32]:8443"), {}, 0, Need::kUnproven, ""});
  const std::string plain = network_policy(report);
  EXPECT_THAT(plain, HasSubstr("ipBlock: {cidr: \"2001:db8::/32\"}"));
  EXPECT_THAT(plain, HasSubstr("- {port: 8443, protocol: UDP}"));
  EXPECT_THAT(plain, HasSubstr("knows no names"));
  const std::string cilium = cilium_policy(report);
  EXPECT_THAT(cilium, HasSubstr("toFQDNs: [{matchName: \"model.test\"}]"));
  EXPECT_THAT(cilium, HasSubstr("- {port: \"443\", protocol: TCP}"));
  EXPECT_THAT(cilium, Not(HasSubstr("port: \"443\", protocol: UDP")));
  auto again = parse_exceptions(rules_text(report), "rules");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->size(), 2U);
}

// What was written once is what is written; PARE_UPDATE_GOLDEN=1 rewrites the files, which
// tests/kubernetes/schema_test.py holds against the types that a cluster takes.
TEST(EgressPolicy, Golden) {
  WindowReport report;
  report.subject = "4242";  // a process: a label's value stays text
  auto same = [&](const std::string& name) {
    for (const auto& [kind, text] :
         {std::pair("networkpolicy", network_policy(report)), {"cilium", cilium_policy(report)}}) {
      std::string path =
          std::string(PARE_SOURCE_DIR) + "/tests/golden/egress/" + name + "/" + kind + ".yaml";
      if (std::getenv("PARE_UPDATE_GOLDEN") != nullptr) {
        ASSERT_TRUE(base::make_directories(path.substr(0, path.rfind('/'))));
        ASSERT_TRUE(base::write_file_atomic(path, text));
      }
      EXPECT_EQ(base::read_file(path).value_or(""), text) << path;
    }
  };
  same("closed");
  const char* exceptions[] = {"model.test:443/tcp", "[2001:db8::/32]:8443", "203.0.113.7",
                              "licence.test"};
  for (const char* text : exceptions) {
    report.learnt.push_back({*parse_exception(text), {"server: \"x\""}, 3, Need::kNeeded, "#"});
  }
  same("learnt");
  report.learnt.erase(report.learnt.begin(), report.learnt.end() - 1);
  same("named");
}

TEST(EgressPolicy, DockersRulesAreForAddressesAndSayWhatTheyCannot) {
  WindowReport report;
  report.subject = "x";
  report.learnt.push_back({*parse_exception("model.test:443"), {"server"}, 3, Need::kNeeded, ""});
  report.learnt.push_back({*parse_exception("203.0.113.0/24:53/udp"), {}, 0, Need::kUnproven, ""});
  report.learnt.push_back({*parse_exception("[2001:db8::1]"), {}, 0, Need::kUnproven, ""});
  const std::string script = docker_script(report);
  EXPECT_THAT(script, HasSubstr("# model.test:443: needed"));
  EXPECT_THAT(script, HasSubstr("No such rule goes by name"));
  EXPECT_THAT(
      script,
      HasSubstr("\n  iptables -I \"$chain\" -d 203.0.113.0/24 -p udp --dport 53 -j RETURN"));
  EXPECT_THAT(script, HasSubstr("\n  ip6tables -I \"$chain\" -d 2001:db8::1/128 -j RETURN"));
}

TEST(EgressPolicy, TheLogIsInMetricsWhereItIsKnown) {
  WindowReport report;
  EXPECT_THAT(metrics_text(report), Not(HasSubstr("pare_egress_log_bytes_total")));
  report.log.known = true;
  report.log.bytes = 70;
  report.log.repeated_lines = 12;
  EXPECT_THAT(metrics_text(report), HasSubstr("pare_egress_log_bytes_total{container=\"\"} 70\n"));
  EXPECT_THAT(alert_rules(), HasSubstr("pare_egress_log_repeated_lines_total"));
}

TEST(EgressPolicy, MetricsTellAClosedWindowAndExceptionsWhoseTimeIsOver) {
  WindowReport report;
  report.subject = "x";
  report.learnt.resize(3);
  report.learnt[1].in_force = false;
  EXPECT_THAT(metrics_text(report), HasSubstr("\npare_egress_window_open{container=\"x\"} 1\n"));
  EXPECT_THAT(metrics_text(report), HasSubstr("\npare_egress_exceptions{container=\"x\"} 2\n"));
  report.open = false;
  EXPECT_THAT(metrics_text(report), HasSubstr("\npare_egress_window_open{container=\"x\"} 0\n"));
}

}  // namespace
}  // namespace pare::confine
