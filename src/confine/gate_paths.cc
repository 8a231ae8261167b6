#include "confine/gate_paths.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <iterator>
#include <optional>

#include "sys/netns.h"
#include "sys/threads.h"

namespace pare::confine {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::beast::error_code;
using std::chrono::milliseconds;

namespace {

constexpr size_t kMostThreads = 512;
constexpr std::array<http::field, 6> kHopByHop = {
    http::field::connection, http::field::keep_alive, http::field::proxy_connection,
    http::field::te,         http::field::upgrade,    http::field::expect};

error_code system_error(int err) {
  return {err, boost::system::system_category()};
}

// A SyncReadStream and SyncWriteStream of Beast over a non-blocking socket with a time limit.
class Stream {
 public:
  // `stop` ends every wait.
  Stream(UniqueFd fd, milliseconds limit, std::atomic<uint64_t>& bytes,
         const std::atomic<bool>& stop)
      : fd_(std::move(fd)), limit_(limit), bytes_(bytes), stop_(stop) {
    int on = 1;
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }

  // What came; asio::error::eof at the end.
  template <typename Buffers>
  size_t read_some(const Buffers& buffers, error_code& ec) {
    auto parts = vectors(buffers);
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    while (true) {
      if (stop_) return ec = system_error(ECANCELED), 0;  // also where a body never ends
      ssize_t n = recvmsg(fd_.get(), &message, 0);
      if (n > 0) return bytes_ += static_cast<uint64_t>(n), ec = {}, static_cast<size_t>(n);
      if (n == 0) return ec = asio::error::eof, 0;
      if (!await(POLLIN, ec)) return 0;
    }
  }
  template <typename Buffers>
  size_t write_some(const Buffers& buffers, error_code& ec) {
    auto parts = vectors(buffers);
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    while (true) {
      ssize_t n = sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
      if (n >= 0) return ec = {}, static_cast<size_t>(n);
      if (!await(POLLOUT, ec)) return 0;
    }
  }
  template <typename Buffers>
  size_t read_some(const Buffers& buffers) {
    error_code ec;
    return read_some(buffers, ec);
  }
  template <typename Buffers>
  size_t write_some(const Buffers& buffers) {
    error_code ec;
    return write_some(buffers, ec);
  }

  // Whether it becomes ready before the limit, and before `end` or `stop` is set.
  bool ready(short events, const std::atomic<bool>& end) const {
    for (milliseconds waited{0}; waited < limit_ && !end && !stop_; waited += kSlice) {
      pollfd wait{fd_.get(), events, 0};
      if (poll(&wait, 1, static_cast<int>(std::min(kSlice, limit_).count())) > 0) return true;
    }
    return false;
  }
  // Nothing comes unasked between two answers but the end.
  bool ended() const {
    pollfd now{fd_.get(), POLLIN, 0};
    return poll(&now, 1, 0) != 0;
  }
  int fd() const { return fd_.get(); }

 private:
  static constexpr milliseconds kSlice{200};

  template <typename Buffers>
  static std::vector<iovec> vectors(const Buffers& buffers) {
    std::vector<iovec> parts;
    for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers);
         ++it) {
      asio::const_buffer part(*it);
      if (parts.size() < 64) parts.push_back({const_cast<void*>(part.data()), part.size()});
    }
    return parts;
  }
  bool await(short events, error_code& ec) const {
    if (errno == EINTR) return true;
    if (errno != EAGAIN) return ec = system_error(errno), false;
    if (ready(events, stop_)) return true;
    return ec = system_error(ETIMEDOUT), false;
  }

  UniqueFd fd_;
  milliseconds limit_;
  std::atomic<uint64_t>& bytes_;
  const std::atomic<bool>& stop_;
};

void write_text(Stream& to, std::string_view text) {
  error_code ec;
  asio::write(to, asio::buffer(text.data(), text.size()), ec);
}

void answer(Stream& client, std::string_view status, std::string_view text) {
  write_text(client, "HTTP/1.1 " + std::string(status) +
                         "\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: " +
                         std::to_string(text.size()) + "\r\n\r\n" + std::string(text));
}

// Carries a message whose header has been read, its body as it comes; false when a side broke.
template <bool kRequest>
bool carry(Stream& from, Stream& to, boost::beast::flat_buffer& buffer,
           http::parser<kRequest, http::buffer_body>& parser) {
  std::array<char, 16384> part{};
  http::serializer<kRequest, http::buffer_body> serializer(parser.get());
  error_code ec;
  http::write_header(to, serializer, ec);
  if (ec) return false;
  auto& body = parser.get().body();
  bool more = true;
  while (more) {
    size_t n = 0;
    if (!parser.is_done()) {
      body.data = part.data();
      body.size = part.size();
      http::read_some(from, buffer, parser, ec);
      if (ec == asio::error::eof && kRequest) return false;
      if (ec == http::error::need_buffer) ec = {};
      if (ec == asio::error::eof || ec == http::error::end_of_stream) {
        parser.put_eof(ec);  // a body that its sender ends by closing
      }
      if (ec) return false;
      n = part.size() - body.size;
    }
    more = !parser.is_done();
    if (n == 0 && more) continue;
    body.data = n > 0 ? part.data() : nullptr;
    body.size = n;
    body.more = more;
    http::write(to, serializer, ec);
    if (ec == http::error::need_buffer) ec = {};
    if (ec) return false;
  }
  return true;
}

// Whether the body's length is said in one way. Beast takes other codings beside "chunked", and
// writes what it read by the first field alone: a server that goes by the last one would read the
// body as further requests (RFC 9112, sections 6.1 and 11.2).
bool framed_plainly(const http::request_header<>& head) {
  auto [first, last] = head.equal_range(http::field::transfer_encoding);
  if (first == last) return true;
  return std::next(first) == last && head.version() == 11 &&
         boost::beast::iequals(first->value(), "chunked");
}

class Conversation {
 public:
  Conversation(Stream& client, const std::vector<PathRule>& rules,
               std::function<Result<Stream>()> dial)
      : client_(client), rules_(rules), dial_(std::move(dial)) {}

  // Bytes of the next request came with the last.
  bool has_more() const { return from_client_.size() > 0; }

  enum class Next { kAgain, kEnd, kDenied, kUnreachable };
  // One request and its answer.
  Next turn(std::atomic<uint64_t>& requests) {
    http::request_parser<http::buffer_body> request;
    request.header_limit(64 << 10);
    request.body_limit(UINT64_MAX);
    error_code ec;
    http::read_header(client_, from_client_, request, ec);
    if (ec == http::error::end_of_stream) return Next::kEnd;
    if (ec) return answer(client_, "400 Bad Request", "this gate takes HTTP/1.1\n"), Next::kDenied;
    ++requests;
    auto& head = request.get();
    if (!framed_plainly(head)) {
      return answer(client_, "400 Bad Request", "this gate takes no coding but chunked\n"),
             Next::kDenied;
    }
    auto target = head.target(), method = head.method_string();
    if (!allows(rules_, {method.data(), method.size()}, {target.data(), target.size()})) {
      answer(client_, "403 Forbidden", "not one of the paths that this gate lets through\n");
      return Next::kDenied;
    }
    bool head_only = head.method() == http::verb::head;
    bool keep = request.keep_alive();
    if (head[http::field::expect] == "100-continue") {
      write_text(client_, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    for (http::field field : kHopByHop) head.erase(field);
    // Servers close what rests for a few seconds, and clients of the gate may rest for longer; what
    // came behind an answer is none to this request.
    if (server_ && (server_->ended() || from_server_.size() > 0)) server_.reset();
    if (!server_) {
      from_server_.clear();
      auto server = dial_();
      if (!server) return unreachable();
      server_.emplace(std::move(*server));
    }
    if (!carry(client_, *server_, from_client_, request)) return unreachable();
    return hand_back(head_only, keep);
  }

 private:
  Next unreachable() {
    answer(client_, "502 Bad Gateway", "the server does not answer\n");
    return Next::kUnreachable;
  }

  Next hand_back(bool head_only, bool keep) {
    for (int informational = 0; informational < 8; ++informational) {
      http::response_parser<http::buffer_body> response;
      response.header_limit(64 << 10);
      response.body_limit(UINT64_MAX);
      response.skip(head_only);
      error_code ec;
      http::read_header(*server_, from_server_, response, ec);
      if (ec) return unreachable();
      auto& head = response.get();
      if (head.result_int() == 101) return unreachable();  // nobody asked to upgrade
      if (head.result_int() < 200) continue;
      bool server_keeps = response.keep_alive() && !response.need_eof();
      keep = keep && server_keeps;
      head.erase(http::field::keep_alive);
      head.keep_alive(keep);
      if (!carry(*server_, client_, from_server_, response)) return Next::kEnd;
      if (!server_keeps) server_.reset();
      return keep ? Next::kAgain : Next::kEnd;
    }
    return unreachable();
  }

  Stream& client_;
  const std::vector<PathRule>& rules_;
  std::function<Result<Stream>()> dial_;
  std::optional<Stream> server_;
  boost::beast::flat_buffer from_client_, from_server_;
};

}  // namespace

Result<std::unique_ptr<PathGate>> PathGate::open(const Door& door, const Inside& inside,
                                                 const Limits& limits,
                                                 std::vector<PathRule> rules) {
  if (rules.empty()) {
    return fail(ErrorKind::kUsage,
                "no path would be let through: the proof's checks name none for this port; give "
                "--allow 'METHOD PATH'");
  }
  PARE_CHECK_OK(listen_on(door.socket));
  PARE_TRY(sys::NetNs netns, sys::NetNs::of_process(inside.pid));
  std::unique_ptr<PathGate> gate(
      new PathGate(door.socket.get(), door.inner_port, inside, limits, std::move(rules)));
  // Threads that it starts are in the namespace, too.
  PARE_TRY(gate->thread_,
           sys::start_thread([g = gate.get()] { g->run(); }, [&netns] { return netns.enter(); }));
  return gate;
}

PathGate::~PathGate() {
  draining_ = stop_ = true;
  if (thread_.joinable()) thread_.join();
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return open_ == 0; });
}

void PathGate::run() {
  size_t most = std::min(limits_.connections, kMostThreads);
  while (!draining_) {
    pollfd wait{listener_, POLLIN, 0};
    {
      std::unique_lock lock(mutex_);
      auto room = [&] { return open_ < most || draining_; };
      if (!ended_.wait_for(lock, milliseconds(100), room)) continue;
    }
    if (poll(&wait, 1, 100) <= 0) continue;
    UniqueFd client(accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.valid()) continue;
    ++accepted_;
    {
      std::lock_guard guard(mutex_);
      ++open_;
    }
    int fd = client.release();
    auto ended = [this] {
      std::lock_guard guard(mutex_);
      --open_;
      ended_.notify_all();
    };
    Status started = sys::start_detached([this, fd, ended] {
      serve(UniqueFd(fd));
      ended();
    });
    if (started) continue;
    ++refused_;
    ::close(fd);
    ended();
  }
}

void PathGate::serve(UniqueFd fd) {
  Stream client(std::move(fd), limits_.idle, bytes_in_, stop_);
  auto dial = [this]() -> Result<Stream> {
    PARE_TRY(UniqueFd server, connect_to(inside_.address, port_, true));
    pollfd wait{server.get(), POLLOUT, 0};
    int error = 0;
    socklen_t size = sizeof error;
    if (poll(&wait, 1, static_cast<int>(limits_.connect.count())) <= 0 ||
        getsockopt(server.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
      return fail_errno("cannot reach the server", error);
    }
    return Stream(std::move(server), limits_.idle, bytes_out_, stop_);
  };
  Conversation conversation(client, rules_, dial);
  while (conversation.has_more() || client.ready(POLLIN, draining_)) {
    switch (conversation.turn(requests_)) {
      case Conversation::Next::kAgain:
        continue;
      case Conversation::Next::kDenied:
        ++denied_;
        break;
      case Conversation::Next::kUnreachable:
        ++refused_;
        break;
      case Conversation::Next::kEnd:
        break;
    }
    break;
  }
  shutdown(client.fd(), SHUT_WR);
}

bool PathGate::drain(milliseconds limit) {
  draining_ = true;
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, limit, [this] { return open_ == 0; });
}

Counters PathGate::counters() const {
  Counters c;
  c.accepted = accepted_;
  c.refused = refused_;
  c.requests = requests_;
  c.denied = denied_;
  c.bytes_in = bytes_in_;
  c.bytes_out = bytes_out_;
  std::lock_guard guard(mutex_);
  c.open = open_;
  return c;
}

}  // namespace pare::confine
