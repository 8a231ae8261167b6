#include "confine/gate_paths.h"

#include <future>

#include "confine/testing_gate.h"

namespace pare::confine {
namespace {

using std::chrono::milliseconds;

const std::vector<PathRule>& rules() {
  static const std::vector<PathRule> kRules = {{"POST", "/infer", false},
                                               {"GET", "/health", false}};
  return kRules;
}

// Answers each request of a connection with its method, target and body, chunked and in two parts.
void origin(int fd) {
  while (true) {
    std::string head = read_header(fd);
    if (head.empty()) return;
    size_t at = head.find("Content-Length: ");
    size_t length = at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
    std::string body = read_all(fd, length);
    std::string line = head.substr(0, head.find(" HTTP/"));
    auto chunk = [](const std::string& text) {
      char size[16];
      snprintf(size, sizeof size, "%zx\r\n", text.size());
      return size + text + "\r\n";
    };
    write_all(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(line));
    std::this_thread::sleep_for(milliseconds(5));
    write_all(fd, chunk("|" + body) + "0\r\n\r\n");
  }
}

class PathGateTest : public testing::Test {
 protected:
  void SetUp() override {
    PARE_NEEDS_NETNS(server_);
    auto gate = PathGate::open(door_, {server_.pid()}, {}, rules());
    ASSERT_TRUE(gate) << gate.error().message;
    gate_ = std::move(*gate);
  }
  std::string ask(const std::string& text) {
    UniqueFd client = client_of(door_);
    write_all(client.get(), text);
    shutdown(client.get(), SHUT_WR);
    return read_all(client.get());
  }
  InnerServer server_{origin};
  Door door_ = any_door();
  std::unique_ptr<PathGate> gate_;
};

TEST_F(PathGateTest, LetsThroughWhatIsListed) {
  std::string got = ask("POST /infer?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_NE(got.find("200 OK"), std::string::npos) << got;
  EXPECT_NE(got.find("POST /infer?x=1"), std::string::npos) << got;
  EXPECT_NE(got.find("|hello"), std::string::npos) << got;
}

TEST_F(PathGateTest, KeepsConnectionsAndTakesPipelines) {
  std::string one = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
  std::string got = ask(one + one + one);
  size_t count = 0;
  for (size_t at = 0; (at = got.find("GET /health", at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, 3u) << got;
  EXPECT_EQ(gate_->counters().requests, 3u);
  EXPECT_EQ(gate_->counters().accepted, 1u);
}

TEST_F(PathGateTest, AnswersStreamWhileTheyAreMade) {
  UniqueFd client = client_of(door_);
  write_all(client.get(), "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(read_header(client.get()).find("chunked"), std::string::npos);
  EXPECT_EQ(read_all(client.get(), 16), "b\r\nGET /health\r\n");
}

TEST_F(PathGateTest, RefusesTheRest) {
  for (const char* line :
       {"GET /metrics", "GET /infer", "POST /infer/", "POST /infer/../metrics", "GET //health",
        "GET /%68ealth", "GET /health%2f..", "GET http://a/health", "DELETE /health",
        "POST /v2/repository/models/m/unload", "GET /health/..;/metrics", "GET /./health",
        "OPTIONS *", "CONNECT a:443"}) {
    std::string got = ask(std::string(line) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(got.find("HTTP/1.1 403"), 0u) << line << "\n" << got;
  }
  EXPECT_EQ(gate_->counters().denied, 14u);
}

TEST_F(PathGateTest, RefusesWhatTwoParsersCouldReadDifferently) {
  for (const char* head :
       {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n", "Transfer-Encoding : chunked\r\n",
        "Content-Length: +5\r\n", "X\r\n", " folded: x\r\n"}) {
    std::string got = ask("POST /infer HTTP/1.1\r\nHost: a\r\n" + std::string(head) +
                          "\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(got.find("/metrics"), std::string::npos) << head << "\n" << got;
  }
  EXPECT_EQ(ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").find("HTTP/1.1 4"), 0u);
}

// What the gate would unpack and write behind "Transfer-Encoding: identity, chunked" is a request
// of its own to a server that takes the last coding.
TEST_F(PathGateTest, NoBodyBecomesARequest) {
  const std::string inner = "0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
  char size[16];
  snprintf(size, sizeof size, "%zx\r\n", inner.size());
  const std::string body = size + inner + "\r\n0\r\n\r\n";
  for (const char* head :
       {"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity, chunked\r\n", "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: gzip, chunked\r\n"}) {
    std::string got =
        ask("POST /infer HTTP/1.1\r\nHost: a\r\n" + std::string(head) + "\r\n" + body);
    EXPECT_EQ(got.find("HTTP/1.1 400"), 0u) << head << "\n" << got;
    EXPECT_EQ(got.find("/metrics"), std::string::npos) << head << "\n" << got;
  }
  EXPECT_EQ(
      ask("POST /infer HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + body).find("HTTP/1.1 400"),
      0u);
  std::string got =
      ask("POST /infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n" + body);
  EXPECT_EQ(got.find("HTTP/1.1 200"), 0u) << got;
}

TEST(PathGateOf, ABodyWithoutEndDoesNotKeepItFromEnding) {
  InnerServer server([](int fd) { read_all(fd); });
  PARE_NEEDS_NETNS(server);
  Door door = any_door();
  auto gate = PathGate::open(door, {server.pid()}, {}, rules());
  ASSERT_TRUE(gate) << gate.error().message;
  UniqueFd client = client_of(door);
  write_all(client.get(), "POST /infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    while (!stop && write_all(client.get(), "4\r\nbody\r\n")) {
    }
  });
  std::this_thread::sleep_for(milliseconds(100));
  auto ended = std::async(std::launch::async, [&] { gate->reset(); });
  EXPECT_EQ(ended.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  stop = true;
  sender.join();
}

TEST_F(PathGateTest, DoesNotUpgrade) {
  std::string got =
      ask("GET /health HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_NE(got.find("200 OK"), std::string::npos) << got;  // asked as a plain request
}

TEST(PathGateOf, AServerThatClosesWhatRestsIsAskedOnANewConnection) {
  InnerServer server([](int fd) {
    read_header(fd);
    write_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");  // and closes
  });
  PARE_NEEDS_NETNS(server);
  Door door = any_door();
  auto gate = PathGate::open(door, {server.pid()}, {}, rules());
  ASSERT_TRUE(gate) << gate.error().message;
  UniqueFd client = client_of(door);
  for (int i = 0; i < 3; ++i) {
    write_all(client.get(), "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_NE(read_header(client.get()).find("200 OK"), std::string::npos) << i;
    EXPECT_EQ(read_all(client.get(), 2), "ok") << i;
    std::this_thread::sleep_for(milliseconds(50));
  }
}

TEST(PathRules, FromTheChecksOfAProof) {
  auto specs = check::parse_specs(
      {"openai://:8000", "http://:8000/infer;method=POST;body=x", "http://:8002/metrics"});
  ASSERT_TRUE(specs);
  std::vector<PathRule> found = rules_of(*specs, 8000);
  for (const PathRule& rule : std::vector<PathRule>{
           {"POST", "/v1/completions"}, {"GET", "/v1/models"}, {"POST", "/infer"}}) {
    EXPECT_NE(std::find(found.begin(), found.end(), rule), found.end()) << rule.path;
  }
  EXPECT_FALSE(allows(found, "GET", "/metrics"));
  EXPECT_FALSE(allows(found, "POST", "/v1/models"));
}

TEST(PathRules, Spellings) {
  auto below = parse_path_rule("GET /v2/models/*");
  ASSERT_TRUE(below);
  EXPECT_TRUE(allows({*below}, "GET", "/v2/models/m/ready?x=%2e"));
  EXPECT_FALSE(allows({*below}, "GET", "/v2/models/"));
  EXPECT_FALSE(allows({*below}, "GET", "/v2/models/../repository"));
  for (const char* text : {"", "GET", "get /x", "GET x", "GET /a%20b", "GET /*/x", "CONNECT /x"}) {
    EXPECT_FALSE(parse_path_rule(text)) << text;
  }
}

}  // namespace
}  // namespace pare::confine
