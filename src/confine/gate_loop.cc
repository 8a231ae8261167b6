#include "confine/gate_loop.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "sys/deadline.h"
#include "sys/threads.h"

namespace pare::confine {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr size_t kChunk = 1 << 20;  // at most; a pipe takes 64 KiB unless it was made larger
// What comes in small pieces is copied: for a few hundred bytes that costs less than a pipe. Half
// of the smallest pipe, so that one takes what a receiver does not.
constexpr size_t kCopied = 32 << 10;
constexpr int kPipeBytes = 256 << 10;
constexpr size_t kSparePipes = 64;
constexpr int kRounds = 8;  // of one connection before another's turn
// While draining: an answer's end is taken to be there when nothing followed it for this long.
constexpr milliseconds kRest{2000};

// A proxy adds no waiting of its own (Nagle's algorithm with delayed acknowledgements).
void no_delay(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // of a unix socket: no such option
}

void reset_on_close(int fd) {
  linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

int pending_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

}  // namespace

Result<std::unique_ptr<GateLoop>> GateLoop::start(std::vector<GateListener> listeners,
                                                  const Limits& limits,
                                                  const std::function<Status()>& enter) {
  std::unique_ptr<GateLoop> loop(new GateLoop(std::move(listeners), limits));
  PARE_CHECK_OK(loop->open());
  // SIGPIPE of splice(2) is among the signals that it does not get.
  PARE_TRY(loop->thread_, sys::start_thread([gate = loop.get()] { gate->run(); }, enter));
  return loop;
}

GateLoop::~GateLoop() {
  stop_ = true;
  eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

Status GateLoop::open() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_.valid() || !wake_.valid()) return fail_errno("cannot make an epoll", errno);
  epoll_event event{EPOLLIN, {.ptr = nullptr}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    return fail_errno("cannot use epoll", errno);
  }
  return {};
}

bool GateLoop::drain(milliseconds limit) {
  draining_ = true;
  eventfd_write(wake_.get(), 1);
  sys::Deadline deadline(limit);
  while (count_ > 0) {
    if (!deadline.sleep(milliseconds(10))) return false;
  }
  return true;
}

Counters GateLoop::counters() const {
  Counters c;
  c.accepted = accepted_;
  c.open = count_;
  c.refused = refused_;
  c.idle_closed = idle_closed_;
  c.bytes_in = bytes_in_;
  c.bytes_out = bytes_out_;
  return c;
}

void GateLoop::run() {
  now_ = swept_ = Clock::now();
  listen_again();
  std::array<epoll_event, 256> events{};
  while (!stop_) {
    int n = epoll_wait(epoll_.get(), events.data(), events.size(), 500);
    now_ = Clock::now();
    for (int i = 0; i < n; ++i) handle(events[static_cast<size_t>(i)]);
    dead_.clear();
    sweep();
  }
  for (auto& connection : open_) {
    reset_on_close(connection->client.fd.get());
    reset_on_close(connection->server.fd.get());
  }
  open_.clear();
  count_ = 0;
}

// What a pointer of an event is: none for the wake-up, a listener, or a side of a connection.
void GateLoop::handle(const epoll_event& event) {
  if (event.data.ptr == nullptr) {
    eventfd_t ignored = 0;
    eventfd_read(wake_.get(), &ignored);
    return;
  }
  for (const GateListener& listener : listeners_) {
    if (event.data.ptr == &listener) return accept_some(listener);
  }
  on_side(*static_cast<Side*>(event.data.ptr), event.events);
}

void GateLoop::accept_some(const GateListener& listener) {
  for (int i = 0; i < 16 && count_ < limits_.connections; ++i) {
    UniqueFd client(accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.valid()) {
      // No descriptors or memory: what waits is tried again after a while.
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) break;
      return;
    }
    ++accepted_;
    ++count_;
    no_delay(client.get());
    auto made = std::make_unique<Connection>();
    Connection& connection = *made;
    connection.listener = &listener;
    connection.client.connection = connection.server.connection = &connection;
    connection.client.fd = std::move(client);
    connection.active = now_;
    connection.place = open_.insert(open_.end(), std::move(made));
    if (listener.client_speaks_first) {
      want(connection.client, EPOLLIN);
    } else {
      connect_server(connection);
    }
    if (i == 15) return;
  }
  // Full: the rest waits in the listeners' queues.
  if (accepting_) {
    accepting_ = false;
    for (const GateListener& l : listeners_) {
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, l.fd, nullptr);
    }
  }
}

void GateLoop::listen_again() {
  if (accepting_ || draining_ || count_ >= limits_.connections) return;
  accepting_ = true;
  for (GateListener& listener : listeners_) {
    // Several loops may wait for one listener; a connection wakes one of them.
    epoll_event event{EPOLLIN | EPOLLEXCLUSIVE, {.ptr = &listener}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener.fd, &event);
  }
}

void GateLoop::connect_server(Connection& connection) {
  auto server = connection.listener->dial(connection.client.fd.get());
  if (!server) {
    if (server.error().sys_errno == EAGAIN) return;
    ++refused_;
    return close(connection, true);
  }
  connection.server.fd = std::move(*server);
  connection.phase = Phase::kConnecting;
  want(connection.client, 0);
  want(connection.server, EPOLLOUT);
}

void GateLoop::connected(Connection& connection) {
  if (pending_error(connection.server.fd.get()) != 0) {
    ++refused_;
    return close(connection, true);
  }
  no_delay(connection.server.fd.get());
  connection.phase = Phase::kOpen;
  touch(connection);
  move(connection, true);  // the request is often there already
}

void GateLoop::on_side(Side& side, uint32_t events) {
  Connection& connection = *side.connection;
  bool from_client = &side == &connection.client;
  switch (connection.phase) {
    case Phase::kDead:
      return;
    case Phase::kWaiting:
      return connect_server(connection);
    case Phase::kConnecting:
      // Of the client only its end is heard now.
      return from_client ? close(connection, true) : connected(connection);
    case Phase::kOpen:
      break;
  }
  constexpr uint32_t kOver = EPOLLERR | EPOLLHUP;
  if ((events & (EPOLLIN | kOver)) != 0) move(connection, from_client);
  if (connection.phase != Phase::kOpen) return;
  if ((events & (EPOLLOUT | kOver)) != 0) move(connection, !from_client);
  if (connection.phase != Phase::kOpen) return;
  // Nothing can be written to this side any more, and nothing comes from it.
  const Flow& from = from_client ? connection.in : connection.out;
  if ((events & EPOLLERR) != 0 || ((events & EPOLLHUP) != 0 && from.ended)) close(connection, true);
}

void GateLoop::move(Connection& connection, bool inwards) {
  if (!pump(connection, inwards)) return close(connection, true);
  if (connection.in.done && connection.out.done) return close(connection, false);
  arm(connection);
}

// False when a side is broken.
bool GateLoop::pump(Connection& connection, bool inwards) {
  Flow& flow = inwards ? connection.in : connection.out;
  int from = (inwards ? connection.client : connection.server).fd.get();
  int to = (inwards ? connection.server : connection.client).fd.get();
  for (int round = 0; round < kRounds && !flow.ended; ++round) {
    ssize_t came = 0;
    if (flow.held == 0) {
      came = flow.bulk ? fill(flow, from) : copy(connection, inwards, from, to);
      if (came < 0 && errno == EINTR) continue;
      if (came < 0 && errno != EAGAIN) return false;
      if (came < 0) break;
      flow.ended = came == 0;
      flow.bulk = static_cast<size_t>(came) >= kCopied;
    }
    while (flow.held > 0) {
      ssize_t n = splice(flow.pipe->read.get(), nullptr, to, nullptr, flow.held,
                         SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return true;  // the pipe keeps what the receiver does not take
      if (n <= 0) return false;
      flow.held -= static_cast<size_t>(n);
      carried(connection, inwards, static_cast<size_t>(n));
    }
    if (!flow.bulk) break;  // there is hardly more; if there is, epoll says so
  }
  if (flow.held == 0 && flow.pipe) {
    if (pipes_.size() < kSparePipes) pipes_.push_back(std::move(flow.pipe));
    flow.pipe.reset();
  }
  if (flow.ended && flow.held == 0 && !flow.done) {
    flow.done = true;
    shutdown(to, SHUT_WR);  // a half-close is carried on as one
  }
  return true;
}

// From the sender into the flow's pipe: how much, as splice(2) says it.
ssize_t GateLoop::fill(Flow& flow, int from) {
  if (!flow.pipe) flow.pipe = take_pipe();
  if (!flow.pipe) return errno = EMFILE, -1;
  ssize_t n = splice(from, nullptr, flow.pipe->write.get(), nullptr, kChunk,
                     SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n > 0) flow.held = static_cast<size_t>(n);
  return n;
}

// From the sender to the receiver; what that does not take goes into the flow's pipe.
ssize_t GateLoop::copy(Connection& connection, bool inwards, int from, int to) {
  ssize_t came = recv(from, buffer_.data(), buffer_.size(), 0);
  if (came <= 0) return came;
  ssize_t went = send(to, buffer_.data(), static_cast<size_t>(came), MSG_NOSIGNAL);
  if (went < 0 && errno != EAGAIN && errno != EINTR) return errno = EPIPE, -1;
  size_t done = went > 0 ? static_cast<size_t>(went) : 0;
  if (done > 0) carried(connection, inwards, done);
  if (done == static_cast<size_t>(came)) return came;
  Flow& flow = inwards ? connection.in : connection.out;
  flow.pipe = take_pipe();
  size_t left = static_cast<size_t>(came) - done;
  if (!flow.pipe ||
      write(flow.pipe->write.get(), buffer_.data() + done, left) != static_cast<ssize_t>(left)) {
    return errno = EPIPE, -1;
  }
  flow.held = left;
  return came;
}

void GateLoop::carried(Connection& connection, bool inwards, size_t bytes) {
  (inwards ? bytes_in_ : bytes_out_).fetch_add(bytes, std::memory_order_relaxed);
  connection.answered_last = !inwards;
  connection.used = true;
  touch(connection);
}

// Reading stops while the other side takes nothing: the sender's window then fills up.
void GateLoop::arm(Connection& connection) {
  auto events = [](const Flow& from, const Flow& to) {
    uint32_t wanted = from.ended || from.held > 0 ? 0U : static_cast<uint32_t>(EPOLLIN);
    return to.held > 0 ? wanted | EPOLLOUT : wanted;
  };
  want(connection.client, events(connection.in, connection.out));
  want(connection.server, events(connection.out, connection.in));
}

// A side that waits for nothing is taken out: its hang-up would be reported again and again.
void GateLoop::want(Side& side, uint32_t events) {
  if (side.events == events) return;
  epoll_event event{events, {.ptr = &side}};
  int operation = side.events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  epoll_ctl(epoll_.get(), operation, side.fd.get(), &event);
  side.events = events;
}

void GateLoop::close(Connection& connection, bool abort) {
  if (abort) {
    reset_on_close(connection.client.fd.get());
    if (connection.server.fd.valid()) reset_on_close(connection.server.fd.get());
  }
  connection.phase = Phase::kDead;
  for (Side* side : {&connection.client, &connection.server}) {
    // By hand: a child that was forked and has not reached execve(2) keeps the socket open, and
    // with it the registration, whose pointer dies here.
    if (side->events != 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, side->fd.get(), nullptr);
    side->fd.reset();
  }
  dead_.push_back(std::move(*connection.place));
  open_.erase(connection.place);
  --count_;
  listen_again();
}

void GateLoop::touch(Connection& connection) {
  connection.active = now_;
  open_.splice(open_.end(), open_, connection.place);
}

void GateLoop::sweep() {
  if (now_ - swept_ < milliseconds(100)) return;
  swept_ = now_;
  if (draining_ && accepting_) {
    accepting_ = false;
    for (const GateListener& listener : listeners_) {
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener.fd, nullptr);
    }
  }
  listen_again();  // also after a want of descriptors
  for (auto it = open_.begin(); it != open_.end();) {
    Connection& connection = **it++;  // close() takes it out of the list
    milliseconds rest = std::chrono::duration_cast<milliseconds>(now_ - connection.active);
    bool open = connection.phase == Phase::kOpen;
    milliseconds limit = open ? limits_.idle : std::min(limits_.connect, limits_.idle);
    bool unused = !connection.used;
    bool rests = draining_ && open && rest >= kRest && (connection.answered_last || unused);
    if (rest >= limit) {
      ++(open ? idle_closed_ : refused_);
      close(connection, true);
    } else if (rests) {
      close(connection, false);
    }
  }
  dead_.clear();
}

std::unique_ptr<Pipe> GateLoop::take_pipe() {
  if (!pipes_.empty()) {
    auto pipe = std::move(pipes_.back());
    pipes_.pop_back();
    return pipe;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return nullptr;
  fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);  // beyond the user's limit it stays as it is
  auto pipe = std::make_unique<Pipe>();
  pipe->read.reset(ends[0]);
  pipe->write.reset(ends[1]);
  return pipe;
}

}  // namespace pare::confine
