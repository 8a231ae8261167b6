// A gate that lets chosen requests through: some servers have metrics and management on the
// inference port itself, where ports cannot part them. HTTP/1.1 by Boost.Beast: every message is
// parsed, judged and written anew, so that gate and server cannot read it differently.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "check/check.h"
#include "confine/gate.h"

namespace pare::confine {

struct PathRule {
  std::string method;
  std::string path;     // without the query
  bool prefix = false;  // "/v2/models/*": all below
  bool operator==(const PathRule&) const = default;
};

// "POST /v1/completions", "GET /v2/models/*". kUsage says what is wrong.
Result<PathRule> parse_path_rule(const std::string& text);
// What the checks of a proof ask of the port `inner_port`.
std::vector<PathRule> rules_of(const std::vector<check::Spec>& checks, uint16_t inner_port);
// `target` as in the request line. What could be read as another path ('%', "//", "..", a full URL)
// matches nothing.
bool allows(const std::vector<PathRule>& rules, std::string_view method, std::string_view target);

class PathGate {
 public:
  // Listens from now on; a thread for each connection.
  static Result<std::unique_ptr<PathGate>> open(const Door& door, const Inside& inside,
                                                const Limits& limits, std::vector<PathRule> rules);
  PathGate(const PathGate&) = delete;
  PathGate& operator=(const PathGate&) = delete;
  ~PathGate();

  bool drain(std::chrono::milliseconds limit);
  Counters counters() const;

 private:
  PathGate(int listener, uint16_t port, const Inside& inside, const Limits& limits,
           std::vector<PathRule> rules)
      : listener_(listener),
        port_(port),
        inside_(inside),
        limits_(limits),
        rules_(std::move(rules)) {}
  void run();
  void serve(UniqueFd client);

  int listener_;
  uint16_t port_;
  Inside inside_;
  Limits limits_;
  std::vector<PathRule> rules_;
  std::atomic<bool> draining_{false}, stop_{false};
  std::atomic<uint64_t> accepted_{0}, refused_{0}, requests_{0}, denied_{0}, bytes_in_{0},
      bytes_out_{0};
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  size_t open_ = 0;  // connections
  std::thread thread_;
};

}  // namespace pare::confine
