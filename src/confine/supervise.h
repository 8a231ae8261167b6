// A proved server as a static appliance: started, waited for, sealed, published through gates,
// watched, started again, drained and stopped.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "confine/gate.h"
#include "confine/gate_paths.h"
#include "confine/seal.h"
#include "confine/serve_log.h"
#include "confine/serve_metrics.h"
#include "confine/serve_plan.h"
#include "engine/engine.h"

namespace pare::check {
class ClosedNetwork;
}

namespace pare::confine {

enum class Restart { kNever, kOnFailure, kAlways };

// One way in.
struct Entrance {
  Publish publish;                // inner_port is set
  std::vector<PathRule> allowed;  // not empty: an HTTP gate that lets these alone through
};

struct SuperviseOptions {
  std::string id;         // of the containers, "-N" is added; starts with "pare-" and the session
  std::string directory;  // the session's, for the seal's socket
  std::vector<Entrance> entrances;
  std::optional<Publish> metrics;
  bool seal = true;
  Limits limits;
  LogLimits log;
  Restart restart = Restart::kOnFailure;
  std::chrono::milliseconds ready_limit{600'000};  // from a start until every check has passed
  std::chrono::milliseconds health_every{30'000};  // 0: never
  int health_failures = 3;                         // in a row: the server is started again
  std::chrono::milliseconds drain_limit{30'000}, stop_limit{10'000};
  std::function<void(const std::string&)> tell;      // what happens, one sentence
  std::function<void(std::string_view)> server_log;  // a line of the server's
  std::function<void()> ready;                       // once, when it first serves
};

class Supervisor {
 public:
  Supervisor(ServePlan plan, engine::Engine& engine, SuperviseOptions options);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor();

  // Until `stop` becomes true (then drained: 0), or the server ended and is not started again (its
  // exit code, at least 1 where it never became ready). An Error is the host's or the options'.
  Result<int> run(const std::atomic<bool>& stop);
  Snapshot snapshot() const;

 private:
  struct Life;  // of one container
  Status open_doors();
  Result<std::unique_ptr<Life>> start_life(const std::atomic<bool>& stop);
  Status become_ready(Life& life, const std::atomic<bool>& stop);
  Status open_gates(Life& life);
  void watch(Life& life, const std::atomic<bool>& stop);
  bool healthy(Life& life);
  static bool drain_gates(Life& life, std::chrono::milliseconds limit);
  void end_life(Life& life, bool drain);
  bool pause(std::chrono::milliseconds time, const std::atomic<bool>& stop) const;
  static void count(const Life& life, Snapshot& sum);
  void tell(const std::string& text) const;

  ServePlan plan_;
  std::vector<std::string> withheld_;  // keys of the image's own
  engine::Engine& engine_;
  SuperviseOptions options_;
  std::vector<Door> doors_;
  std::unique_ptr<MetricsServer> metrics_;
  mutable std::mutex mutex_;  // life_ and past_, which a scraper reads
  std::unique_ptr<Life> life_;
  Snapshot past_;  // of the lives that have ended
  int serial_ = 0;
  bool announced_ = false;
};

}  // namespace pare::confine
