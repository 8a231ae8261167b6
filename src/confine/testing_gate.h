// For tests alone: a server inside a network namespace, and clients outside.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <list>
#include <string>
#include <thread>

#include "base/testing.h"
#include "confine/gate.h"
#include "sys/netns.h"
#include "sys/testing_netns.h"

namespace pare::confine {

// Reads until the end or `limit` bytes; what came before an error.
inline std::string read_all(int fd, size_t limit = SIZE_MAX) {
  std::string all;
  char buffer[65536];
  while (all.size() < limit) {
    pollfd wait{fd, POLLIN, 0};
    if (poll(&wait, 1, 10'000) <= 0) break;
    ssize_t n = read(fd, buffer, std::min(sizeof buffer, limit - all.size()));
    if (n <= 0) break;
    all.append(buffer, static_cast<size_t>(n));
  }
  return all;
}

inline bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// Up to the empty line that ends an HTTP header, that line included.
inline std::string read_header(int fd) {
  std::string text;
  while (text.find("\r\n\r\n") == std::string::npos) {
    std::string one = read_all(fd, 1);
    if (one.empty()) break;
    text += one;
  }
  return text;
}

// An empty network namespace whose `lo` has 192.0.2.1, and a server on port 8000 of it that gives
// each connection to `serve` on a thread of its own.
class InnerServer {
 public:
  explicit InnerServer(std::function<void(int)> serve) : serve_(std::move(serve)) {
    if (netns_.pid() == 0) return;
    auto netns = sys::NetNs::of_process(netns_.pid());
    auto listener = netns->call([]() -> Result<UniqueFd> {
      PARE_CHECK_OK(sys::loopback_up());
      PARE_CHECK_OK(sys::add_loopback_address("192.0.2.1"));
      UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in at{};
      at.sin_family = AF_INET;
      at.sin_port = htons(8000);
      if (bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
          listen(fd.get(), 512) != 0) {
        return fail_errno("bind", errno);
      }
      return fd;
    });
    EXPECT_TRUE(listener) << listener.error().message;
    if (!listener) return;
    listener_ = std::move(*listener);
    acceptor_ = std::thread([this] {
      while (!stop_) {
        pollfd wait{listener_.get(), POLLIN, 0};
        if (poll(&wait, 1, 50) <= 0) continue;
        int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) continue;
        threads_.emplace_back([this, fd] {
          serve_(fd);
          close(fd);
        });
      }
    });
  }
  ~InnerServer() {
    stop_ = true;
    if (acceptor_.joinable()) acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
  }
  int pid() const { return netns_.pid(); }
  void stop_listening() { listener_.reset(); }

 private:
  sys::TestNetNs netns_;
  std::function<void(int)> serve_;
  UniqueFd listener_;
  std::atomic<bool> stop_{false};
  std::thread acceptor_;
  std::list<std::thread> threads_;
};

// A door on a port of 127.0.0.1 that the kernel chose.
inline Door any_door() {
  Publish publish;
  publish.address = "127.0.0.1";
  auto socket = bind_publish(publish);
  EXPECT_TRUE(socket) << socket.error().message;
  return {socket ? std::move(*socket) : UniqueFd(), 8000};
}

inline UniqueFd client_of(const Door& door) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(bound_port(door.socket));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0) << strerror(errno);
  return fd;
}

}  // namespace pare::confine
