#include "trial/runner.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace pare::trial {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

void merge(prove::Outcome& into, StartResult&& result, bool second) {
  if (!second) {
    into.checks = std::move(result.checks);
    into.evidence = std::move(result.evidence);
    into.why = result.why;
    into.pass = result.ready && result.why.empty();
    into.ready = result.ready;
    return;
  }
  into.checks.push_back({"restart", result.why.empty(), result.why, true});
}

std::string replace_all(std::string text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
  return text;
}

}  // namespace

Result<prove::Outcome> Runner::run(const prove::Request& request) {
  PARE_TRY(std::optional<prove::Outcome> known, journal_.find(request));
  if (known) {
    PARE_CHECK_OK(load_detected());
    known->replayed = true;
    learn(request, *known);
    return std::move(*known);
  }
  PARE_TRY(prove::Outcome outcome, run_fresh(request));
  PARE_CHECK_OK(journal_.record(request, outcome));
  learn(request, outcome);
  return outcome;
}

std::vector<Result<prove::Outcome>> Runner::run_all(const std::vector<prove::Request>& requests) {
  // What only the first trial of all decides (volumes, checks) is decided by now.
  size_t most = first_ ? 1 : static_cast<size_t>(jobs());
  if (most <= 1 || requests.size() <= 1) return TrialRunner::run_all(requests);
  std::vector<Result<prove::Outcome>> outcomes(requests.size());
  std::vector<bool> known(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    auto found = journal_.find(requests[i]);
    known[i] = !found || *found;
    if (known[i]) outcomes[i] = run(requests[i]);
  }
  std::atomic<size_t> next{0};
  auto work = [&] {
    for (size_t i; (i = next++) < requests.size();) {
      if (known[i]) continue;
      outcomes[i] = run_fresh(requests[i]);
      if (!outcomes[i]) continue;
      std::lock_guard lock(journal_mutex_);
      if (auto done = journal_.record(requests[i], *outcomes[i]); !done) {
        outcomes[i] = tl::unexpected(done.error());
      }
    }
  };
  std::vector<std::future<void>> threads;
  for (size_t i = 0; i < std::min(most, requests.size()); ++i) {
    threads.push_back(std::async(std::launch::async, work));
  }
  for (auto& thread : threads) thread.wait();
  return outcomes;
}

namespace {

uint64_t available_bytes() {
  auto text = base::read_file("/proc/meminfo");
  size_t at = text ? text->find("MemAvailable:") : std::string::npos;
  return at == std::string::npos ? 0 : std::strtoull(text->c_str() + at + 13, nullptr, 10) * 1024;
}

}  // namespace

int Runner::jobs() const {
  if (options_.jobs > 0) return options_.jobs;
  if (!options_.target.gpus.empty() || peak_bytes_ == 0) return 1;
  uint64_t by_memory = available_bytes() / 2 / peak_bytes_;
  uint64_t by_processors = std::thread::hardware_concurrency() / 2;
  return static_cast<int>(std::clamp<uint64_t>(std::min(by_memory, by_processors), 1, 8));
}

Result<prove::Outcome> Runner::run_fresh(const prove::Request& request) {
  PARE_TRY(std::string directory, journal_.trial_directory(request.id));
  std::string log_path = directory + "/log";
  if (unlink(log_path.c_str()) != 0 && errno != ENOENT) {
    return fail_errno("cannot replace " + log_path, errno);
  }
  auto began = Clock::now();
  PARE_TRY(Volumes::Mounted mounted, volumes_.mount(std::to_string(request.id), request.cold,
                                                    request.policy.user, request.policy.volumes));
  prove::Outcome outcome;
  outcome.starts = 0;
  for (int number = 0; number < (request.restart ? 2 : 1); ++number) {
    auto started = start(request, number, mounted, log_path);
    ++outcome.starts;
    // A limit that would stand in for a capability may be above this host's own: then it is not
    // proved.
    if (!started && request.kind != "baseline" && request.policy.memlock_bytes) {
      outcome.why = "cannot be tried on this host: " + started.error().message;
      outcome.checks.push_back({"start", false, outcome.why, false});
      break;
    }
    PARE_TRY(StartResult result, std::move(started));
    if (request.kind == "baseline" && result.ready) {
      slowest_.note(request.cold, result.readiness.seconds, result.readiness.answering_seconds);
    }
    if (!result.detected.empty()) PARE_CHECK_OK(save_detected(result.detected));
    merge(outcome, std::move(result), number == 1);
    if (!outcome.pass) break;
  }
  if (first_) PARE_CHECK_OK(volumes_.keep(std::move(mounted)));
  PARE_CHECK_OK(mask_secrets(log_path));
  outcome.seconds = std::chrono::duration<double>(Clock::now() - began).count();
  return outcome;
}

Result<StartResult> Runner::start(const prove::Request& request, int number,
                                  const Volumes::Mounted& mounted, const std::string& log_path) {
  Start start;
  start.engine = options_.engine;
  start.target = &options_.target;
  start.platform = &options_.platform;
  start.policy = request.policy;
  start.options.id = options_.session + "-" + std::to_string(request.id) +
                     (number == 0 ? "" : "-" + std::to_string(number));
  start.options.volumes = mounted.mounts();
  start.options.log_path = log_path;
  if (request.policy.egress_any) {
    start.options.netns = options_.netns;
    start.options.host_network = options_.host_egress;
    start.options.open_network = true;
  }
  start.checks = options_.checks;
  check::to_moved_ports(start.checks, request.policy.ports);
  start.detect = options_.checks.empty();
  start.record = options_.record && number == 0;
  start.patience = patience(request);
  start.ask_endpoints = prove::asks_endpoints(request.kind);
  if (request.kind == "baseline") {
    for (uint16_t port : check_ports()) start.policy.ports.push_back({port, "tcp", "inference"});
  }
  if (!stops_) start.stop_limit = milliseconds(0);
  start.layers = mounted.layers();
  start.volume_path = [&](const std::string& path) { return mounted.host_path(path); };
  return run_once(start);
}

// The unchanged target is never cut short, nor is a start that pulls.
check::Patience Runner::patience(const prove::Request& request) const {
  if (request.kind == "baseline" || request.cold)
    return {options_.ready_limit, options_.ready_limit};
  return slowest_.patience(options_.ready_limit, jobs());
}

// Also from a journalled outcome, so that a resumed run goes on as the first one would have.
void Runner::learn(const prove::Request& request, const prove::Outcome& outcome) {
  if (request.kind == "baseline" && outcome.replayed) {
    slowest_.note(request.cold, outcome.seconds, outcome.seconds);
  }
  if (!first_) return;
  first_ = false;
  if (outcome.evidence) peak_bytes_ = outcome.evidence->peaks.memory_bytes;
  for (const prove::CheckOutcome& check : outcome.checks) {
    if (check.implied && check.name == "stop") stops_ = check.pass;
  }
}

std::vector<verdict::CheckEntry> Runner::checks() const {
  std::vector<verdict::CheckEntry> entries;
  for (const check::Spec& spec : options_.checks) entries.push_back({spec.name, spec.text});
  return entries;
}

// runc raises it with pare's own rights (setrlimit(2)), a daemon with its own.
bool Runner::can_raise_memlock() const {
  constexpr unsigned kSysResource = 24;
  struct rlimit limit {};
  if (options_.engine->name() != "oci") return true;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_max == RLIM_INFINITY) return true;
  auto status = base::read_file("/proc/self/status");
  size_t at = status ? status->find("CapEff:\t") : std::string::npos;
  if (at == std::string::npos) return false;
  return (std::strtoull(status->c_str() + at + 8, nullptr, 16) >> kSysResource & 1) != 0;
}

std::vector<uint16_t> Runner::check_ports() const {
  std::set<uint16_t> ports;
  for (const check::Spec& spec : options_.checks) {
    if (spec.port != 0) ports.insert(spec.port);
  }
  return {ports.begin(), ports.end()};
}

Status Runner::save_detected(const std::vector<check::Spec>& specs) {
  if (!options_.checks.empty()) return {};
  options_.checks = specs;
  base::Json list = base::Json::array();
  for (const check::Spec& spec : specs) list.push_back(spec.text);
  return base::write_file_atomic(options_.out_dir + "/detected-checks.json",
                                 base::write_json(list));
}

Status Runner::load_detected() {
  if (!options_.checks.empty()) return {};
  std::string path = options_.out_dir + "/detected-checks.json";
  PARE_TRY(std::string text, base::read_file(path));
  PARE_TRY(base::Json list, base::parse_json(text, path));
  for (const base::Json& item : list) {
    PARE_TRY(check::Spec spec, check::parse_spec(item.get<std::string>()));
    options_.checks.push_back(std::move(spec));
  }
  return {};
}

// Names and digests only: what a server prints of its keys is taken out before anyone reads it.
Status Runner::mask_secrets(const std::string& path) const {
  std::vector<const target::EnvVar*> secrets;
  for (const target::EnvVar& variable : options_.target.env) {
    if (variable.secret && variable.value.size() >= 4) secrets.push_back(&variable);
  }
  if (secrets.empty() || access(path.c_str(), F_OK) != 0) return {};
  PARE_TRY(std::string text, base::read_file(path));
  std::string masked = text;
  for (const target::EnvVar* variable : secrets) {
    masked = replace_all(masked, variable->value, "[" + variable->name + "]");
  }
  return masked == text ? Status{} : base::write_file_atomic(path, masked);
}

}  // namespace pare::trial
