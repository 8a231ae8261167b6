#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "confine/gate.h"
#include "confine/pull.h"
#include "sys/netns.h"

namespace pare::confine {

namespace {

constexpr unsigned kFirst = 16;  // 192.0.2.16 and on; 192.0.2.1 is the container itself
constexpr size_t kMostHosts = 200;

Result<UniqueFd> listen_inside(const std::string& address, uint16_t port) {
  PARE_CHECK_OK(sys::add_loopback_address(address));
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &at.sin_addr);
  if (!fd.valid() || bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
      listen(fd.get(), 64) != 0) {
    return fail_errno("cannot listen inside the pull's namespace", errno);
  }
  return fd;
}

Result<UniqueFd> dial(int client, const PullHost& host,
                      const std::function<void(const std::string&)>& refused) {
  std::array<char, 33 << 10> first{};
  ssize_t n = recv(client, first.data(), first.size(), MSG_PEEK | MSG_DONTWAIT);
  if (n <= 0) return fail(ErrorKind::kHost, "nothing came", n < 0 && errno == EAGAIN ? EAGAIN : 0);
  ServerName asked = server_name({first.data(), static_cast<size_t>(n)});
  pollfd end{client, POLLRDHUP, 0};
  if (asked.kind == ServerName::Kind::kMore && poll(&end, 1, 0) == 0) {
    int more = static_cast<int>(n) + 1;  // epoll stays silent until then
    setsockopt(client, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof more);
    return fail(ErrorKind::kHost, "the greeting is not whole", EAGAIN);
  }
  if (asked.name != host.name) {
    std::string what = asked.name.empty() ? "something that is no TLS with a name" : asked.name;
    if (refused) refused("refused: " + what + " through the way to " + host.name);
    return fail(ErrorKind::kHost, "not " + host.name, EPERM);
  }
  int any = 1;
  setsockopt(client, SOL_SOCKET, SO_RCVLOWAT, &any, sizeof any);
  return connect_to(host.address, host.port);
}

Status enter_path(const std::string& netns) {
  UniqueFd fd(open(netns.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.valid() && setns(fd.get(), CLONE_NEWNET) == 0) return {};
  return fail_errno("cannot enter the network namespace " + netns, errno);
}

}  // namespace

Result<std::unique_ptr<PullDoors>> PullDoors::open(
    int pid, const std::vector<PullHost>& hosts, const std::string& netns,
    const std::function<void(const std::string&)>& refused) {
  if (hosts.empty()) {
    return fail(ErrorKind::kUsage, "no host to pull from: name each with --host NAME[:PORT]");
  }
  if (hosts.size() > kMostHosts) return fail(ErrorKind::kUsage, "more than 200 hosts");
  PARE_TRY(sys::NetNs inside, sys::NetNs::of_process(pid));
  std::unique_ptr<PullDoors> doors(new PullDoors);
  std::vector<GateListener> listeners;
  for (size_t i = 0; i < hosts.size(); ++i) {
    const PullHost& host = hosts[i];
    std::string address = "192.0.2." + std::to_string(kFirst + i);
    PARE_TRY(UniqueFd fd, inside.call([&] { return listen_inside(address, host.port); }));
    listeners.push_back(
        {fd.get(), [host, refused](int client) { return dial(client, host, refused); }, true});
    doors->listeners_.push_back(std::move(fd));
    doors->names_.emplace_back(host.name, address);
  }
  Limits limits;
  limits.connections = 256;
  limits.connect = std::chrono::milliseconds(30'000);
  PARE_TRY(doors->loop_, GateLoop::start(std::move(listeners), limits, [netns]() -> Status {
             return netns.empty() ? Status() : enter_path(netns);
           }));
  return doors;
}

}  // namespace pare::confine
