#include <gtest/gtest.h>

#include "check/testing_server.h"

namespace pare::check {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

class ReadyTest : public CheckTest {
 protected:
  Ready wait(
      const std::vector<std::string>& texts, Patience patience,
      const std::function<bool()>& alive = [] { return true; }) {
    auto specs = parse_specs(texts);
    EXPECT_TRUE(specs) << specs.error().message;
    auto ready = wait_ready(*specs, subject_, patience, alive);
    EXPECT_TRUE(ready) << ready.error().message;
    return ready.value_or(Ready{});
  }
  static Clock::time_point after(milliseconds delay) { return Clock::now() + delay; }
};

TEST_F(ReadyTest, AServerIsReadyWithinMillisecondsOfListening) {
  double best = 1;
  // A busy host delays threads too: the best of a few tries is what the polling costs.
  for (int i = 0; i < 5 && best > 0.03; ++i) {
    std::optional<FakeServer> server;
    Clock::time_point listening;
    std::thread later([&] {
      std::this_thread::sleep_for(milliseconds(300));
      server.emplace(subject_.pid, 8000, always(200, "x"));
      listening = Clock::now();
    });
    Ready ready = wait({"http://:8000/"}, {milliseconds(20'000)});
    Clock::time_point end = Clock::now();
    later.join();
    best = std::min(best, std::chrono::duration<double>(end - listening).count());
    EXPECT_TRUE(ready.pass) << ready.why;
    EXPECT_GT(ready.seconds, 0.29);
  }
  EXPECT_LE(best, 0.03);
}

TEST_F(ReadyTest, LoadingIsWaitedFor) {
  Clock::time_point loaded = after(milliseconds(200));
  FakeServer server(subject_.pid, 8000, [&](const FakeRequest&) {
    return FakeResponse{.status = Clock::now() < loaded ? 503 : 200, .body = "x"};
  });
  Ready ready = wait({"http://:8000/;batch=8;repeat=9"}, {milliseconds(5000)});
  EXPECT_TRUE(ready.pass) << ready.why;
  EXPECT_GT(ready.answering_seconds, 0.1);
  // One light request a poll, not the batch and its repeats.
  int polls = server.requests();
  EXPECT_LE(polls, 200 / 5 + 2);
}

TEST_F(ReadyTest, EveryCheckIsWaitedFor) {
  Clock::time_point second = after(milliseconds(150));
  FakeServer first_server(subject_.pid, 8000, always(200, "x"));
  FakeServer second_server(subject_.pid, 8001, [&](const FakeRequest&) {
    return FakeResponse{.body = Clock::now() < second ? "" : "x"};
  });
  Ready ready = wait({"http://:8000/", "http://:8001/"}, {milliseconds(5000)});
  EXPECT_TRUE(ready.pass) << ready.why;
  EXPECT_GE(Clock::now(), second);
  EXPECT_EQ(first_server.requests(), 1) << "what has passed is not asked again";
}

TEST_F(ReadyTest, TheLimitEndsItWithTheLastFailure) {
  Ready ready = wait({"http://:8000/health"}, {milliseconds(100)});
  EXPECT_FALSE(ready.pass);
  EXPECT_EQ(ready.name, "health");
  EXPECT_EQ(ready.why, "not ready within 100 ms: connection refused");
  EXPECT_LT(ready.seconds, 0.5);
}

TEST_F(ReadyTest, AHangingServerDoesNotOutlastTheLimit) {
  FakeServer server(subject_.pid, 8000, [](const FakeRequest&) {
    std::this_thread::sleep_for(milliseconds(2000));
    return FakeResponse{.body = "x"};
  });
  Ready ready = wait({"http://:8000/"}, {milliseconds(200)});
  EXPECT_FALSE(ready.pass);
  EXPECT_LT(ready.seconds, 1.8);
}

TEST_F(ReadyTest, AServerThatOnlyAnswersWronglyIsGivenUpEarly) {
  FakeServer server(subject_.pid, 8000, always(500, "broken"));
  Ready ready = wait({"http://:8000/"}, {milliseconds(60'000), milliseconds(150)});
  EXPECT_FALSE(ready.pass);
  EXPECT_EQ(ready.why, "HTTP 500 (for 150 ms since its first answer)");
  EXPECT_LT(ready.seconds, 2);
}

TEST_F(ReadyTest, ADeadContainerIsNotWaitedFor) {
  int asked = 0;
  Ready ready = wait({"http://:8000/"}, {milliseconds(60'000)}, [&] { return ++asked < 5; });
  EXPECT_EQ(ready.why, "the container exited before it was ready");
  EXPECT_LT(ready.seconds, 5);
  process_.end();
  EXPECT_EQ(wait({"http://:8000/"}, {milliseconds(60'000)}).why,
            "the container exited before it was ready");
}

TEST_F(ReadyTest, APortThatThePolicyHoldsBackIsNotWaitedFor) {
  Ready ready = wait({"http://:9000/"}, {milliseconds(60'000)});
  EXPECT_EQ(ready.why, "port 9000 is not reachable under this policy");
  EXPECT_LT(ready.seconds, 5);
}

TEST_F(ReadyTest, WithoutAnyCheckNothingIsReady) {
  EXPECT_FALSE(wait_ready({}, subject_, {}, nullptr));
}

TEST_F(ReadyTest, AServerOnIpv6AloneBecomesReady) {
  FakeServer server(subject_.pid, 8000, always(200, "x"), "::");
  Ready ready = wait({"http://:8000/"}, {milliseconds(5000)});
  EXPECT_TRUE(ready.pass) << ready.why;
}

}  // namespace
}  // namespace pare::check
