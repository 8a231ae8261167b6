#include "confine/gate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "base/file.h"
#include "sys/netns.h"

namespace pare::confine {

Result<UniqueFd> connect_to(const std::string& address, uint16_t port, bool over_loopback) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  bool four = inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1;
  if (!four && inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) != 1) {
    return fail(ErrorKind::kUsage, "'" + address + "' is not an address");
  }
  UniqueFd fd(socket(four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return fail_errno("cannot make a socket", errno);
  if (over_loopback) setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 2);
  const sockaddr* to = four ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6);
  if (connect(fd.get(), to, four ? sizeof v4 : sizeof v6) != 0 && errno != EINPROGRESS) {
    return fail(ErrorKind::kHost, "cannot connect to " + address, errno == EAGAIN ? 0 : errno);
  }
  return fd;
}

Result<std::unique_ptr<Gate>> Gate::open(const std::vector<const Door*>& doors,
                                         const Inside& inside, const Limits& limits,
                                         unsigned threads) {
  // A connection has two, and up to four more while bytes are held back.
  base::raise_descriptor_limit();
  PARE_TRY(sys::NetNs opened, sys::NetNs::of_process(inside.pid));
  auto netns = std::make_shared<sys::NetNs>(std::move(opened));
  std::vector<GateListener> listeners;
  for (const Door* door : doors) {
    PARE_CHECK_OK(listen_on(door->socket));
    listeners.push_back({door->socket.get(),
                         [address = inside.address, port = door->inner_port](int) {
                           return connect_to(address, port, true);
                         },
                         false});
  }
  if (threads == 0) threads = std::clamp(std::thread::hardware_concurrency() / 2, 2U, 8U);
  Limits share = limits;
  share.connections = std::max<size_t>(limits.connections, 1);
  threads = static_cast<unsigned>(std::min<size_t>(threads, share.connections));
  share.connections /= threads;
  std::unique_ptr<Gate> gate(new Gate);
  for (unsigned i = 0; i < threads; ++i) {
    PARE_TRY(auto loop, GateLoop::start(listeners, share, [netns] { return netns->enter(); }));
    gate->loops_.push_back(std::move(loop));
  }
  return gate;
}

bool Gate::drain(std::chrono::milliseconds limit) {
  auto end = std::chrono::steady_clock::now() + limit;
  for (auto& loop : loops_) loop->drain(std::chrono::milliseconds(0));  // all stop accepting
  bool empty = true;
  for (auto& loop : loops_) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    empty = loop->drain(std::max(left, std::chrono::milliseconds(0))) && empty;
  }
  return empty;
}

Counters Gate::counters() const {
  Counters sum;
  for (const auto& loop : loops_) {
    Counters c = loop->counters();
    add(sum, c);
    sum.open += c.open;
  }
  return sum;
}

}  // namespace pare::confine
