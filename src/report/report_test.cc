#include <gmock/gmock.h>

#include "report/progress.h"
#include "report/summary.h"

namespace pare::report {

using testing::HasSubstr;
using testing::Not;
using verdict::Kind;
using verdict::Proof;
using verdict::Verdict;

static Verdict verdict_of(privilege::Axis axis, const std::string& value, Kind kind,
                          const std::string& because) {
  Verdict v;
  v.privilege = {axis, value};
  v.kind = kind;
  v.asked = true;
  v.because = because;
  return v;
}

static Proof sample() {
  Proof proof;
  proof.platform = privilege::find_platform("kubernetes").value();
  proof.confirmed = proof.minimal = true;
  proof.checks = {{"infer", "http://:8000/infer"}};
  proof.trials = {{1, "baseline", "pass", {}, {}, "", 1.0, 1},
                  {2, "confirm", "pass", {}, {}, "", 1.5, 2}};
  Verdict fixable =
      verdict_of(privilege::Axis::kRootfs, "write", Kind::kFixable, "it writes /cache");
  fixable.fix = verdict::Fix{"mount a tmpfs at /cache", "tmpfs=/cache"};
  proof.verdicts = {
      verdict_of(privilege::Axis::kCapability, "NET_RAW", Kind::kUnneeded, "never used"), fixable,
      verdict_of(privilege::Axis::kUser, "root", Kind::kUnproven, "flaky")};
  return proof;
}

TEST(Summary, SaysWhatWasProvedWhatWasLostAndWhatWasNotShown) {
  std::string text = summary(sample(), {false, 100, "out", {"proof.json"}});
  EXPECT_THAT(text, HasSubstr("capability/NET_RAW"));
  EXPECT_THAT(text, HasSubstr("fix: mount a tmpfs at /cache"));
  EXPECT_THAT(text, HasSubstr("forge packets"));
  EXPECT_THAT(text, HasSubstr("user/root: flaky"));
  EXPECT_THAT(text, HasSubstr("3 container starts, 2.5 s"));
  EXPECT_THAT(text, HasSubstr("pare emit out --to kubernetes"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b[")));
  EXPECT_LT(text.find("user/root"), text.find("rootfs/write"));
  EXPECT_LT(text.find("rootfs/write"), text.find("capability/NET_RAW"));
}

TEST(Progress, CountsCapabilitiesAndSaysWhyATrialFailed) {
  std::vector<std::string> without = {"user/root"};
  for (const auto& name : privilege::find_platform("docker")->default_capabilities.names()) {
    without.push_back("capability/" + name);
  }
  std::string line = trial_line(
      {3, "all-away", "fail", {"infer"}, without, "infer: HTTP 500", 1.21, 1}, {false, 120});
  EXPECT_EQ(
      line,
      "trial 3 all-away: without 14 capabilities, user/root -> fail (1.2 s): infer: HTTP 500");
}

}  // namespace pare::report
