#include "confine/supervise.h"

#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <future>
#include <thread>

#include "check/check.h"
#include "check/closed_network.h"

namespace pare::confine {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds kStep{50};
constexpr milliseconds kLook{250};  // an exit is seen at once; each look asks a Docker daemon
constexpr milliseconds kFirstPause{1'000}, kLongestPause{60'000};
// A life this long makes the next failure a first one.
constexpr milliseconds kGoodLife{600'000};

void add(LogCounters& sum, const LogCounters& more) {
  sum.lines += more.lines;
  sum.bytes += more.bytes;
  sum.folded += more.folded;
  sum.dropped += more.dropped;
}

// One request, as light as readiness asks.
check::Spec light(check::Spec spec) {
  spec.batch = spec.repeat = 1;
  return spec;
}

std::string exit_text(const engine::ExitState& exit) {
  if (exit.oom_killed) return "was killed for want of memory";
  if (exit.code > 128) return "was killed by signal " + std::to_string(exit.code - 128);
  return "exited with code " + std::to_string(exit.code);
}

std::string cannot_seal(engine::Engine& engine) {
  return engine.runtime_version().value_or(engine.name()) +
         " does not hand the server's seccomp filter over: it cannot be sealed. Use the oci engine "
         "with runc 1.1 or later (--rootfs), Docker 23 or later, or give "
         "--no-seal: what the proof refuses stays refused, but what start-up may do stays "
         "allowed";
}

// runc's words for a profile whose listenerPath the daemon has dropped.
bool lost_listener(const Error& error) {
  return error.message.find("listenerPath is not set") != std::string::npos;
}

}  // namespace

// Members end in the reverse order: gates, container, seal, log, network.
struct Supervisor::Life {
  std::unique_ptr<check::ClosedNetwork> network;
  std::unique_ptr<LogReader> log;
  std::unique_ptr<Seal> seal;
  std::unique_ptr<engine::Container> container;
  check::Subject subject;
  std::unique_ptr<Gate> gate;  // for the entrances without a list of paths
  std::vector<std::pair<std::string, std::unique_ptr<PathGate>>> path_gates;
  std::string gate_name;
  bool ready = false;
  bool unhealthy = false;
  engine::ExitState exit;
  Clock::time_point began = Clock::now();
  std::atomic<uint64_t> health_failures{0};
};

Supervisor::Supervisor(ServePlan plan, engine::Engine& engine, SuperviseOptions options)
    : plan_(std::move(plan)), engine_(engine), options_(std::move(options)) {}

Supervisor::~Supervisor() {
  metrics_.reset();
  life_.reset();
  for (const Entrance& entrance : options_.entrances) {
    if (!entrance.publish.unix_path.empty()) unlink(entrance.publish.unix_path.c_str());
  }
}

void Supervisor::tell(const std::string& text) const {
  if (options_.tell) options_.tell(text);
}

// All are bound before anything runs, and none answers before the server is ready.
Status Supervisor::open_doors() {
  for (const Entrance& entrance : options_.entrances) {
    PARE_TRY(UniqueFd socket, bind_publish(entrance.publish));
    doors_.push_back({std::move(socket), entrance.publish.inner_port});
  }
  if (!options_.metrics) return {};
  PARE_TRY(UniqueFd socket, bind_publish(*options_.metrics));
  PARE_TRY(metrics_, MetricsServer::open(std::move(socket), [this] { return snapshot(); }));
  return {};
}

Result<int> Supervisor::run(const std::atomic<bool>& stop) {
  if (options_.seal && engine_.own_kernel()) return fail(ErrorKind::kHost, cannot_seal(engine_));
  PARE_TRY(plan_.target, engine_.resolve(plan_.target));
  withheld_ = withhold_keys(plan_.target);
  for (const std::string& name : withheld_) {
    tell(name + " is a key that the image itself sets: the server runs without it (--env " + name +
         "=VALUE gives it one)");
  }
  PARE_CHECK_OK(open_doors());
  milliseconds wait = kFirstPause;
  while (true) {
    PARE_TRY(std::unique_ptr<Life> started, start_life(stop));
    {
      std::lock_guard guard(mutex_);
      life_ = std::move(started);
    }
    Life& life = *life_;
    PARE_CHECK_OK(become_ready(life, stop));
    if (life.ready) watch(life, stop);
    bool ran_well = Clock::now() - life.began >= kGoodLife;
    bool was_ready = life.ready;
    end_life(life, stop);
    engine::ExitState exit = life.exit;
    bool failed = !was_ready || life.unhealthy || exit.code != 0;
    {
      std::lock_guard guard(mutex_);
      count(life, past_);
      for (auto& [name, gate] : past_.gates) gate.open = 0;  // it has ended
      life_.reset();
    }
    if (stop) return 0;
    bool again =
        options_.restart == Restart::kAlways || (options_.restart == Restart::kOnFailure && failed);
    if (!again) return failed ? std::max(exit.code, 1) : 0;
    if (ran_well) wait = kFirstPause;
    tell("starting again in " + std::to_string(wait.count() / 1000) + " s");
    if (!pause(wait, stop)) return 0;
    wait = std::min(wait * 2, kLongestPause);
    std::lock_guard guard(mutex_);
    ++past_.restarts;
  }
}

Result<std::unique_ptr<Supervisor::Life>> Supervisor::start_life(const std::atomic<bool>&) {
  auto life = std::make_unique<Life>();
  // Docker makes the namespace itself (network "none"): there it is set up after the start.
  bool docker = engine_.name() == "docker";
  if (!docker) {
    PARE_TRY(life->network, check::ClosedNetwork::open(plan_.policy.refusal));
  }
  PARE_TRY(life->log, LogReader::open(options_.log, options_.server_log));
  engine::CreateOptions create;
  create.id = options_.id + "-" + std::to_string(++serial_);
  create.volumes = plan_.volumes;
  if (life->network) create.netns = life->network->path();
  create.output = life->log->write_end();
  create.memory_bytes = plan_.memory_bytes;
  create.withheld = withheld_;
  if (options_.seal) {
    std::string socket = options_.directory + "/seal-" + std::to_string(serial_);
    SealPlan seal = plan_seal(plan_.policy, socket);
    create.seccomp = seal.profile;
    PARE_TRY(life->seal, Seal::open(seal, socket, [this](const Denial& d) {
               tell(std::string(d.sealed ? "sealed" : "starting") + ": refused " + d.call + "(" +
                    d.argument + ") of process " + std::to_string(d.pid) + " (" + d.program + ")");
             }));
  }
  PARE_TRY(life->container, engine_.create(plan_.target, plan_.policy, plan_.platform, create));
  if (Status started = life->container->start(); !started) {
    if (lost_listener(started.error())) return fail(ErrorKind::kHost, cannot_seal(engine_));
    return tl::unexpected(started.error());
  }
  life->log->close_write_end();
  life->subject.pid = life->container->pid();
  life->subject.exec = [c = life->container.get()](const std::vector<std::string>& argv,
                                                   milliseconds limit) {
    return c->exec(argv, limit);
  };
  for (const privilege::PortGrant& port : plan_.policy.ports) {
    life->subject.reachable.push_back(port.port);
  }
  if (docker && life->subject.pid != 0) {
    PARE_CHECK_OK(check::close_network(life->subject, plan_.policy.refusal));
  }
  return life;
}

Status Supervisor::become_ready(Life& life, const std::atomic<bool>& stop) {
  if (life.subject.pid == 0) {
    life.exit = life.container->state();
    tell("the server " + exit_text(life.exit) + " at once");
    return {};
  }
  check::Patience patience;
  patience.limit = patience.answering = options_.ready_limit;
  PARE_TRY(check::Ready ready, check::wait_ready(plan_.checks, life.subject, patience, [&] {
             return !stop && !life.container->state().exited;
           }));
  if (stop) return {};
  if (!ready.pass) {
    life.exit = life.container->state();
    tell("not ready: " + ready.name + ": " + ready.why +
         (life.exit.exited ? " (the server " + exit_text(life.exit) + ")" : ""));
    return {};
  }
  if (life.seal) {
    if (!life.seal->attached()) {
      return fail(ErrorKind::kHost, cannot_seal(engine_));
    }
    life.seal->close_for_good();
  }
  PARE_CHECK_OK(open_gates(life));
  {
    std::lock_guard guard(mutex_);
    life.ready = true;
  }
  tell(std::string("ready, ") + (life.seal ? "sealed" : "not sealed") + ", after " +
       std::to_string(static_cast<int>(ready.seconds * 1000)) + " ms");
  if (!announced_ && options_.ready) options_.ready();
  announced_ = true;
  return {};
}

Status Supervisor::open_gates(Life& life) {
  Inside inside{life.subject.pid, life.subject.address};
  std::vector<const Door*> plain;
  for (size_t i = 0; i < doors_.size(); ++i) {
    const Entrance& entrance = options_.entrances[i];
    std::string name = to_string(entrance.publish);
    if (entrance.allowed.empty()) {
      plain.push_back(&doors_[i]);
      life.gate_name += (life.gate_name.empty() ? "" : ",") + name;
      continue;
    }
    PARE_TRY(auto gate, PathGate::open(doors_[i], inside, options_.limits, entrance.allowed));
    std::lock_guard guard(mutex_);
    life.path_gates.emplace_back(name, std::move(gate));
  }
  if (plain.empty()) return {};
  PARE_TRY(auto gate, Gate::open(plain, inside, options_.limits));
  std::lock_guard guard(mutex_);
  life.gate = std::move(gate);
  return {};
}

// Until the server ends, is unhealthy, or is to stop.
void Supervisor::watch(Life& life, const std::atomic<bool>& stop) {
  std::future<bool> asked;
  auto last = Clock::now();
  int failures = 0;
  while (!stop) {
    life.exit = life.container->wait(kLook);
    if (life.exit.exited) {
      // Who comes from now on waits for the next life; what is open gets the end of what was said.
      drain_gates(life, milliseconds(100));
      tell("the server " + exit_text(life.exit));
      return;
    }
    if (asked.valid() && asked.wait_for(milliseconds(0)) == std::future_status::ready) {
      bool good = asked.get();
      last = Clock::now();
      failures = good ? 0 : failures + 1;
      if (failures >= options_.health_failures) {
        life.unhealthy = true;
        tell("unhealthy: " + std::to_string(failures) + " checks in a row failed");
        return;
      }
    }
    bool due = options_.health_every.count() > 0 && Clock::now() - last >= options_.health_every;
    if (due && !asked.valid()) {
      asked = std::async(std::launch::async, [this, &life] { return healthy(life); });
    }
  }
}

// A program inside could not be started any more: after the seal only sockets ask.
bool Supervisor::healthy(Life& life) {
  for (const check::Spec& spec : plan_.checks) {
    if (spec.kind == "exec") continue;
    auto result = check::run(light(spec), life.subject);
    if (result && result->pass) continue;
    ++life.health_failures;
    tell("health: " + spec.name + ": " + (result ? result->why : result.error().message));
    return false;
  }
  return true;
}

// False where connections were still open at the limit, which is that of all gates together.
bool Supervisor::drain_gates(Life& life, milliseconds limit) {
  auto end = Clock::now() + limit;
  auto left = [&] {
    auto rest = std::chrono::duration_cast<milliseconds>(end - Clock::now());
    return std::max(rest, milliseconds(0));
  };
  bool empty = life.gate ? life.gate->drain(left()) : true;
  for (auto& [name, gate] : life.path_gates) empty = gate->drain(left()) && empty;
  return empty;
}

void Supervisor::end_life(Life& life, bool drain) {
  if (drain && life.ready) {
    tell("draining");
    if (!drain_gates(life, options_.drain_limit)) tell("connections were still open at the limit");
  }
  if (!life.container->state().exited && life.subject.pid != 0) {
    (void)life.container->signal(SIGTERM);
    if (!life.container->wait(options_.stop_limit).exited) {
      tell("the server did not stop on SIGTERM: killed");
    }
  }
  if (auto removed = life.container->remove(); !removed) tell(removed.error().message);
}

bool Supervisor::pause(milliseconds time, const std::atomic<bool>& stop) const {
  auto end = Clock::now() + time;
  while (Clock::now() < end && !stop) std::this_thread::sleep_for(kStep);
  return !stop;
}

// Adds what one life counted; connections that are open are told as they are now.
void Supervisor::count(const Life& life, Snapshot& sum) {
  auto take = [&](const std::string& name, const Counters& counters) {
    add(sum.gates[name], counters);
    sum.gates[name].open = counters.open;
  };
  if (life.gate) take(life.gate_name, life.gate->counters());
  for (const auto& [name, gate] : life.path_gates) take(name, gate->counters());
  if (life.seal) {
    for (const auto& [call, n] : life.seal->denials()) sum.denials[call] += n;
  }
  add(sum.log, life.log->counters());
  sum.health_failures += life.health_failures;
}

Snapshot Supervisor::snapshot() const {
  std::lock_guard guard(mutex_);
  Snapshot now = past_;
  if (!life_) return now;
  now.up = life_->ready;
  now.sealed = life_->seal && life_->seal->sealed();
  count(*life_, now);
  return now;
}

}  // namespace pare::confine
