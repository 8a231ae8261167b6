#include "trial/run.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/file.h"
#include "base/text.h"
#include "base/time.h"
#include "check/closed_network.h"
#include "record/recorder.h"
#include "sys/deadline.h"
#include "trial/annotate.h"

namespace pare::trial {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

namespace {

milliseconds since(Clock::time_point begin) {
  return std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
}

double median(std::vector<double> seconds) {
  if (seconds.empty()) return 0;
  auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

// The last line that the server wrote, for people who ask why it ended.
std::string last_log_line(const std::string& path) {
  auto text = base::read_file(path);
  if (!text) return "";
  std::string_view rest = base::trim(*text);
  size_t begin = rest.rfind('\n');
  std::string line(begin == std::string_view::npos ? rest : rest.substr(begin + 1));
  if (line.size() > 200) line = line.substr(0, 197) + "...";
  return line;
}

std::string exit_clause(const engine::ExitState& exit, const std::string& log_path) {
  std::string clause = exit.oom_killed   ? "killed for want of memory"
                       : exit.code > 128 ? "killed by signal " + std::to_string(exit.code - 128)
                                         : "exited with code " + std::to_string(exit.code);
  std::string line = last_log_line(log_path);
  return line.empty() ? clause : clause + ": " + line;
}

class Session {
 public:
  explicit Session(const Start& start) : start_(start) {}

  Result<StartResult> run() {
    PARE_CHECK_OK(open());
    if (start_.until_exit) {
      stages_[0] = "start-up and idle";
      result_.exit = container_->wait(start_.patience.limit);
      if (start_.stop_at_limit) PARE_CHECK_OK(stop());
    } else {
      PARE_CHECK_OK(reach_readiness());
      if (result_.ready) PARE_CHECK_OK(run_checks());
      PARE_CHECK_OK(stop());
    }
    if (recorder_) PARE_CHECK_OK(collect_evidence());
    PARE_CHECK_OK(container_->remove());
    return std::move(result_);
  }

 private:
  Status open() {
    engine::CreateOptions options = start_.options;
    if (joins_closed_network()) {
      PARE_TRY(closed_network_, check::ClosedNetwork::open(start_.policy.refusal));
      options.netns = closed_network_->path();
    }
    PARE_TRY(container_,
             start_.engine->create(*start_.target, start_.policy, *start_.platform, options));
    if (start_.record) {
      record::Options recording;
      recording.seccomp_refusals =
          start_.policy.seccomp.has_value() || start_.policy.seccomp_default;
      recording.areas = areas();
      // A recorder that loses, for tests of what a proof makes of it.
      if (const char* entries = std::getenv("PARE_TEST_MAP_ENTRIES"))
        recording.map_entries = static_cast<uint32_t>(base::parse_u64(entries).value_or(0));
      PARE_TRY(recorder_, record::Recorder::open(recording));
      PARE_CHECK_OK(recorder_->arm(container_->cgroup_leaf()));
    }
    began_ = Clock::now();
    PARE_CHECK_OK(container_->start());
    subject_.pid = container_->pid();
    subject_.exec = [this](const std::vector<std::string>& argv, milliseconds limit) {
      return container_->exec(argv, limit);
    };
    if (!start_.detect) {
      for (const privilege::PortGrant& port : start_.policy.ports) {
        subject_.reachable.push_back(port.port);
      }
    }
    if (closed_network_ || start_.until_exit || !alive()) return {};
    return set_up_network();
  }

  // Docker makes the namespace at the start: there it is set up after the fact.
  bool joins_closed_network() const {
    const auto& shared = start_.policy.host_namespaces;
    return start_.engine->name() == "oci" && start_.options.netns.empty() &&
           !start_.options.host_network &&
           std::find(shared.begin(), shared.end(), "network") == shared.end();
  }

  // Only a namespace that belongs to this container alone is changed.
  Status set_up_network() {
    if (start_.options.host_network) {
      subject_.address = "127.0.0.1";
      return {};
    }
    bool closed = !start_.policy.egress_any && start_.options.netns.empty();
    return unless_ended(closed ? check::close_network(subject_, start_.policy.refusal)
                               : check::prepare_network(subject_));
  }

  // A container that ended meanwhile is no error of ours: the readiness check says how it ended.
  Status unless_ended(Status status) {
    bool gone =
        !status && (status.error().sys_errno == ENOENT || status.error().sys_errno == ESRCH);
    if (gone) container_->wait(milliseconds(2'000));
    return !status && !alive() ? Status{} : status;
  }

  bool alive() {
    result_.exit = container_->state();
    return !result_.exit.exited;
  }

  Status reach_readiness() {
    if (start_.detect) PARE_CHECK_OK(detect_checks());
    const auto& specs = start_.detect ? result_.detected : start_.checks;
    if (specs.empty()) {
      result_.why = alive() ? "nothing that pare can check answered" : ended();
      return {};
    }
    PARE_TRY(result_.readiness,
             check::wait_ready(specs, subject_, start_.patience, [this] { return alive(); }));
    result_.ready = result_.readiness.pass;
    if (result_.ready) {
      next_stage("idle");
      return recorder_ ? recorder_->mark_ready() : Status{};
    }
    if (result_.readiness.gone) container_->wait(milliseconds(2'000));  // for its exit code
    std::string why = alive() ? result_.readiness.why + unreachable_clause(specs) : ended();
    result_.checks.push_back({result_.readiness.name, false, why, false});
    result_.why = result_.readiness.name + ": " + why;
    return {};
  }

  // Why the port of the failed check did not answer, when that can be seen from its listeners.
  std::string unreachable_clause(const std::vector<check::Spec>& specs) {
    auto spec = std::find_if(specs.begin(), specs.end(), [&](const check::Spec& s) {
      return s.name == result_.readiness.name && s.port != 0;
    });
    auto listeners = check::listeners(subject_);
    if (spec == specs.end() || !listeners) return "";
    const check::Listener* loopback = nullptr;
    for (const check::Listener& listener : *listeners) {
      if (listener.port != spec->port) continue;
      if (!listener.loopback) return "";
      loopback = &listener;
    }
    std::string port = std::to_string(spec->port);
    if (loopback == nullptr) return "; nothing listens on port " + port;
    return "; it listens on " + loopback->address + ":" + port +
           " alone, where nothing outside the container reaches it";
  }

  std::string ended() { return exit_clause(result_.exit, start_.options.log_path); }

  Status detect_checks() {
    PARE_TRY(result_.detected,
             check::detect_when_ready(subject_, start_.patience.limit, [this] { return alive(); }));
    for (const check::Spec& spec : result_.detected) subject_.reachable.push_back(spec.port);
    return {};
  }

  void next_stage(const char* name) {
    if (!recorder_) return;
    recorder_->next_stage();
    stages_.emplace_back(name);
  }

  Status run_checks() {
    sys::Deadline idle(start_.idle);
    while (alive() && idle.sleep(milliseconds(100))) continue;
    next_stage("inference");
    for (const check::Spec& spec : start_.detect ? result_.detected : start_.checks) {
      PARE_TRY(check::CheckResult one, check::run(spec, subject_));
      std::string why = !one.pass && !alive() ? ended() : one.why;
      result_.checks.push_back({spec.name, one.pass, why, false, median(one.latencies),
                                one.pass ? prove::answer_digest(one.output) : ""});
      if (!one.pass && result_.why.empty()) result_.why = spec.name + ": " + why;
    }
    if (!alive() && result_.why.empty()) {
      result_.why = ended();
      result_.checks.push_back({"alive", false, result_.why, false});
    }
    return {};
  }

  // A clean stop is an implied check: judged relative to the baseline.
  Status stop() {
    if (recorder_) identify_listeners();
    if (!alive()) return {};
    auto asked = Clock::now();
    next_stage("shutdown");
    PARE_CHECK_OK(container_->signal(start_.stop_limit.count() > 0 ? SIGTERM : SIGKILL));
    engine::ExitState exit = container_->wait(start_.stop_limit);
    bool clean = start_.stop_limit.count() > 0 && exit.exited &&
                 (exit.code == 0 || exit.code == 128 + SIGTERM);
    std::string why;
    if (!clean) {
      why = exit.exited
                ? "exit code " + std::to_string(exit.code) + " on SIGTERM"
                : "still runs " + std::to_string(since(asked).count() / 1000) + " s after SIGTERM";
    }
    if (result_.ready) result_.checks.push_back({"stop", clean, why, true});
    if (!exit.exited) {
      PARE_CHECK_OK(container_->signal(SIGKILL));
      container_->wait(milliseconds(10'000));
    }
    return {};
  }

  // Each tmpfs, each volume's layer, and the root file system's where it is writable.
  std::vector<record::Area> areas() const {
    std::vector<record::Area> areas = start_.layers;
    for (const privilege::Writable& writable : start_.policy.writable)
      areas.push_back({writable.path, ""});
    const std::string upper = container_->upper_dir();
    if (!upper.empty() && start_.policy.rootfs_writable) areas.push_back({"/", upper});
    return areas;
  }

  void identify_listeners() {
    if (!alive()) return;
    auto ports = check::listening_ports(subject_);
    if (!ports) return;
    for (uint16_t port : *ports) {
      auto identity = check::identify(subject_, port);
      if (!identity) continue;
      evidence::ListenerFact fact{port, "tcp", "", identity->speaks, identity->role, {}};
      if (start_.ask_endpoints) {
        auto found = check::endpoints(subject_, port, identity->tls);
        if (found) fact.endpoints = std::move(*found);
        auto family = check::server_family(subject_, port, identity->tls);
        if (family) fact.server = std::move(*family);
      }
      identities_.push_back(std::move(fact));
    }
  }

  Status collect_evidence() {
    PARE_TRY(evidence::Evidence evidence, recorder_->finish());
    for (size_t i = 0; i < stages_.size(); ++i)
      result_.stages.emplace_back(stages_[i], recorder_->stages().at(i));
    annotate_owners(evidence, *start_.engine, *start_.target, start_.volume_path);
    annotate_listeners(evidence, identities_);
    annotate_log(evidence, start_.options.log_path, since(began_));
    result_.evidence = std::move(evidence);
    return {};
  }

  const Start& start_;
  StartResult result_;
  std::unique_ptr<check::ClosedNetwork> closed_network_;
  std::unique_ptr<engine::Container> container_;
  std::unique_ptr<record::Recorder> recorder_;
  check::Subject subject_;
  std::vector<evidence::ListenerFact> identities_;
  std::vector<std::string> stages_ = {"start-up"};
  Clock::time_point began_ = Clock::now();
};

}  // namespace

Result<StartResult> run_once(const Start& start) {
  return Session(start).run();
}

}  // namespace pare::trial
