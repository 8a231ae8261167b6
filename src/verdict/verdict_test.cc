#include "verdict/verdict.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace pare::verdict {

using base::Json;

static Proof sample() {
  Proof p;
  p.pare_version = "0.1.0";
  p.confirmed = p.minimal = true;
  p.platform = privilege::find_platform("kubernetes").value();
  p.target.rootfs = "/srv/root";
  p.target.argv = {"/server", "--port", "8000"};
  p.asked = target::asked_policy(p.target, p.platform);
  p.checks = {{"infer", "http://:8000/infer"}};
  Verdict v;
  v.privilege = {privilege::Axis::kWrite, "/cache"};
  v.kind = Kind::kFixable;
  v.fix = Fix{"mount a tmpfs at /cache", "tmpfs=/cache"};
  v.trials = {4, 5};
  v.evidence = {"e12"};
  p.verdicts = {v};
  p.policy.user = {1000, 1000, {}};
  p.policy.rootfs_writable = false;
  p.policy.writable = {{"/cache", "tmpfs", 4096, false, false}};
  p.policy.ports = {{8000, "tcp", "inference"}};
  p.policy.seccomp = privilege::SeccompProfile{"x86_64", "EPERM", {"clone3"}, {"read"}, {"read"}};
  p.policy.pids_max = 64;
  p.trials = {{1, "baseline", "pass", {}, {}, "", 1.9, 1}};
  p.findings = {{"beacon", "warning", "text", {"e40"}}};
  return p;
}

TEST(ProofJson, RoundTripsToTheByte) {
  Json json = to_json(sample());
  auto back = proof_from_json(json, "proof.json");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back).dump(), json.dump());
}

TEST(ProofJson, HoldsTheFieldsThatScriptsReadUnderTheirNames) {
  Json json = to_json(sample());
  EXPECT_EQ(json["schema"], "pare.proof/v1");
  EXPECT_EQ(json["verdicts"][0]["privilege"], "write:/cache");
  EXPECT_EQ(json["policy"]["rootfs"], "ro");
  EXPECT_EQ(json["policy"]["user"]["uid"], 1000);
  EXPECT_EQ(json["policy"]["seccomp"]["default"], "EPERM");
  EXPECT_EQ(json["target"]["asked"]["user"], "root");
  EXPECT_EQ(json["target"]["asked"]["capabilities"].size(), 14u);
}

TEST(ProofJson, BadProofsAreNamedNotGuessed) {
  Json json = to_json(sample());
  json["verdicts"][0]["verdict"] = "perhaps";
  auto bad = proof_from_json(json, "p.json");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind, ErrorKind::kUnread);
  EXPECT_NE(bad.error().message.find("perhaps"), std::string::npos);
  json.erase("policy");
  EXPECT_FALSE(proof_from_json({{"schema", 5}}, "p.json"));
  EXPECT_FALSE(proof_from_json(json, "p.json"));
}

TEST(ProofJson, ABadPolicySaysInWhichFile) {
  Json json = to_json(sample());
  json["policy"]["capabilities"] = 5;
  EXPECT_EQ(proof_from_json(json, "out/proof.json").error().message.find("out/proof.json: policy"),
            0u);
}

TEST(ProofJson, NumbersThatDoNotFitAreNotWrapped) {
  Proof p = sample();
  p.target.ports = {{"", 8000, 8000, "tcp"}};
  p.policy.egress = {{"hub.test", 443}};
  p.policy.seccomp->arguments = {{"socket", 0, 0xffffffff, {1, 2}}};
  const Json json = to_json(p);
  ASSERT_TRUE(proof_from_json(json, "p.json"));
  const std::pair<const char*, Json> wrong[] = {
      {"/policy/ports/0/port", 70000},
      {"/policy/egress/0/port", -1},
      {"/policy/user/uid", 4294967296},
      {"/policy/user/gid", 4294967296},
      {"/policy/user/groups", {4294967296}},
      {"/policy/seccomp/arguments/0/index", 4294967296},
      {"/policy/pidsMax", 1.5},
      {"/policy/memlockBytes", -1},
      {"/askedUser/uid", 4294967296},
      {"/target/ports/0/port", 70000},
      {"/target/ports/0/hostPort", 70000},
  };
  for (const auto& [field, value] : wrong) {
    Json one = json;
    one[Json::json_pointer(field)] = value;
    auto read = proof_from_json(one, "p.json");
    ASSERT_FALSE(read) << field << " " << value;
    EXPECT_EQ(read.error().kind, ErrorKind::kUnread);
    EXPECT_NE(read.error().message.find("cannot be"), std::string::npos) << read.error().message;
  }
}

}  // namespace pare::verdict
