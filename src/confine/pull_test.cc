#include "confine/pull.h"

#include "confine/testing_gate.h"

namespace pare::confine {
namespace {

using Kind = ServerName::Kind;

std::string u16(size_t n) {
  return {static_cast<char>(n >> 8), static_cast<char>(n)};
}

// A ClientHello that asks for `name`, in records of at most `record` bytes.
std::string hello(const std::string& name, size_t record = 16384) {
  std::string entry = std::string(1, '\0') + u16(name.size()) + name;
  std::string list = u16(entry.size()) + entry;
  std::string sni = name.empty() ? "" : u16(0) + u16(list.size()) + list;
  std::string extensions = u16(43) + u16(3) + std::string("\2\3\4", 3) + sni;
  std::string body = "\3\3" + std::string(32, 'r') + std::string(1, '\0') + u16(2) + "\x13\x01" +
                     std::string("\1\0", 2) + u16(extensions.size()) + extensions;
  std::string message = std::string("\1\0", 2) + u16(body.size()) + body;
  std::string out;
  for (size_t at = 0; at < message.size(); at += record) {
    std::string part = message.substr(at, record);
    out += std::string("\x16\3\1", 3) + u16(part.size()) + part;
  }
  return out;
}

TEST(ServerName, InOneRecordOrMany) {
  for (size_t record : {16384, 100, 7, 1}) {
    ServerName found = server_name(hello("Models.Example", record));
    EXPECT_EQ(found.kind, Kind::kName) << record;
    EXPECT_EQ(found.name, "models.example");
  }
}

TEST(ServerName, EveryBeginningWantsMore) {
  std::string whole = hello("models.example", 50);
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_EQ(server_name(whole.substr(0, n)).kind, Kind::kMore) << n;
  }
}

TEST(ServerName, WhatIsNoGreetingWithAName) {
  EXPECT_EQ(server_name("GET / HTTP/1.1\r\n").kind, Kind::kNone);
  EXPECT_EQ(server_name("SSH-2.0-x\r\n").kind, Kind::kNone);
  EXPECT_EQ(server_name(hello("")).kind, Kind::kNone);
  EXPECT_EQ(server_name(std::string("\x16\3\1\0\0", 5)).kind, Kind::kNone);
}

TEST(PullHost, NamesAreExact) {
  auto host = parse_pull_host("HuggingFace.co");
  ASSERT_TRUE(host);
  EXPECT_EQ(host->name, "huggingface.co");
  EXPECT_EQ(host->port, 443);
  EXPECT_EQ(parse_pull_host("models.test:8443")->port, 8443);
  for (const char* text : {"", "*.huggingface.co", "10.0.0.1", "a:0", "a:b", "a b", "http://a"}) {
    EXPECT_FALSE(parse_pull_host(text)) << text;
  }
}

TEST(PullHost, PrivateAddressesAreRefused) {
  for (const char* address :
       {"127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "100.100.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fd00::1", "fe80::1",
        "::ffff:10.0.0.1", "64:ff9b::a00:1", "nonsense"}) {
    EXPECT_TRUE(is_private(address)) << address;
  }
  for (const char* address : {"8.8.8.8", "172.32.0.1", "198.51.100.2", "2606:4700::1"}) {
    EXPECT_FALSE(is_private(address)) << address;
  }
  std::vector<PullHost> hosts = {*parse_pull_host("models.test")};
  EXPECT_FALSE(resolve_hosts(hosts, {{"models.test", "10.0.0.1"}}));
  hosts[0].address.clear();
  EXPECT_TRUE(resolve_hosts(hosts, {{"models.test", "198.51.100.2"}}));
  EXPECT_EQ(hosts[0].address, "198.51.100.2");
  std::vector<PullHost> own = {*parse_pull_host("localhost")};
  EXPECT_FALSE(resolve_hosts(own, {}));
}

// A way out to a server in a namespace of its own.
class Doors : public testing::Test {
 protected:
  void SetUp() override {
    PARE_NEEDS_NETNS(outside_);
    PARE_NEEDS_NETNS(inside_);
    auto netns = sys::NetNs::of_process(inside_.pid());
    ASSERT_TRUE(netns->call([] { return sys::loopback_up(); }));
    PullHost host = *parse_pull_host("models.test:8000");
    host.address = "192.0.2.1";
    auto doors = PullDoors::open(inside_.pid(), {host},
                                 "/proc/" + std::to_string(outside_.pid()) + "/ns/net",
                                 [this](const std::string&) { ++refused_; });
    ASSERT_TRUE(doors) << doors.error().message;
    doors_ = std::move(*doors);
  }
  // What comes back for `text`, sent from inside to the address of the name, in two parts.
  std::string ask(const std::string& text) {
    auto netns = sys::NetNs::of_process(inside_.pid());
    auto got = netns->call([&]() -> Result<std::string> {
      PARE_TRY(UniqueFd fd, connect_to(doors_->names().at(0).second, 8000));
      pollfd wait{fd.get(), POLLOUT, 0};
      poll(&wait, 1, 2000);
      write_all(fd.get(), text.substr(0, text.size() / 2));
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      write_all(fd.get(), text.substr(text.size() / 2));
      shutdown(fd.get(), SHUT_WR);
      return read_all(fd.get());
    });
    EXPECT_TRUE(got) << got.error().message;
    return got ? *got : "";
  }
  InnerServer outside_{[](int fd) { write_all(fd, read_all(fd)); }};
  sys::TestNetNs inside_;
  std::atomic<int> refused_{0};
  std::unique_ptr<PullDoors> doors_;
};

TEST_F(Doors, CarryWhatAsksForTheName) {
  std::string greeting = hello("models.test");
  EXPECT_EQ(ask(greeting), greeting);
  EXPECT_EQ(doors_->counters().bytes_in, greeting.size());
}

TEST_F(Doors, RefuseAnotherNameAndNoName) {
  EXPECT_EQ(ask(hello("evil.test")), "");
  EXPECT_EQ(ask("GET / HTTP/1.1\r\n\r\n"), "");
  EXPECT_EQ(ask(hello("")), "");
  EXPECT_EQ(refused_, 3);
  EXPECT_EQ(doors_->counters().bytes_in, 0u);
}

}  // namespace
}  // namespace pare::confine
