// What a supervised server is doing, for Prometheus, on a socket that is bound where it is told.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "confine/gate_types.h"
#include "confine/serve_log.h"

namespace pare::confine {

struct Snapshot {
  bool up = false, sealed = false;
  uint64_t restarts = 0;
  uint64_t health_failures = 0;
  std::map<std::string, Counters> gates;    // by where they listen
  std::map<std::string, uint64_t> denials;  // by call
  LogCounters log;
};

// The text exposition format, version 0.0.4.
std::string metrics_text(const Snapshot& snapshot);

// Answers GET /metrics on a bound socket.
class MetricsServer {
 public:
  static Result<std::unique_ptr<MetricsServer>> open(UniqueFd socket,
                                                     std::function<Snapshot()> snapshot);
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;
  ~MetricsServer();

 private:
  MetricsServer(UniqueFd socket, std::function<Snapshot()> snapshot)
      : socket_(std::move(socket)), snapshot_(std::move(snapshot)) {}
  void run();
  void answer(int client) const;

  UniqueFd socket_;
  std::function<Snapshot()> snapshot_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace pare::confine
