// For tests alone: a small HTTP/1.1 server inside a network namespace.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "base/unique_fd.h"
#include "check/check.h"
#include "sys/netns.h"
#include "sys/testing_netns.h"

namespace pare::check {

struct FakeRequest {
  std::string method, path, headers, body;
};

struct FakeResponse {
  int status = 200;
  std::string body;
  std::string type = "application/json";
  std::string raw;            // instead of all that
  bool chunks_apart = false;  // the body's lines one by one, a moment between them
};

using Handler = std::function<FakeResponse(const FakeRequest&)>;

class FakeServer {
 public:
  FakeServer(int pid, uint16_t port, Handler handler, const std::string& address = "0.0.0.0")
      : handler_(std::move(handler)) {
    auto ns = sys::NetNs::of_process(pid);
    if (!ns) {
      ADD_FAILURE() << ns.error().message;
      return;
    }
    Status up = ns->call([] { return sys::loopback_up(); });
    EXPECT_TRUE(up) << up.error().message;
    auto made = ns->call([&] { return listen_on(address, port); });
    if (!made) return;
    listener_ = std::move(*made);
    thread_ = std::thread([this] { accept_loop(); });
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;
  ~FakeServer() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    for (auto& worker : workers_) worker.join();
  }

  int requests() const { return requests_; }
  std::vector<FakeRequest> seen() {
    std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  static UniqueFd listen_on(const std::string& address, uint16_t port) {
    bool v6 = address.find(':') != std::string::npos;
    UniqueFd fd(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in6 to6{};
    sockaddr_in to{};
    to6.sin6_family = AF_INET6;
    to.sin_family = AF_INET;
    to6.sin6_port = to.sin_port = htons(port);
    if (v6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    inet_pton(v6 ? AF_INET6 : AF_INET, address.c_str(),
              v6 ? static_cast<void*>(&to6.sin6_addr) : static_cast<void*>(&to.sin_addr));
    int bound = v6 ? bind(fd.get(), reinterpret_cast<sockaddr*>(&to6), sizeof to6)
                   : bind(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to);
    EXPECT_EQ(bound, 0) << address << " port " << port;
    EXPECT_EQ(listen(fd.get(), 64), 0);
    return fd;
  }

  void accept_loop() {
    while (!stop_) {
      pollfd waiting{listener_.get(), POLLIN, 0};
      if (poll(&waiting, 1, 2) <= 0) continue;
      int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      workers_.emplace_back([this, fd] { serve(UniqueFd(fd)); });
    }
  }

  void serve(UniqueFd fd) {
    FakeRequest request;
    if (!read_request(fd.get(), request)) return;
    ++requests_;
    {
      std::lock_guard lock(mutex_);
      seen_.push_back(request);
    }
    FakeResponse response = handler_(request);
    std::string head = response.raw;
    if (head.empty()) {
      head = "HTTP/1.1 " + std::to_string(response.status) +
             " x\r\nContent-Type: " + response.type +
             "\r\nContent-Length: " + std::to_string(response.body.size()) +
             "\r\nConnection: close\r\n\r\n";
    }
    send_all(fd.get(), head);
    if (!response.chunks_apart) return send_all(fd.get(), response.body);
    for (const auto& line : base::split(response.body, '\n')) {
      send_all(fd.get(), line == response.body ? line : line + "\n");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  bool read_request(int fd, FakeRequest& request) const {
    std::string text;
    size_t head = std::string::npos;
    size_t wanted = 0;
    while (head == std::string::npos || text.size() < head + 4 + wanted) {
      char buffer[65536];
      pollfd waiting{fd, POLLIN, 0};
      while (poll(&waiting, 1, 10) == 0) {
        if (stop_) return false;
      }
      ssize_t n = recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) return false;
      text.append(buffer, static_cast<size_t>(n));
      head = text.find("\r\n\r\n");
      size_t length = base::lower(text).find("content-length: ");
      if (length != std::string::npos) wanted = std::stoul(text.substr(length + 16));
    }
    auto first = base::split(text.substr(0, text.find("\r\n")), ' ');
    request.method = first[0];
    request.path = first.size() > 1 ? first[1] : "";
    request.headers = text.substr(0, head + 2);
    request.body = text.substr(head + 4);
    return true;
  }

  static void send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }

  Handler handler_;
  UniqueFd listener_;
  std::thread thread_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::vector<FakeRequest> seen_;
  std::atomic<int> requests_ = 0;
  std::atomic<bool> stop_ = false;
};

// A container without one: a namespace with the check address, ports 8000 to 8003 reachable.
class CheckTest : public testing::Test {
 protected:
  void SetUp() override {
    PARE_NEEDS_NETNS(process_);
    subject_.pid = process_.pid();
    subject_.reachable = {8000, 8001, 8002, 8003};
    Status prepared = prepare_network(subject_);
    ASSERT_TRUE(prepared) << prepared.error().message;
  }

  CheckResult check(const std::string& text) {
    auto spec = parse_spec(text);
    EXPECT_TRUE(spec) << spec.error().message;
    if (!spec) return {};
    auto result = run(*spec, subject_);
    EXPECT_TRUE(result) << result.error().message;
    return result ? *result : CheckResult{};
  }
  // "pass", or why not.
  std::string verdict(const std::string& text) {
    CheckResult result = check(text);
    return result.pass ? "pass" : result.why;
  }

  sys::TestNetNs process_;
  Subject subject_;
};

inline Handler always(int status, const std::string& body) {
  return [=](const FakeRequest&) { return FakeResponse{.status = status, .body = body}; };
}

}  // namespace pare::check
