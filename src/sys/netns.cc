#include "sys/netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ip.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>
#include <latch>
#include <system_error>
#include <thread>
#include <vector>

namespace pare::sys {

Result<NetNs> NetNs::of_process(int pid) {
  std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("cannot open the network namespace " + path, errno);
  return NetNs(std::move(fd));
}

Result<bool> NetNs::is_own() const {
  struct stat mine {};
  struct stat other {};
  if (stat("/proc/self/ns/net", &mine) != 0) {
    return fail_errno("cannot read /proc/self/ns/net", errno);
  }
  if (fstat(fd_.get(), &other) != 0) return fail_errno("cannot read a network namespace", errno);
  return mine.st_dev == other.st_dev && mine.st_ino == other.st_ino;
}

Status NetNs::enter() const {
  if (setns(fd_.get(), CLONE_NEWNET) != 0) {
    return fail_errno("cannot enter the container's network namespace", errno);
  }
  return {};
}

Status NetNs::run(const std::function<void()>& work) const {
  return run_at_once(1, [&](int) { work(); });
}

Status NetNs::run_at_once(int count, const std::function<void(int)>& work) const {
  std::vector<Status> entered(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  std::latch all_entered(count);
  std::promise<bool> go;
  std::shared_future<bool> gate = go.get_future().share();
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // New threads inherit the mask: signals stay with the threads that expect them.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Status status;
  try {
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&, i, gate] {
        entered[static_cast<size_t>(i)] = enter();
        all_entered.count_down();
        if (gate.get()) work(i);
      });
    }
    all_entered.wait();
  } catch (const std::system_error& e) {
    status = fail_errno("cannot start a thread", e.code().value());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  for (size_t i = 0; status && i < entered.size(); ++i) status = entered[i];
  go.set_value(status.has_value());
  for (auto& thread : threads) thread.join();
  return status;
}

namespace {

// One rtnetlink request: a header, its fixed part and its attributes (netlink(7), rtnetlink(7)).
class Message {
 public:
  template <typename Body>
  Message(uint16_t type, uint16_t flags, const Body& body) : bytes_(NLMSG_HDRLEN) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    std::memcpy(bytes_.data(), &header, sizeof header);
    append(&body, sizeof body);
  }

  void attribute(uint16_t type, const void* data, size_t size) {
    size_t at = open_attribute(type);
    append(data, size);
    close_attribute(at);
  }
  size_t open_attribute(uint16_t type) {
    size_t at = bytes_.size();
    rtattr attribute{};
    attribute.rta_type = type;
    append(&attribute, sizeof attribute);
    return at;
  }
  void close_attribute(size_t at) {
    auto size = static_cast<uint16_t>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at + offsetof(rtattr, rta_len), &size, sizeof size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }

  // The kernel's answer: 0 or an errno; of RTM_GETROUTE also the route.
  int send(rtmsg* route = nullptr);

 private:
  void append(const void* data, size_t size) {
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
    const auto* first = static_cast<const char*>(data);
    bytes_.insert(bytes_.end(), first, first + size);
  }
  std::vector<char> bytes_;
};

int Message::send(rtmsg* route) {
  auto length = static_cast<uint32_t>(bytes_.size());
  std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd.valid()) return errno;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(fd.get(), bytes_.data(), bytes_.size(), 0, reinterpret_cast<sockaddr*>(&kernel),
             sizeof kernel) < 0) {
    return errno;
  }
  alignas(nlmsghdr) std::array<char, 8192> answer;
  ssize_t n = recv(fd.get(), answer.data(), answer.size(), 0);
  if (n < 0) return errno;
  nlmsghdr header{};
  nlmsgerr error{};
  if (static_cast<size_t>(n) < NLMSG_HDRLEN + sizeof error.error) return EBADMSG;
  std::memcpy(&header, answer.data(), sizeof header);
  if (route != nullptr && header.nlmsg_type == RTM_NEWROUTE &&
      static_cast<size_t>(n) >= NLMSG_HDRLEN + sizeof *route) {
    std::memcpy(route, answer.data() + NLMSG_HDRLEN, sizeof *route);
    return 0;
  }
  if (header.nlmsg_type != NLMSG_ERROR) return EBADMSG;
  std::memcpy(&error.error, answer.data() + NLMSG_HDRLEN, sizeof error.error);
  return -error.error;
}

int route_request(uint16_t type, uint16_t flags, int family, DefaultRoute route, unsigned lo) {
  bool local = route == DefaultRoute::kLocal;
  rtmsg body{};
  body.rtm_family = static_cast<unsigned char>(family);
  body.rtm_table = local ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
  body.rtm_type = local ? RTN_LOCAL : RTN_UNICAST;
  // ip-route(8): local routes have host scope, those without a gateway link scope.
  body.rtm_scope = local ? RT_SCOPE_HOST : RT_SCOPE_LINK;
  // The kernel's own routes are RTPROT_KERNEL: these are told apart by it.
  body.rtm_protocol = RTPROT_STATIC;
  Message message(type, flags, body);
  message.attribute(RTA_OIF, &lo, sizeof lo);
  return message.send();
}

// The kernel adds the local route of a new IPv6 address from a work queue, after it has answered
// (addrconf_dad_work in net/ipv6/addrconf.c); until then a connect to it is ENETUNREACH. 0 or an
// errno.
int wait_for_local_route(const std::array<unsigned char, sizeof(in6_addr)>& address) {
  rtmsg question{};
  question.rtm_family = AF_INET6;
  question.rtm_dst_len = 128;
  for (int tries = 0; tries < 1000; ++tries) {
    Message message(RTM_GETROUTE, 0, question);
    message.attribute(RTA_DST, address.data(), address.size());
    rtmsg answer{};
    if (message.send(&answer) == 0 && answer.rtm_type == RTN_LOCAL) return 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return ETIMEDOUT;
}

}  // namespace

Status loopback_up() {
  unsigned lo = if_nametoindex("lo");
  if (lo == 0) return fail_errno("the network namespace has no device lo", errno);
  ifinfomsg body{};
  body.ifi_family = AF_UNSPEC;
  body.ifi_index = static_cast<int>(lo);
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  Message message(RTM_NEWLINK, 0, body);
  size_t families = message.open_attribute(IFLA_AF_SPEC);
  size_t inet = message.open_attribute(AF_INET);
  size_t conf = message.open_attribute(IFLA_INET_CONF);
  uint32_t off = 0;
  message.attribute(IPV4_DEVCONF_FORWARDING, &off, sizeof off);
  message.close_attribute(conf);
  message.close_attribute(inet);
  message.close_attribute(families);
  if (int err = message.send(); err != 0) return fail_errno("cannot bring lo up", err);
  return {};
}

Status add_loopback_address(const std::string& address) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  ifaddrmsg body{};
  size_t size = 0;
  if (inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) {
    body.ifa_family = AF_INET;
    size = sizeof(in_addr);
  } else if (inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) {
    body.ifa_family = AF_INET6;
    body.ifa_flags = IFA_F_NODAD;
    size = sizeof(in6_addr);
  } else {
    return fail(ErrorKind::kHost, "'" + address + "' is not an IP address");
  }
  body.ifa_prefixlen = static_cast<unsigned char>(size * 8);
  body.ifa_scope = RT_SCOPE_UNIVERSE;
  body.ifa_index = if_nametoindex("lo");
  if (body.ifa_index == 0) return fail_errno("the network namespace has no device lo", errno);
  Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body);
  message.attribute(IFA_LOCAL, bytes.data(), size);
  message.attribute(IFA_ADDRESS, bytes.data(), size);
  int err = message.send();
  if (err == 0 && body.ifa_family == AF_INET6) err = wait_for_local_route(bytes);
  if (err != 0) return fail_errno("cannot add " + address + " to lo", err);
  return {};
}

Status set_default_route(DefaultRoute route) {
  unsigned lo = if_nametoindex("lo");
  if (lo == 0) return fail_errno("the network namespace has no device lo", errno);
  for (int family : {AF_INET, AF_INET6}) {
    for (DefaultRoute old : {DefaultRoute::kLoopback, DefaultRoute::kLocal}) {
      if (old == route) continue;
      int err = route_request(RTM_DELROUTE, 0, family, old, lo);
      // ESRCH: it was not there; for IPv6 also whatever says that there is no IPv6.
      if (err != 0 && err != ESRCH && family == AF_INET) {
        return fail_errno("cannot remove a default route", err);
      }
    }
    if (route == DefaultRoute::kNone) continue;
    int err = route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, family, route, lo);
    if (err != 0 && family == AF_INET) return fail_errno("cannot set a default route", err);
  }
  return {};
}

}  // namespace pare::sys
