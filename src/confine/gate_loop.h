// One thread that carries bytes between connections that it accepts and connections that it makes;
// epoll(7), level-triggered. What comes in bulk goes by splice(2) through a pipe, so that it never
// enters user space.
// What it carries is of no matter to it: HTTP/1.1, HTTP/2, streams, TLS.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "confine/gate_types.h"

namespace pare::confine {

// The two ends of a pipe.
struct Pipe {
  UniqueFd read, write;
};

struct GateListener {
  int fd = -1;  // listening, non-blocking; stays its owner's
  // A non-blocking socket whose connect(2) has been called, for an accepted `client`. An error of
  // errno EAGAIN: called again when more of the client's first bytes have come (they may be looked
  // at with MSG_PEEK).
  std::function<Result<UniqueFd>(int client)> dial;
  bool client_speaks_first = false;  // dial only when the client has sent something
};

class GateLoop {
 public:
  // `enter` runs first on the new thread, which ends with the loop: it may enter a network
  // namespace; connections are then made from there.
  static Result<std::unique_ptr<GateLoop>> start(std::vector<GateListener> listeners,
                                                 const Limits& limits,
                                                 const std::function<Status()>& enter);
  GateLoop(const GateLoop&) = delete;
  GateLoop& operator=(const GateLoop&) = delete;
  ~GateLoop();  // aborts what is still open

  // Accepts no more, lets what is open end, closes what rests after an answer; true when nothing
  // was left after `limit`.
  bool drain(std::chrono::milliseconds limit);
  Counters counters() const;

 private:
  struct Connection;
  struct Side {
    Connection* connection = nullptr;
    UniqueFd fd;
    uint32_t events = 0;  // as epoll has them; 0: it is not there
  };
  // Bytes on their way from one side to the other.
  struct Flow {
    std::unique_ptr<Pipe> pipe;  // only while it holds bytes
    size_t held = 0;
    bool bulk = false;   // much came last time: by splice(2), else copied
    bool ended = false;  // the sender has
    bool done = false;   // and the receiver was told
  };
  enum class Phase { kWaiting, kConnecting, kOpen, kDead };
  struct Connection {
    Phase phase = Phase::kWaiting;
    const GateListener* listener = nullptr;
    Side client, server;
    Flow in, out;
    bool used = false;           // a byte was carried
    bool answered_last = false;  // the last bytes came from the server
    std::chrono::steady_clock::time_point active;
    std::list<std::unique_ptr<Connection>>::iterator place;
  };
  using Time = std::chrono::steady_clock::time_point;

  GateLoop(std::vector<GateListener> listeners, const Limits& limits)
      : listeners_(std::move(listeners)), limits_(limits) {}
  Status open();
  void run();
  void handle(const epoll_event& event);
  void accept_some(const GateListener& listener);
  void listen_again();
  void connect_server(Connection& connection);
  void connected(Connection& connection);
  void on_side(Side& side, uint32_t events);
  void move(Connection& connection, bool inwards);
  bool pump(Connection& connection, bool inwards);
  ssize_t fill(Flow& flow, int from);
  ssize_t copy(Connection& connection, bool inwards, int from, int to);
  void carried(Connection& connection, bool inwards, size_t bytes);
  void arm(Connection& connection);
  void want(Side& side, uint32_t events);
  void close(Connection& connection, bool abort);
  void touch(Connection& connection);
  void sweep();
  std::unique_ptr<Pipe> take_pipe();

  std::vector<GateListener> listeners_;
  Limits limits_;
  UniqueFd epoll_, wake_;
  bool accepting_ = false;
  Time now_, swept_;
  std::list<std::unique_ptr<Connection>> open_;    // the longest idle first
  std::vector<std::unique_ptr<Connection>> dead_;  // until the current events are done
  std::vector<std::unique_ptr<Pipe>> pipes_;       // empty
  std::vector<char> buffer_ = std::vector<char>(32 << 10);
  std::atomic<bool> stop_{false}, draining_{false};
  std::atomic<uint64_t> accepted_{0}, count_{0}, refused_{0}, idle_closed_{0}, bytes_in_{0},
      bytes_out_{0};
  std::thread thread_;
};

}  // namespace pare::confine
