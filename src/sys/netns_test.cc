#include "sys/netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <latch>

#include "sys/testing_netns.h"

namespace pare::sys {
namespace {

sockaddr_in at(const char* address, uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  inet_pton(AF_INET, address, &out.sin_addr);
  return out;
}

// The errno of connecting to address:port, ETIMEDOUT after 300 ms without any answer.
int connect_errno(const char* address, uint16_t port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in to = at(address, port);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd waiting{fd.get(), POLLOUT, 0};
  if (poll(&waiting, 1, 300) == 0) return ETIMEDOUT;
  int err = 0;
  socklen_t size = sizeof err;
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &err, &size);
  return err;
}

int connect_errno6(const char* address, uint16_t port) {
  UniqueFd fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(port);
  inet_pton(AF_INET6, address, &to.sin6_addr);
  return connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
}

UniqueFd listen_on(const char* address, uint16_t port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in where = at(address, port);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
  EXPECT_EQ(listen(fd.get(), 64), 0);
  return fd;
}

class NetNsTest : public testing::Test {
 protected:
  void SetUp() override {
    PARE_NEEDS_NETNS(process_);
    auto ns = NetNs::of_process(process_.pid());
    ASSERT_TRUE(ns) << ns.error().message;
    ns_.emplace(std::move(*ns));
  }
  // Everything that prepares the namespace, twice: it must be repeatable.
  void prepare(DefaultRoute route) {
    for (int i = 0; i < 2; ++i) {
      auto done = ns_->call([route]() -> Status {
        PARE_CHECK_OK(loopback_up());
        PARE_CHECK_OK(add_loopback_address("192.0.2.1"));
        return set_default_route(route);
      });
      ASSERT_TRUE(done) << done.error().message;
    }
  }
  int connect_inside(const char* address, uint16_t port) {
    return ns_->call([&] { return connect_errno(address, port); }).value_or(-1);
  }

  TestNetNs process_;
  std::optional<NetNs> ns_;
};

TEST_F(NetNsTest, WorkRunsInsideAndTheCallerStaysOutside) {
  EXPECT_FALSE(ns_->is_own().value());
  auto mine = NetNs::of_process(getpid());
  ASSERT_TRUE(mine);
  EXPECT_TRUE(mine->is_own().value());
  prepare(DefaultRoute::kNone);
  auto server = ns_->call([] { return listen_on("192.0.2.1", 8000); });
  ASSERT_TRUE(server);
  EXPECT_EQ(connect_inside("192.0.2.1", 8000), 0);
  EXPECT_NE(connect_errno("192.0.2.1", 8000), 0);
}

TEST_F(NetNsTest, AResultOfTheWorkIsNotWrappedTwice) {
  Status failed = ns_->call([]() -> Status { return fail(ErrorKind::kUsage, "as it was"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "as it was");
}

TEST_F(NetNsTest, WorkAtOnceIsReallyAtOnce) {
  // Each waits until all are there: one after the other they would never meet.
  std::latch together(8);
  std::atomic<int> sum = 0;
  Status done = ns_->run_at_once(8, [&](int i) {
    together.arrive_and_wait();
    sum += i;
  });
  ASSERT_TRUE(done);
  EXPECT_EQ(sum, 28);
}

TEST_F(NetNsTest, AProcessThatIsGoneIsNamedByErrno) {
  int pid = process_.pid();
  process_.end();
  auto gone = NetNs::of_process(pid);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().sys_errno, ENOENT);
}

TEST_F(NetNsTest, EveryRefusalKindFailsInItsOwnWay) {
  const struct {
    DefaultRoute route;
    int error;
  } cases[] = {
      {DefaultRoute::kNone, ENETUNREACH},   {DefaultRoute::kLoopback, ETIMEDOUT},
      {DefaultRoute::kLocal, ECONNREFUSED}, {DefaultRoute::kLoopback, ETIMEDOUT},
      {DefaultRoute::kNone, ENETUNREACH},
  };
  prepare(DefaultRoute::kNone);
  auto server = ns_->call([] { return listen_on("0.0.0.0", 8000); });
  ASSERT_TRUE(server);
  for (const auto& c : cases) {
    prepare(c.route);
    EXPECT_EQ(connect_inside("203.0.113.9", 443), c.error);
    EXPECT_EQ(connect_inside("192.0.2.1", 8000), 0) << "the check address must go on working";
    EXPECT_EQ(connect_inside("127.0.0.1", 8000), 0) << "so must loopback";
  }
}

// A namespace takes over ip_forward=1 of a host that runs Docker: then what comes back over lo
// would be forwarded until its time to live ends, and answered.
TEST_F(NetNsTest, DroppingIsSilentWhereForwardingWasOn) {
  auto forwarding = ns_->call([] {
    UniqueFd fd(open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC));
    return write(fd.get(), "1", 1) == 1;
  });
  ASSERT_TRUE(forwarding.value_or(false));
  prepare(DefaultRoute::kLoopback);
  EXPECT_EQ(connect_inside("203.0.113.9", 443), ETIMEDOUT);
}

TEST_F(NetNsTest, Ipv6HasTheSameKinds) {
  prepare(DefaultRoute::kNone);
  auto connect6 = [&](const char* address) {
    return ns_->call([&] { return connect_errno6(address, 443); }).value_or(-1);
  };
  auto added = ns_->call([] { return add_loopback_address("2001:db8::1"); });
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_EQ(connect6("2001:db8::1"), ECONNREFUSED);
  EXPECT_EQ(connect6("2001:db8:ffff::9"), ENETUNREACH);
  prepare(DefaultRoute::kLocal);
  EXPECT_EQ(connect6("2001:db8:ffff::9"), ECONNREFUSED);
}

TEST_F(NetNsTest, WithoutIpv6TheRoutesOfIpv4AreSetAllTheSame) {
  auto off = ns_->call([] {
    UniqueFd fd(open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY | O_CLOEXEC));
    return write(fd.get(), "1", 1) == 1;
  });
  ASSERT_TRUE(off.value_or(false));
  prepare(DefaultRoute::kLocal);
  EXPECT_EQ(connect_inside("203.0.113.9", 443), ECONNREFUSED);
  auto refused = ns_->call([] { return add_loopback_address("2001:db8::1"); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sys_errno, EACCES);
}

TEST_F(NetNsTest, AnAddressThatIsNoneIsNamed) {
  auto status = ns_->call([] { return add_loopback_address("localhost"); });
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("'localhost' is not an IP address"), std::string::npos);
}

}  // namespace
}  // namespace pare::sys
