#include <gtest/gtest.h>

#include <filesystem>

#include "check/testing_server.h"

namespace pare::check {
namespace {

using std::chrono::milliseconds;

// Answers these paths and 404 to all others.
Handler paths(std::map<std::string, std::string> bodies) {
  return [bodies = std::move(bodies)](const FakeRequest& request) {
    auto found = bodies.find(request.path);
    if (found == bodies.end()) return FakeResponse{.status = 404, .body = "not here"};
    return FakeResponse{.body = found->second};
  };
}

const std::map<std::string, std::string> kOpenai = {
    {"/", "<html>web</html>"},
    {"/health", "{\"status\":\"ok\"}"},
    {"/metrics", "# HELP x\nx 1\n"},
    {"/v1/models", R"({"data": [{"id": "tiny"}]})"},
    {"/v1/completions", R"({"choices": [{"text": "x"}]})"}};

class DetectTest : public CheckTest {
 protected:
  Identity identity(const Handler& handler) {
    FakeServer server(subject_.pid, 8000, handler);
    auto found = identify(subject_, 8000);
    EXPECT_TRUE(found) << found.error().message;
    return found.value_or(Identity{});
  }
  std::vector<std::string> detected() {
    auto specs = detect(subject_);
    EXPECT_TRUE(specs) << specs.error().message;
    std::vector<std::string> out;
    for (const Spec& spec : specs.value_or(std::vector<Spec>{})) {
      out.push_back(spec.name + " " + spec.text);
    }
    return out;
  }
  using Names = std::vector<std::string>;
};

TEST_F(DetectTest, APortIsWhatItSays) {
  const struct {
    std::map<std::string, std::string> bodies;
    const char* speaks;
    const char* role;
  } cases[] = {
      {kOpenai, "openai", "inference"},
      {{{"/v2", R"({"name": "triton", "version": "2", "extensions": []})"}}, "kserve", "inference"},
      {{{"/v2/health/live", R"({"live": true})"}}, "kserve", "inference"},
      {{{"/api/tags", R"({"models": []})"}}, "ollama", "inference"},
      {{{"/info", R"({"model_id": "x", "model_type": {"embedding": {}}})"}}, "tei", "inference"},
      {{{"/info", R"({"model_id": "x"})"}}, "tgi", "inference"},
      {{{"/v2/systemsharedmemory/status", "[]"}}, "triton-admin", "admin"},
      {{{"/metrics", "x 1\n# TYPE x counter\n"}}, "prometheus", "metrics"},
      {{{"/metrics", "# not metrics"}, {"/v1/models", "[]"}}, "http", "unknown"},
      {{}, "http", "unknown"},
  };
  for (const auto& c : cases) {
    Identity found = identity(paths(c.bodies));
    EXPECT_EQ(found.speaks, c.speaks);
    EXPECT_EQ(found.role, c.role);
    EXPECT_FALSE(found.loading);
  }
  EXPECT_TRUE(identity(always(503, "loading")).loading);
}

TEST_F(DetectTest, WhatIsNoHttp) {
  EXPECT_EQ(identify(subject_, 8000)->speaks, "silent") << "nothing listens";
  Identity ssh = identity([](const FakeRequest&) { return FakeResponse{.raw = "SSH-2.0-x\r\n"}; });
  EXPECT_EQ(ssh.speaks, "unknown");
  process_.end();
  EXPECT_FALSE(identify(subject_, 8000));
}

TEST_F(DetectTest, APortThatSaysNothingIsSilent) {
  std::atomic<bool> over = false;
  FakeServer mute(subject_.pid, 8000, [&](const FakeRequest&) {
    while (!over) std::this_thread::sleep_for(milliseconds(10));
    return FakeResponse{};
  });
  EXPECT_EQ(identify(subject_, 8000)->speaks, "silent");
  EXPECT_EQ(detected(), Names{});
  over = true;
}

// openssl(1)'s own server, which answers a page.
class TlsTest : public DetectTest {
 protected:
  ~TlsTest() override {
    if (server_ > 0) {
      kill(server_, SIGKILL);
      waitpid(server_, nullptr, 0);
    }
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  void start() {
    char name[] = "/tmp/pare-tls-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    std::string pem = directory_ + "/pem";
    std::string make =
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -days 2 -keyout " + pem +
        " -out " + pem + ".crt 2>/dev/null && cat " + pem + ".crt >> " + pem;
    if (system(make.c_str()) != 0) PARE_SKIP("openssl is not installed");
    auto ns = sys::NetNs::of_process(subject_.pid);
    ASSERT_TRUE(ns);
    server_ = fork();
    if (server_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (!ns->enter()) _exit(1);
      execlp("openssl", "openssl", "s_server", "-quiet", "-accept", "8003", "-www", "-cert",
             pem.c_str(), "-key", pem.c_str(), nullptr);
      _exit(127);
    }
    auto specs = parse_specs({"https://:8003/"});
    auto ready = wait_ready(*specs, subject_, {milliseconds(20'000)}, nullptr);
    ASSERT_TRUE(ready) << ready.error().message;
    ASSERT_TRUE(ready->pass) << ready->why;
  }
  pid_t server_ = 0;
  std::string directory_;
};

TEST_F(TlsTest, WhatIsSpokenInsideTlsIsFound) {
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped()) return;
  auto identity = identify(subject_, 8003);
  ASSERT_TRUE(identity);
  EXPECT_TRUE(identity->tls);
  EXPECT_EQ(identity->speaks, "http");
  EXPECT_EQ(verdict("http://:8003/;tls"), "pass");
  EXPECT_NE(verdict("http://:8003/"), "pass");
  EXPECT_EQ(detected(), Names{"health http://:8003/health;tls"}) << "it answers every path";
}

TEST_F(DetectTest, AKnownApiGetsItsOwnCheckAndABatch) {
  FakeServer api(subject_.pid, 8000, paths(kOpenai));
  FakeServer metrics(subject_.pid, 8002, paths({{"/metrics", "# TYPE x counter\n"}}));
  EXPECT_EQ(detected(), (Names{"openai openai://:8000", "openai-batch4 openai://:8000;batch=4"}));
}

TEST_F(DetectTest, ABatchThatTheServerNeverTookIsNotAskedFor) {
  std::atomic<int> busy = 0;
  Handler one_by_one = [&](const FakeRequest& request) {
    int now = ++busy;
    std::this_thread::sleep_for(milliseconds(20));
    --busy;
    if (now > 1) return FakeResponse{.status = 429, .body = "busy"};
    return FakeResponse{.body = kOpenai.at(request.path)};
  };
  FakeServer api(subject_.pid, 8000, one_by_one);
  EXPECT_EQ(detected(), (Names{"openai openai://:8000"}));
}

TEST_F(DetectTest, AnUnknownServerGetsItsBestPathWithABody) {
  FakeServer server(subject_.pid, 8000,
                    paths({{"/", "<html>"}, {"/healthz", "ok"}, {"/health", ""}}));
  EXPECT_EQ(detected(), Names{"healthz http://:8000/healthz"});
}

TEST_F(DetectTest, TgiIsAskedToGenerate) {
  FakeServer server(
      subject_.pid, 8000,
      paths({{"/info", R"({"model_id": "x"})"}, {"/generate", R"({"generated_text": "was a"})"}}));
  auto names = detected();
  ASSERT_EQ(names.size(), 2u);
  EXPECT_EQ(names[0].substr(0, 30), "generate http://:8000/generate");
  EXPECT_EQ(names[1].substr(0, 15), "generate-batch4");
}

TEST_F(DetectTest, NothingIsMadeOfWhatProvesNothing) {
  FakeServer empty(subject_.pid, 8000, always(200, ""));
  FakeServer metrics(subject_.pid, 8001, paths({{"/metrics", "# TYPE x counter\n"}}));
  FakeServer loopback(subject_.pid, 8002, paths(kOpenai), "127.0.0.1");
  EXPECT_EQ(detected(), Names{});
}

TEST_F(DetectTest, OnlyPortsThatThePolicyAdmitsAreLookedAt) {
  FakeServer api(subject_.pid, 9000, paths(kOpenai));
  EXPECT_EQ(detected(), Names{});
  subject_.reachable.clear();
  EXPECT_EQ(detected().size(), 2u);
}

TEST_F(DetectTest, AServerThatLoadsIsWaitedFor) {
  auto loaded = std::chrono::steady_clock::now() + milliseconds(300);
  Handler handler = [&](const FakeRequest& request) {
    if (std::chrono::steady_clock::now() < loaded && request.path != "/v1/models") {
      return FakeResponse{.status = 503, .body = "loading"};
    }
    return paths(kOpenai)(request);
  };
  FakeServer api(subject_.pid, 8000, handler);
  EXPECT_EQ(detected(), Names{});
  auto specs = detect_when_ready(subject_, milliseconds(10'000), [] { return true; });
  ASSERT_TRUE(specs) << specs.error().message;
  ASSERT_EQ(specs->size(), 2u);
  EXPECT_EQ(specs->front().kind, "openai");
}

TEST_F(DetectTest, WaitingEndsWithTheContainerOrTheLimit) {
  auto none = detect_when_ready(subject_, milliseconds(100), [] { return true; });
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->empty());
  EXPECT_TRUE(detect_when_ready(subject_, milliseconds(60'000), [] { return false; })->empty());
  process_.end();
  EXPECT_TRUE(detect_when_ready(subject_, milliseconds(60'000), [] { return true; })->empty());
}

}  // namespace
}  // namespace pare::check
