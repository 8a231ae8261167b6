#include "evidence/evidence.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace pare::evidence {

using base::Json;

TEST(EvidenceJson, RoundTripsToTheByte) {
  Evidence e;
  e.ready = "2026-01-01T00:00:00Z";
  e.syscalls = {{"read", 3, 0, Phase::kPull, true}, {"mount", 0, 2, Phase::kPull, false}};
  e.syscalls[0].exes = {{"/bin/server", 2}, {"/bin/sh", 1}};
  e.syscalls.push_back({"i386:open", 1, 0, Phase::kPull, false, "i386", {}});
  e.arguments = {{"ioctl", {0x5401}, "/dev/tty", "EPERM", 2, Phase::kServe}};
  e.capabilities = {{"CHOWN",
                     2,
                     0,
                     false,
                     Phase::kPull,
                     false,
                     {{"e12", "fchownat", "/data", "/bin/server", 0, true, 1000, 1000}}}};
  e.files = {{"e3", "/cache/x", {"create", "write"}, "EROFS", "/bin/server", 0, Phase::kServe}};
  e.listeners = {
      {8000, "tcp", "0.0.0.0", "openai", "inference", {{"/metrics", "GET", 200, "metrics"}}}};
  e.egress = {{"e40", "203.0.113.9", 443, "tcp", "telemetry.vendor.test", 50, "unreachable",
               Phase::kServe, 200}};
  e.dns = {{"telemetry.vendor.test", "A", 50}};
  e.io_uring = {{"OPENAT", "/data/x", 1}};
  e.execs = {{"/bin/server", 1, std::nullopt}};
  e.peaks = {12, 1, 2, 9};
  e.areas = {{"/tmp", 4096}};
  e.log = {10, {{"retrying", 300}}};
  e.loss = {4, {"files"}};
  Json json = to_json(e);
  auto back = evidence_from_json(json, "evidence.json");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back).dump(), json.dump());
  EXPECT_TRUE(back->loss.any());
}

TEST(EvidenceJson, RefusesOtherSchemasAndWrongTypes) {
  EXPECT_EQ(evidence_from_json(Json{{"schema", "x"}}, "f").error().kind, ErrorKind::kUnread);
  Json json = to_json(Evidence{});
  Evidence some;
  some.listeners.resize(1);
  some.files.resize(1);
  const std::pair<const char*, Json> wrong[] = {
      {"/listeners/0/port", 70000},
      {"/listeners/0/port", -1},
      {"/files/0/uid", 4294967296},
      {"/files/0/count", 1.5},
      {"/files/0/replicas", Json::array({0})},
      {"/loss/events", -1},
  };
  for (const auto& [field, value] : wrong) {
    Json one = to_json(some);
    one[Json::json_pointer(field)] = value;
    auto read = evidence_from_json(one, "evidence.json");
    ASSERT_FALSE(read) << field << " " << value;
    EXPECT_EQ(read.error().kind, ErrorKind::kUnread);
    EXPECT_NE(read.error().message.find("evidence.json: '"), std::string::npos);
  }
  json["peaks"] = 3;
  auto bad = evidence_from_json(json, "evidence.json");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("evidence.json"), std::string::npos);
}

TEST(EvidenceJson, NamesOfFilesNeedNotBeText) {
  Evidence e;
  e.files.resize(1);
  e.files[0].path = "/tmp/\xff";
  EXPECT_EQ(to_json(e)["files"][0]["path"], "/tmp/\\xff");
  EXPECT_FALSE(to_json(e).dump().empty());
}

}  // namespace pare::evidence
