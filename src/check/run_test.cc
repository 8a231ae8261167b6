#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check/testing_server.h"

namespace pare::check {
namespace {

using std::chrono::milliseconds;

TEST_F(CheckTest, AGoodAnswerPassesAndIsKept) {
  FakeServer server(subject_.pid, 8000, always(200, "{\"ok\": true}"));
  CheckResult result = check("http://:8000/health;match=\"ok\"\\s*:\\s*true");
  EXPECT_TRUE(result.pass) << result.why;
  EXPECT_EQ(result.name, "health");
  EXPECT_EQ(result.body, "{\"ok\": true}");
  EXPECT_EQ(result.latencies.size(), 1u);
}

TEST_F(CheckTest, WhatIsSentIsWhatWasAskedFor) {
  FakeServer server(subject_.pid, 8000, always(200, "x"));
  EXPECT_EQ(verdict("curl http://localhost:8000/v1/x?a=b -H 'X-A: 1' -H 'X-B:' -d '{\"q\": 1}'"),
            "pass");
  ASSERT_EQ(server.seen().size(), 1u);
  FakeRequest seen = server.seen().front();
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.path, "/v1/x?a=b");
  EXPECT_EQ(seen.body, "{\"q\": 1}");
  EXPECT_NE(seen.headers.find("X-A: 1\r\n"), std::string::npos);
  EXPECT_NE(seen.headers.find("X-B:\r\n"), std::string::npos);
  EXPECT_NE(seen.headers.find("Host: 192.0.2.1:8000\r\n"), std::string::npos);
}

TEST_F(CheckTest, FailuresAreOneClause) {
  FakeServer server(subject_.pid, 8000, [](const FakeRequest& request) {
    if (request.path == "/500") return FakeResponse{.status = 500, .body = "no"};
    if (request.path == "/302") return FakeResponse{.status = 302, .body = "elsewhere"};
    if (request.path == "/204") return FakeResponse{.raw = "HTTP/1.1 204 x\r\n\r\n"};
    if (request.path == "/blank") return FakeResponse{.body = " \r\n"};
    if (request.path == "/cut") {
      return FakeResponse{.raw = "HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\nshort"};
    }
    if (request.path == "/close") return FakeResponse{.raw = "\r"};
    if (request.path == "/ssh") return FakeResponse{.raw = "SSH-2.0-OpenSSH_9.2\r\n"};
    return FakeResponse{};
  });
  EXPECT_EQ(verdict("http://:8000/500"), "HTTP 500");
  EXPECT_EQ(verdict("http://:8000/500;expect=500"), "pass");
  EXPECT_EQ(verdict("http://:8000/302"), "HTTP 302");
  EXPECT_EQ(verdict("http://:8000/empty"), "empty body");
  EXPECT_EQ(verdict("http://:8000/blank"), "empty body");
  EXPECT_EQ(verdict("http://:8000/empty;allow-empty"), "pass");
  EXPECT_EQ(verdict("http://:8000/empty;match=^$"), "pass");
  EXPECT_EQ(verdict("http://:8000/204"), "empty body");
  EXPECT_EQ(verdict("http://:8000/204;expect=204"), "pass");
  EXPECT_EQ(verdict("http://:8000/204;expect=200"), "HTTP 204 instead of 200");
  EXPECT_EQ(verdict("http://:8000/blank;match=ready"), "body does not match /ready/");
  EXPECT_EQ(verdict("http://:8000/cut"), "connection closed in the middle of the answer");
  EXPECT_EQ(verdict("http://:8000/ssh"), "the answer is not HTTP");
  EXPECT_EQ(verdict("http://:8001/"), "connection refused");
  EXPECT_EQ(verdict("http://:9999/"), "port 9999 is not reachable under this policy");
}

// Kubernetes could not reach it either.
TEST_F(CheckTest, AServerOnLoopbackAloneDoesNotPass) {
  FakeServer server(subject_.pid, 8000, always(200, "fine"), "127.0.0.1");
  EXPECT_EQ(verdict("http://:8000/"), "connection refused");
  EXPECT_EQ(verdict("curl http://127.0.0.1:8000/"), "connection refused");
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(CheckTest, AServerOnIpv6AloneIsFound) {
  FakeServer server(subject_.pid, 8000, always(200, "fine"), "::");
  EXPECT_EQ(verdict("http://:8000/"), "pass");
}

TEST_F(CheckTest, ChecksWorkWhateverRefusedEgressMeets) {
  FakeServer server(subject_.pid, 8000, always(200, "fine"));
  for (Egress kind : {Egress::kUnreachable, Egress::kDropped, Egress::kRefused}) {
    Status set = set_refusal(subject_, kind);
    ASSERT_TRUE(set) << set.error().message;
    EXPECT_EQ(verdict("http://:8000/"), "pass");
  }
}

TEST_F(CheckTest, ASlowServerFailsAtItsLimit) {
  FakeServer server(subject_.pid, 8000, [](const FakeRequest& request) {
    if (request.path == "/slow") std::this_thread::sleep_for(milliseconds(1000));
    return FakeResponse{.body = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\nq\nr\ns\nt\n",
                        .chunks_apart = request.path == "/drip"};
  });
  CheckResult slow = check("http://:8000/slow;within=100ms");
  EXPECT_EQ(slow.why, "no answer within 100 ms");
  EXPECT_LT(slow.seconds, 0.9);
  EXPECT_EQ(verdict("http://:8000/slow;within=20s"), "pass");
  EXPECT_EQ(verdict("http://:8000/drip;within=50ms"), "the answer did not end within 50 ms");
}

// Fails only while four requests are being served at once.
Handler breaks_at_four() {
  auto busy = std::make_shared<std::atomic<int>>(0);
  auto broke = std::make_shared<std::atomic<bool>>(false);
  return [busy, broke](const FakeRequest&) {
    if (++*busy == 4) *broke = true;
    for (int i = 0; i < 100 && !*broke; ++i) std::this_thread::sleep_for(milliseconds(1));
    bool bad = *broke;
    --*busy;
    return FakeResponse{.status = bad ? 500 : 200, .body = "x"};
  };
}

TEST_F(CheckTest, ABatchSeesWhatOnlyFourAtOnceBreak) {
  FakeServer server(subject_.pid, 8000, breaks_at_four());
  EXPECT_EQ(verdict("http://:8000/"), "pass");
  EXPECT_EQ(verdict("http://:8000/;repeat=5;name=x"), "pass");
  EXPECT_EQ(verdict("http://:8000/;batch=3"), "pass");
  EXPECT_EQ(verdict("http://:8000/;batch=4"), "4 of 4 at once failed: HTTP 500");
}

TEST_F(CheckTest, PartOfABatchFailing) {
  std::atomic<int> count = 0;
  FakeServer server(subject_.pid, 8000, [&](const FakeRequest&) {
    return FakeResponse{.status = count++ == 2 ? 503 : 200, .body = "x"};
  });
  CheckResult result = check("http://:8000/;batch=6");
  EXPECT_EQ(result.why, "1 of 6 at once failed: HTTP 503");
  EXPECT_EQ(result.latencies.size(), 6u);
}

TEST_F(CheckTest, RepeatsStopAtTheFirstFailure) {
  std::atomic<int> count = 0;
  FakeServer server(subject_.pid, 8000, [&](const FakeRequest&) {
    return FakeResponse{.status = ++count == 3 ? 500 : 200, .body = "x"};
  });
  EXPECT_EQ(verdict("http://:8000/;repeat=5"), "request 3 of 5: HTTP 500");
  EXPECT_EQ(count, 3);
}

TEST_F(CheckTest, AProxyOfTheCallersEnvironmentIsIgnored) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  FakeServer server(subject_.pid, 8000, always(200, "x"));
  EXPECT_EQ(verdict("http://:8000/"), "pass");
  unsetenv("http_proxy");
}

TEST_F(CheckTest, ExecPassesWithExitCodeZero) {
  std::vector<std::string> ran;
  int code = 0;
  EXPECT_EQ(verdict("exec:true"), "programs cannot be run inside this container");
  subject_.exec = [&](const std::vector<std::string>& argv, milliseconds limit) -> Result<int> {
    ran = argv;
    EXPECT_EQ(limit, milliseconds(5000));
    if (code < 0) return fail(ErrorKind::kHost, "exec failed: permission denied");
    return code;
  };
  EXPECT_EQ(verdict("exec:probe 'a b';within=5s"), "pass");
  EXPECT_EQ(ran, (std::vector<std::string>{"probe", "a b"}));
  code = 3;
  EXPECT_EQ(verdict("exec:probe;within=5s"), "probe exited with 3");
  code = -1;
  EXPECT_EQ(verdict("exec:probe;within=5s"), "exec failed: permission denied");
}

TEST_F(CheckTest, AContainerThatHasEndedIsAFailureNotAnError) {
  process_.end();
  EXPECT_EQ(verdict("http://:8000/"), "the container has ended");
}

TEST_F(CheckTest, ListenersAreReadWithTheirAddresses) {
  FakeServer open(subject_.pid, 8000, always(200, "x"));
  FakeServer loopback(subject_.pid, 8001, always(200, "x"), "127.0.0.1");
  FakeServer v6(subject_.pid, 8002, always(200, "x"), "::");
  FakeServer loopback6(subject_.pid, 8003, always(200, "x"), "::1");
  auto found = listeners(subject_);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(*found, (std::vector<Listener>{{8000, "0.0.0.0", false},
                                           {8001, "127.0.0.1", true},
                                           {8002, "::", false},
                                           {8003, "::1", true}}));
  EXPECT_EQ(listening_ports(subject_).value(), (std::vector<uint16_t>{8000, 8002}));
}

TEST(HostNetwork, NothingIsChangedInTheCallersOwnNamespace) {
  Subject subject;
  subject.pid = getpid();
  Status prepared = prepare_network(subject);
  ASSERT_FALSE(prepared);
  EXPECT_NE(prepared.error().message.find("shares the host's network"), std::string::npos);
  EXPECT_FALSE(set_refusal(subject, Egress::kRefused));
  subject.address = "127.0.0.1";
  EXPECT_TRUE(prepare_network(subject));
}

int listen_on_loopback(UniqueFd& fd) {
  fd.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof to;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&to), size) != 0) return 0;
  if (listen(fd.get(), 1) != 0) return 0;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&to), &size);
  return ntohs(to.sin_port);
}

// On the host's network many listen; only a container's own are its listeners.
TEST(HostNetwork, OnlyTheContainersOwnListenersAreTold) {
  UniqueFd other;
  int others_port = listen_on_loopback(other);
  ASSERT_NE(others_port, 0);
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fork() == 0) {  // a descendant listens
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      other.reset();
      UniqueFd mine;
      int port = listen_on_loopback(mine);
      if (write(ready[1], &port, sizeof port) < 0) _exit(1);
      while (true) pause();
    }
    other.reset();
    while (true) pause();
  }
  int port = 0;
  ASSERT_EQ(read(ready[0], &port, sizeof port), static_cast<ssize_t>(sizeof port));
  Subject subject;
  subject.pid = child;
  auto found = listeners(subject);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().port, port);
  EXPECT_TRUE(found->front().loopback);
}

}  // namespace
}  // namespace pare::check
