#include "confine/gate.h"

#include <filesystem>

#include "confine/testing_gate.h"

namespace pare::confine {
namespace {

using std::chrono::milliseconds;

Inside inside_of(const InnerServer& server) {
  return {server.pid()};
}

std::unique_ptr<Gate> open_gate(const Door& door, const InnerServer& server,
                                const Limits& limits = {}) {
  auto gate = Gate::open({&door}, inside_of(server), limits);
  EXPECT_TRUE(gate) << gate.error().message;
  return gate ? std::move(*gate) : nullptr;
}

std::string pattern(size_t size) {
  std::string text(size, '\0');
  uint32_t x = 1;
  for (char& c : text) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return text;
}

void echo(int fd) {
  std::string got = read_all(fd);  // until the client's half-close
  write_all(fd, got);
}

TEST(Gate, CarriesBothWaysAndTheHalfClose) {
  InnerServer server(echo);
  PARE_NEEDS_NETNS(server);
  Door door = any_door();
  auto gate = open_gate(door, server);
  UniqueFd client = client_of(door);
  std::string sent = pattern(3 << 20);
  std::thread writer([&] {
    write_all(client.get(), sent);
    shutdown(client.get(), SHUT_WR);
  });
  EXPECT_TRUE(read_all(client.get()) == sent);
  writer.join();
  Counters c = gate->counters();
  EXPECT_EQ(c.accepted, 1u);
  EXPECT_EQ(c.bytes_in, sent.size());
  EXPECT_EQ(c.bytes_out, sent.size());
}

TEST(Gate, ManyAtOnceKeepTheirBytesApart) {
  InnerServer server(echo);
  PARE_NEEDS_NETNS(server);
  Door door = any_door();
  auto gate = open_gate(door, server);
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 64; ++i) {
    clients.emplace_back([&, i] {
      UniqueFd client = client_of(door);
      std::string sent = std::to_string(i) + pattern(static_cast<size_t>(i) * 3001);
      std::thread writer([&] {
        write_all(client.get(), sent);
        shutdown(client.get(), SHUT_WR);
      });
      right += read_all(client.get()) == sent ? 1 : 0;
      writer.join();
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, 64);
  EXPECT_TRUE(gate->drain(milliseconds(2000)));
}

TEST(Gate, StreamsAtOnce) {
  InnerServer server([](int fd) {
    for (int i = 0; i < 5; ++i) {
      write_all(fd, "token");
      if (read_all(fd, 1).empty()) return;  // the next one only when this one has arrived
    }
  });
  PARE_NEEDS_NETNS(server);
  Door door = any_door();
  auto gate = open_gate(door, server);
  UniqueFd client = client_of(door);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(read_all(client.get(), 5), "token");
    EXPECT_TRUE(write_all(client.get(), "."));
  }
}

TEST(Gate, BackPressureReachesTheSender) {
  std::atomic<bool> go{false};
  InnerServer server([&](int fd) {
    while (!go) std::this_thread::sleep_for(milliseconds(5));
    write_all(fd, std::to_string(read_all(fd).size()));
  });
  PARE_NEEDS_NETNS(server);
  Door door = any_door();
  auto gate = open_gate(door, server);
  UniqueFd client = client_of(door);
  std::string part = pattern(1 << 20);
  size_t taken = 0;
  while (true) {  // until nothing was taken for a while
    pollfd wait{client.get(), POLLOUT, 0};
    if (poll(&wait, 1, 500) == 0) break;
    ssize_t n = send(client.get(), part.data(), part.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) taken += static_cast<size_t>(n);
    ASSERT_LT(taken, 256u << 20) << "the gate buffers without end";
  }
  EXPECT_GT(taken, 0u);
  go = true;
  shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_all(client.get()), std::to_string(taken));
}

TEST(Gate, ConnectionsBeyondTheLimitWait) {
  InnerServer server(echo);
  PARE_NEEDS_NETNS(server);
  Door door = any_door();
  Limits limits;
  limits.connections = 1;
  auto gate = open_gate(door, server, limits);
  UniqueFd first = client_of(door), second = client_of(door);
  EXPECT_TRUE(write_all(first.get(), "a"));
  EXPECT_TRUE(write_all(second.get(), "b"));
  shutdown(second.get(), SHUT_WR);
  pollfd wait{second.get(), POLLIN, 0};
  EXPECT_EQ(poll(&wait, 1, 300), 0);
  EXPECT_LE(gate->counters().open, 1u);
  shutdown(first.get(), SHUT_WR);
  EXPECT_EQ(read_all(first.get()), "a");
  EXPECT_EQ(read_all(second.get()), "b");
}

TEST(Gate, IdleConnectionsAreClosed) {
  InnerServer server(echo);
  PARE_NEEDS_NETNS(server);
  Door door = any_door();
  Limits limits;
  limits.idle = milliseconds(300);
  auto gate = open_gate(door, server, limits);
  UniqueFd client = client_of(door);
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(read_all(client.get()), "");
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(250));
  EXPECT_EQ(gate->counters().idle_closed, 1u);
}

TEST(Gate, ServerThatDoesNotListenIsARefusal) {
  InnerServer server(echo);
  PARE_NEEDS_NETNS(server);
  Door door = any_door();
  door.inner_port = 8001;
  auto gate = open_gate(door, server);
  UniqueFd client = client_of(door);
  EXPECT_EQ(read_all(client.get()), "");
  EXPECT_EQ(gate->counters().refused, 1u);
}

TEST(Gate, ResetIsCarriedOn) {
  std::atomic<bool> reset{false};
  InnerServer server([&](int fd) {
    char c;
    if (read(fd, &c, 1) != 1) return;
    reset = read(fd, &c, 1) < 0 && errno == ECONNRESET;
  });
  PARE_NEEDS_NETNS(server);
  Door door = any_door();
  auto gate = open_gate(door, server);
  {
    UniqueFd client = client_of(door);
    EXPECT_TRUE(write_all(client.get(), "a"));
    std::this_thread::sleep_for(milliseconds(100));
    linger now{1, 0};
    setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  for (int i = 0; i < 200 && !reset; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(reset);
}

TEST(Gate, DrainLetsAnswersEndAndTakesNoMore) {
  InnerServer server([](int fd) {
    read_all(fd, 1);
    std::this_thread::sleep_for(milliseconds(400));
    write_all(fd, "late");
  });
  PARE_NEEDS_NETNS(server);
  Door door = any_door();
  auto gate = open_gate(door, server);
  UniqueFd client = client_of(door);
  EXPECT_TRUE(write_all(client.get(), "?"));
  std::this_thread::sleep_for(milliseconds(100));
  std::thread drainer([&] { EXPECT_TRUE(gate->drain(milliseconds(8000))); });
  EXPECT_EQ(read_all(client.get(), 4), "late");
  client.reset();
  drainer.join();
  std::this_thread::sleep_for(milliseconds(700));
  UniqueFd after = client_of(door);  // waits in the door for the next gate
  write_all(after.get(), "?");
  pollfd wait{after.get(), POLLIN, 0};
  EXPECT_EQ(poll(&wait, 1, 700), 0);
  auto next = open_gate(door, server);
  EXPECT_EQ(read_all(after.get(), 4), "late");
}

TEST(Gate, UnixSocketInFront) {
  InnerServer server(echo);
  PARE_NEEDS_NETNS(server);
  std::string dir = (std::filesystem::temp_directory_path() / "pare-gate-XXXXXX").string();
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  auto publish = parse_publish("unix:" + dir + "/s");
  ASSERT_TRUE(publish);
  for (int round = 0; round < 2; ++round) {  // the second finds the first one's dead socket
    auto socket_fd = bind_publish(*publish);
    ASSERT_TRUE(socket_fd) << socket_fd.error().message;
    Door door{std::move(*socket_fd), 8000};
    auto gate = open_gate(door, server);
    UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    (dir + "/s").copy(at.sun_path, sizeof at.sun_path - 1);
    ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    EXPECT_TRUE(write_all(client.get(), "over unix"));
    shutdown(client.get(), SHUT_WR);
    EXPECT_EQ(read_all(client.get()), "over unix");
    if (round == 0) {
      EXPECT_FALSE(bind_publish(*publish));  // it is in use
    }
  }
  std::filesystem::remove_all(dir);
}

TEST(Publish, Spellings) {
  auto all = [](const char* text) {
    auto p = parse_publish(text);
    return p ? to_string(*p) + " " + std::to_string(p->inner_port) : "wrong";
  };
  EXPECT_EQ(all("8000"), "127.0.0.1:8000 0");
  EXPECT_EQ(all("8000:9000"), "127.0.0.1:8000 9000");
  EXPECT_EQ(all("0.0.0.0:80:8000"), "0.0.0.0:80 8000");
  EXPECT_EQ(all("[::1]:8000:9000"), "[::1]:8000 9000");
  EXPECT_EQ(all("unix:/run/s.sock:9000"), "unix:/run/s.sock 9000");
  for (const char* text :
       {"", "0", "70000", "a:1", "1.2.3:80", "[::1:80", "unix:s", "1:2:3", "::1:80"}) {
    EXPECT_EQ(all(text), "wrong") << text;
  }
}

}  // namespace
}  // namespace pare::confine
