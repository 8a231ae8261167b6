#include "check/grpc.h"

#include <gtest/gtest.h>

#include "check/testing_server.h"

namespace pare::check {
namespace {

using std::chrono::milliseconds;

TEST(GrpcMessages, AreEncodedAsProtocolBuffersAre) {
  EXPECT_EQ(health_request(""), "");
  EXPECT_EQ(health_request("ab"),
            "\x0a\x02"
            "ab");
  EXPECT_EQ(health_request(std::string(200, 'x')).substr(0, 3), "\x0a\xc8\x01");
  EXPECT_EQ(health_status(""), 0u);
  EXPECT_EQ(health_status("\x08\x01"), 1u);
  EXPECT_EQ(health_status("\x10\x07\x08\x02"), 2u) << "fields that are not known are passed over";
  EXPECT_FALSE(health_status("\x08"));
  EXPECT_FALSE(health_status("\x0a\x01x"));
  EXPECT_FALSE(health_status("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
}

TEST(GrpcMessages, AreTakenOutOfTheirFrame) {
  EXPECT_EQ(grpc_message(std::string("\0\0\0\0\2ab", 7)), "ab");
  EXPECT_EQ(grpc_message(std::string("\0\0\0\0\0", 5)), "");
  EXPECT_FALSE(grpc_message(std::string("\0\0\0\0\3ab", 7))) << "cut short";
  EXPECT_FALSE(grpc_message(std::string("\1\0\0\0\2ab", 7))) << "compressed";
  EXPECT_FALSE(grpc_message(""));
}

// gRPC's own implementation, inside the namespace.
class GrpcTest : public CheckTest {
 protected:
  ~GrpcTest() override {
    if (server_ <= 0) return;
    kill(server_, SIGKILL);
    waitpid(server_, nullptr, 0);
  }
  void start(const char* mode) {
    if (system("/usr/bin/python3 -c 'import grpc' 2>/dev/null") != 0) {
      PARE_SKIP("python3-grpcio is not installed");
    }
    auto ns = sys::NetNs::of_process(subject_.pid);
    ASSERT_TRUE(ns);
    server_ = fork();
    if (server_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (!ns->enter()) _exit(1);
      execl("/usr/bin/python3", "python3", PARE_SOURCE_DIR "/tests/support/health_over_grpc.py",
            "8001", mode, nullptr);
      _exit(127);
    }
    auto specs = parse_specs({"grpc-health://:8001"});
    Patience patience{milliseconds(60'000), milliseconds(100)};
    auto ready = wait_ready(*specs, subject_, patience, nullptr);
    ASSERT_TRUE(ready) << ready.error().message;
    ASSERT_GT(ready->answering_seconds, 0) << ready->why;
  }
  pid_t server_ = 0;
};

TEST_F(GrpcTest, ARealServerIsAskedForItsHealth) {
  ASSERT_NO_FATAL_FAILURE(start("health"));
  if (IsSkipped()) return;
  EXPECT_EQ(verdict("grpc-health://:8001"), "pass");
  EXPECT_EQ(verdict("grpc-health://:8001;batch=4;repeat=2"), "pass");
  EXPECT_EQ(verdict("grpc-health://:8001/down"), "NOT_SERVING");
  EXPECT_EQ(verdict("grpc-health://:8001/other"), "the server does not know the service");
  EXPECT_EQ(verdict("grpc-health://:8002"), "connection refused");
  auto identity = identify(subject_, 8001);
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->speaks, "grpc");
  auto specs = detect(subject_);
  ASSERT_TRUE(specs) << specs.error().message;
  ASSERT_EQ(specs->size(), 2u);
  EXPECT_EQ(specs->front().text, "grpc-health://:8001");
}

TEST_F(GrpcTest, AServerWithoutTheHealthServiceIsTold) {
  ASSERT_NO_FATAL_FAILURE(start("none"));
  if (IsSkipped()) return;
  EXPECT_EQ(verdict("grpc-health://:8001"), "the server has no grpc.health.v1.Health");
  EXPECT_EQ(identify(subject_, 8001)->speaks, "grpc");
}

TEST_F(GrpcTest, WhatIsNotGrpcIsSaid) {
  FakeServer server(subject_.pid, 8001, always(200, "x"));
  CheckResult result = check("grpc-health://:8001;within=2s");
  EXPECT_FALSE(result.pass);
  EXPECT_FALSE(result.why.empty());
}

}  // namespace
}  // namespace pare::check
