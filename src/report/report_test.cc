#include <gmock/gmock.h>

#include "base/json.h"
#include "base/text.h"
#include "report/diff.h"
#include "report/document.h"
#include "report/progress.h"
#include "report/summary.h"
#include "report/view.h"

namespace pare::report {

using privilege::Axis;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using verdict::Kind;
using verdict::Proof;
using verdict::Verdict;

namespace {

Verdict verdict_of(Axis axis, const std::string& value, Kind kind, const std::string& because) {
  Verdict v;
  v.privilege = {axis, value};
  v.kind = kind;
  v.asked = true;
  v.because = because;
  return v;
}

Proof sample() {
  Proof proof;
  proof.platform = privilege::find_platform("kubernetes").value();
  proof.confirmed = proof.minimal = true;
  proof.target.image = "team/server:1";
  proof.target.argv = {"/server"};
  proof.checks = {{"infer", "http://:8000/infer"}};
  proof.trials = {{1, "baseline", "pass", {}, {}, "", 1.0, 1},
                  {2, "confirm", "pass", {}, {"user/root"}, "", 1.5, 2}};
  Verdict fixable = verdict_of(Axis::kRootfs, "write", Kind::kFixable, "it writes /cache");
  fixable.fix = verdict::Fix{"mount a tmpfs at /cache", "tmpfs=/cache"};
  fixable.trials = {2};
  fixable.evidence = {"e7"};
  proof.verdicts = {verdict_of(Axis::kCapability, "NET_RAW", Kind::kUnneeded, "never used"),
                    fixable, verdict_of(Axis::kUser, "root", Kind::kUnproven, "flaky")};
  return proof;
}

evidence::Evidence facts() {
  evidence::Evidence e;
  evidence::FileFact file;
  file.id = "e7";
  file.path = "/cache/<b>";
  file.ops = {"create"};
  file.error = "EROFS";
  file.exe = "/server";
  e.files = {file};
  return e;
}

// Every element that is opened is closed, in order; void elements aside.
void expect_balanced(const std::string& html) {
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    std::string tag = html.substr(at + 1, html.find('>', at) - at - 1);
    std::string name = tag.substr(tag[0] == '/' ? 1 : 0, tag.find(' '));
    if (name[0] == '!' || name == "meta") continue;
    if (tag[0] != '/') {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << tag;
    EXPECT_EQ(open.back(), name);
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
}

}  // namespace

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

TEST(Summary, GroupsWhatWasJudgedAlikeAndStillNamesEach) {
  Proof proof = sample();
  proof.verdicts.clear();
  std::vector<std::string> names = proof.platform.default_capabilities.names();
  for (const std::string& name : names) {
    proof.verdicts.push_back(verdict_of(Axis::kCapability, name, Kind::kUnneeded, "never used"));
  }
  proof.verdicts.back().kind = Kind::kNeeded;
  std::vector<Row> rows = table_rows(proof);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].privilege, "capability/" + names.back());
  EXPECT_EQ(rows[1].privilege, "13 capabilities");
  EXPECT_EQ(rows[1].verdicts.size(), 13u);
  std::string text = summary(proof, {});
  for (const std::string& name : names) EXPECT_THAT(text, HasSubstr(name));
}

TEST(Summary, KeepsToItsWidth) {
  Proof proof = sample();
  proof.verdicts[0].because =
      "because of a rather long chain of events, told in small words, "
      "which goes on and on until every terminal is too narrow for it";
  for (int width : {72, 80, 120}) {
    for (const std::string& line : base::split(summary(proof, {false, width, "", {}}), '\n')) {
      EXPECT_LE(line.size(), static_cast<size_t>(width)) << line;
    }
  }
}

TEST(Summary, ColoursVerdictsOnlyWhenAsked) {
  EXPECT_THAT(summary(sample(), {true, 100, "", {}}), HasSubstr("\x1b[32munneeded"));
}

TEST(Summary, WhatAContainerSaidCannotSteerTheTerminal) {
  Proof proof = sample();
  proof.verdicts[0].because = "HTTP 500: \x1b]0;owned\x07\rgone";
  proof.trials[0].why = "\x1b[2J";
  EXPECT_THAT(summary(proof, {}), Not(testing::ContainsRegex("[\x1b\x07\r]")));
  EXPECT_THAT(trial_line(proof.trials[0], {}), Not(HasSubstr("\x1b")));
}

TEST(Summary, AnUnconfirmedProofIsToBeFinishedFirst) {
  Proof proof = sample();
  proof.confirmed = proof.minimal = false;
  proof.not_minimal_because = "the budget ended";
  std::string text = summary(proof, {false, 100, "out", {"proof.json"}});
  EXPECT_THAT(text, HasSubstr("Not confirmed: the budget ended"));
  EXPECT_THAT(text, HasSubstr("--resume"));
  EXPECT_THAT(text, Not(HasSubstr("pare emit")));
}

TEST(View, TheMostDangerousLossComesFirstAndIsToldOnce) {
  Proof proof = sample();
  proof.verdicts = {verdict_of(Axis::kWrite, "/a", Kind::kUnneeded, ""),
                    verdict_of(Axis::kWrite, "/b", Kind::kUnneeded, ""),
                    verdict_of(Axis::kCapability, "SYS_ADMIN", Kind::kUnneeded, ""),
                    verdict_of(Axis::kUser, "root", Kind::kNeeded, "")};
  std::vector<Loss> gone = losses(proof);
  ASSERT_EQ(gone.size(), 2u);
  EXPECT_THAT(gone[0].privileges, ElementsAre("capability/SYS_ADMIN"));
  EXPECT_THAT(gone[1].privileges, ElementsAre("write:/a", "write:/b"));
}

TEST(View, APathThatNoSwitchClosesIsNotLost) {
  Proof proof = sample();
  proof.verdicts = {verdict_of(Axis::kEndpoint, "GET /slots", Kind::kUnneeded, ""),
                    verdict_of(Axis::kEndpoint, "GET /props", Kind::kUnneeded, "")};
  proof.verdicts[0].fix = verdict::Fix{"start it with --no-slots", "argument=--no-slots"};
  std::vector<Loss> gone = losses(proof);
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_THAT(gone[0].privileges, ElementsAre("endpoint/GET /slots"));
}

TEST(View, GapsNameWhatThePlatformCannotEnforce) {
  Proof proof = sample();
  proof.policy.pids_max = 9;
  proof.loss.events = 3;
  proof.loss.maps = {"files"};
  std::string gaps = base::join(not_shown(proof), "\n");
  EXPECT_THAT(gaps, HasSubstr("no field for a limit of processes"));
  EXPECT_THAT(gaps, HasSubstr("3 events; full: files"));
  EXPECT_THAT(gaps, HasSubstr("no list was proved"));
  EXPECT_THAT(gaps, HasSubstr("the checks were infer"));
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

TEST(Html, IsOneFileThatLoadsNothing) {
  evidence::Evidence evidence = facts();
  std::string page = html(sample(), &evidence);
  expect_balanced(page);
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(testing::ContainsRegex("(src|href)=")));
  EXPECT_THAT(page, Not(HasSubstr("url(")));
  EXPECT_THAT(page, HasSubstr("Confirmed and minimal"));
  EXPECT_THAT(page, HasSubstr("trial 2 (confirm) without user/root: pass"));
  EXPECT_THAT(page, HasSubstr("create /cache/&lt;b&gt; by /server, uid 0: EROFS"));
}

TEST(Html, TextIsNeverMarkup) {
  Proof proof = sample();
  proof.target.image = "<img src=x onerror=alert(1)>";
  proof.verdicts[0].because = "body was \"<script>alert('x')</script>\" & more";
  std::string page = html(proof, nullptr);
  expect_balanced(page);
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; &amp; more"));
}

TEST(Markdown, RowsStayRows) {
  Proof proof = sample();
  proof.verdicts[0].because = "a | b\nc `d` <e>";
  evidence::Evidence evidence = facts();
  std::string text = markdown(proof, &evidence);
  EXPECT_THAT(text, HasSubstr("| `capability/NET_RAW` | yes | no | **unneeded** | "
                              "a \\| b c \\`d\\` \\<e\\> |\n"));
  EXPECT_THAT(text, HasSubstr("- rootfs/write: trial 2; e7 create /cache/\\<b\\>"));
}

TEST(Diff, TellsLooserFromTighter) {
  Proof older = sample(), newer = sample();
  older.policy.no_new_privileges = newer.policy.no_new_privileges = true;
  older.policy.user = {1000, 1000, {}};
  older.policy.rootfs_writable = true;
  newer.policy.rootfs_writable = false;
  newer.policy.capabilities = privilege::CapabilitySet{"NET_RAW"};
  newer.verdicts[0].because = "check infer failed: HTTP 500";
  older.policy.seccomp = privilege::SeccompProfile{"x86_64", "EPERM", {}, {"read", "write"}, {}};
  newer.policy.seccomp = privilege::SeccompProfile{"x86_64", "EPERM", {}, {"mmap", "read"}, {}};
  older.policy.pids_max = 64;
  newer.runtime = "runc 1.3";
  Diff diff = compare(older, newer);
  EXPECT_TRUE(diff.looser());
  EXPECT_EQ(diff_text(diff, false),
            "+ capability/NET_RAW: not granted -> granted (check infer failed: HTTP 500)\n"
            "+ user/root: not granted -> granted (flaky)\n"
            "+ system calls: also mmap\n"
            "+ processes: 64 -> no limit\n"
            "- rootfs/write: granted -> not granted (it writes /cache)\n"
            "- system calls: no longer write\n"
            "~ user: 1000:1000 -> 0:0\n"
            "~ runtime: unknown -> runc 1.3\n");
  base::Json json = to_json(diff);
  EXPECT_EQ(json["schema"], "pare.diff/v1");
  EXPECT_EQ(json["looser"], true);
  EXPECT_EQ(json["changes"][0]["direction"], "looser");
  EXPECT_FALSE(compare(newer, newer).looser());
  EXPECT_EQ(diff_text(compare(newer, newer), false), "The two proofs say the same.\n");
}

TEST(Diff, NarrowerArgumentsAreTighter) {
  Proof older = sample(), newer = sample();
  older.policy.seccomp = privilege::SeccompProfile{"x86_64", "EPERM", {}, {"socket"}, {}};
  newer.policy.seccomp = older.policy.seccomp;
  newer.policy.seccomp->arguments = {{"socket", 0, 0xffffffff, {1, 2}}};
  EXPECT_EQ(diff_text(compare(older, newer), false),
            "- system call arguments: any -> socket 0&0xffffffff in 1 2\n");
  EXPECT_TRUE(compare(newer, older).looser());
}

TEST(Diff, FewerValuesOfAnArgumentAreTighter) {
  Proof older = sample(), newer = sample();
  older.policy.seccomp = privilege::SeccompProfile{"x86_64", "EPERM", {}, {"clone", "socket"}, {}};
  older.policy.seccomp->arguments = {{"clone", 0, 0x7e020080, {0}},
                                     {"socket", 0, 0xffffffff, {1, 2}}};
  newer.policy.seccomp = older.policy.seccomp;
  newer.policy.seccomp->arguments[1].values = {2};
  EXPECT_EQ(diff_text(compare(older, newer), false),
            "- system call arguments: clone 0&0x7e020080 in 0; socket 0&0xffffffff in 1 2 -> "
            "clone 0&0x7e020080 in 0; socket 0&0xffffffff in 2\n");
  EXPECT_TRUE(compare(newer, older).looser());
  // The whole call is gone, and its entry with it.
  newer.policy.seccomp->syscalls = {"socket"};
  newer.policy.seccomp->arguments.erase(newer.policy.seccomp->arguments.begin());
  EXPECT_FALSE(compare(older, newer).looser());
  EXPECT_TRUE(compare(newer, older).looser());
  // Other bits of the same argument say nothing of the older ones.
  newer = older;
  newer.policy.seccomp->arguments[1].mask = 1;
  EXPECT_TRUE(compare(older, newer).looser());
}

TEST(Diff, AProofThatIsWorthLessIsDrift) {
  Proof worse = sample();
  worse.minimal = false;
  worse.not_minimal_because = "the budget ended";
  EXPECT_TRUE(compare(sample(), worse).looser());
  EXPECT_FALSE(compare(worse, sample()).looser());
}

TEST(Diff, AChangedVerdictUnderTheSamePolicyIsTold) {
  Proof newer = sample();
  newer.verdicts[0].kind = Kind::kUnproven;
  Diff diff = compare(sample(), newer);
  ASSERT_EQ(diff.changes.size(), 1u);
  EXPECT_EQ(diff.changes[0].before, "unneeded");
  EXPECT_EQ(diff.changes[0].after, "unproven");
}

TEST(Vendor, SaysWhatItIsWhatItDidAndHowToSeeItAgain) {
  Proof proof = sample();
  proof.target.kind = target::Kind::kImage;
  proof.target.facts.digest = "sha256:abc";
  proof.target.written = {"docker", "run", "team/server:1"};
  proof.findings = {{"egress-dropped", "warning", "where packets are dropped, it hangs", {}}};
  evidence::Evidence evidence = facts();
  evidence::EgressFact call;
  call.destination = "203.0.113.9";
  call.port = 443;
  call.name = "telemetry.vendor.test";
  call.attempts = 50;
  call.outcome = "unreachable";
  call.period_ms = 200;
  evidence.egress = {call};
  evidence.dns = {{"telemetry.vendor.test", "A", 50, {}}, {"only|asked.test", "AAAA", 3, {}}};
  evidence.log.bytes_per_second = 70;
  evidence.log.repeated = {{"retrying in # s", 40}};
  const std::string text = vendor(proof, &evidence, nullptr);
  EXPECT_THAT(text, HasSubstr("| digest | `sha256:abc` |"));
  EXPECT_THAT(text, HasSubstr("| `telemetry.vendor.test` | 443/tcp | 50 | unreachable | 0.2 s |"));
  EXPECT_THAT(text, HasSubstr("| `only\\|asked.test` | DNS AAAA | 3 | asked for, never reached |"));
  EXPECT_THAT(text, HasSubstr("- 40 times `retrying in # s`"));
  EXPECT_THAT(text, HasSubstr("it hangs"));
  EXPECT_THAT(text, HasSubstr("it writes /cache; removed by: mount a tmpfs at /cache; create"));
  EXPECT_THAT(text,
              HasSubstr("    pare prove --for kubernetes --check http://:8000/infer -- docker run "
                        "team/server:1\n"));
  EXPECT_THAT(text, Not(HasSubstr("Opt-out")));
  const auto telemetry = nlohmann::json::parse(
      R"({"breakage": [{"egress": "silent", "ready": false, "failed": [], "why": "timed out"},
                       {"egress": "refused", "ready": true, "readySeconds": 0.5,
                        "latencySeconds": {"infer": 0.25}}],
          "advice": "refuse, do not drop",
          "variables": [{"variable": "X_OFF", "off": "1", "verdict": "partial", "because": "5"}]})");
  const std::string more = vendor(proof, nullptr, &telemetry);
  EXPECT_THAT(more, HasSubstr("| silent | never |"));
  EXPECT_THAT(more, HasSubstr("| refused | after 0.5 s | none | infer 0.250 s |"));
  EXPECT_THAT(more, HasSubstr("refuse, do not drop"));
  EXPECT_THAT(more, HasSubstr("| `X_OFF=1` | partial | 5 |"));
  EXPECT_THAT(more, HasSubstr("pare telemetry --breakage"));
  EXPECT_THAT(more, HasSubstr("Not recorded"));
}

}  // namespace pare::report
