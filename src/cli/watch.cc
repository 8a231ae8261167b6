// pare watch: nothing leaves a container but the exceptions; every attempt is shown.
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "base/file.h"
#include "base/unique_fd.h"
#include "cli/target_options.h"
#include "cli/verbs.h"
#include "cli/watch_options.h"
#include "cli/watch_start.h"

namespace pare::cli {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kTick{200}, kStartingTick{20};
constexpr int kStarting = 100;  // looks after a start at which its resolvers and devices may change
constexpr milliseconds kLookAtSubject{1'000}, kMetrics{2'000};

// Why something could leave beside the window; empty: nothing can.
std::string not_sealed(const confine::SubjectState& state, bool guarded) {
  if (state.pid == 0) return "";
  if (state.host_network)
    return "it shares the host's network: every service on the host's loopback is within its reach";
  if (!state.packet_sockets) return "";
  if (state.unpaired)
    return "it may hold NET_RAW or NET_ADMIN, and a network device of it has no end here that "
           "could be guarded: drop both capabilities";
  if (!state.interfaces.empty() && !guarded)
    return "it may hold NET_RAW or NET_ADMIN, and its veth is not guarded yet";
  return "";
}

template <typename T>
bool contains(const std::vector<T>& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

class Watch {
 public:
  explicit Watch(const WatchOptions& options) : options_(options) {}

  Result<int> run() {
    sigemptyset(&signals_);
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals_, signal);
    PARE_CHECK_OK(prepare());
    // From here on an end is an orderly one: killed for good, the window would stay.
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    if (Status opened = open(); !opened) {
      if (window_) PARE_CHECK_OK(window_->close());
      return tl::unexpected(opened.error());
    }
    Status done = loop();
    if (done) done = finish();
    if (!done && !options_.keep) (void)window_->close();
    PARE_CHECK_OK(done);
    return report_.sealed && report_.lost() == 0 ? 0 : 1;
  }

 private:
  Status prepare() {
    if (geteuid() != 0)
      return fail(ErrorKind::kHost, "pare needs root to close a container's egress: use sudo");
    PARE_TRY(plan_, read_watch_options(options_));
    report_.proof_digest = plan_.proof_digest;
    if (plan_.container.empty()) {
      ServeWords words = options_.serve;
      words.proof = options_.word;
      PARE_TRY(server_, WatchedServer::make(words, options_.netns));
      subject_ = server_->subject();
    } else {
      PARE_TRY(subject_, confine::find_subject(plan_.container, docker_socket()));
    }
    if (options_.fixed && !subject_.leaf.empty())
      subject_ = {subject_.name, subject_.directory(), "", subject_.log, false};
    if (!options_.log.empty()) subject_.log = {options_.log, false};
    return {};
  }

  Status open() {
    view_ = options_.json                                   ? json_view()
            : isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) ? screen_view()
                                                            : line_view();
    state_ = confine::look_at(subject_);
    plan_.window.cgroup = subject_.cgroup;
    plan_.window.leaf = subject_.leaf;
    plan_.window.anywhere = subject_.anywhere;
    plan_.window.joined = state_.pid > 0;
    PARE_TRY(plan_.window.pins, confine::pins_of(subject_.text()));
    PARE_TRY(window_, confine::Window::open(plan_.window));
    for (const confine::Exception& exception : plan_.given) PARE_CHECK_OK(allow(exception));
    log_.emplace(subject_.log);
    began_ = Clock::now();
    report_.origin_ns = confine::monotonic_ns();
    report_.subject = subject_.name;
    report_.refusal = options_.refusal;
    PARE_CHECK_OK(apply_state());
    fill_report();
    view_->opened(report_);
    if (!server_) return {};
    for (const std::string& name : server_->dropped())
      view_->say(name +
                 " is a key whose value the proof does not hold: the server runs without it");
    return server_->start();
  }

  // An exception of the window lasts no longer than it; what is proved is proved after that.
  Status allow(confine::Exception exception) {
    const bool uncapped = plan_.length && !exception.lasts && options_.prove;
    if (plan_.length && !exception.lasts && !uncapped) exception.lasts = plan_.length;
    const uint64_t until =
        exception.lasts ? confine::monotonic_ns() + confine::in_ns(*exception.lasts) : 0;
    // One that was taken over may end sooner than what is asked for now.
    for (const auto& [row, active] : window_->exceptions())
      if (active.exception.without_time() == exception.without_time() &&
          (active.until_ns == 0 || (until != 0 && until <= active.until_ns)))
        return {};
    PARE_TRY([[maybe_unused]] uint32_t row, window_->allow(exception));
    if (uncapped) uncapped_.push_back(exception);
    return {};
  }

  Status apply_state() {
    std::vector<confine::Address> resolvers =
        plan_.resolvers.empty() ? state_.resolvers : plan_.resolvers;
    // One of its own addresses would let the container answer itself.
    auto is_own = [this](const confine::Address& address) {
      return std::find(state_.own.begin(), state_.own.end(), address) != state_.own.end();
    };
    resolvers.erase(std::remove_if(resolvers.begin(), resolvers.end(), is_own), resolvers.end());
    if (resolvers != report_.resolvers || state_.search != search_) {
      search_ = state_.search;
      report_.resolvers = resolvers;
      PARE_CHECK_OK(window_->set_resolvers(resolvers, search_));
      if (plan_.resolvers.empty())
        for (const confine::Address& address : state_.foreign_resolvers)
          view_->say("the container names " + confine::to_string(address) +
                     " as its resolver, which is neither private nor the host's: --resolver " +
                     confine::to_string(address) + " trusts it");
    }
    PARE_CHECK_OK(window_->set_own(state_.own));
    bool guarded = !state_.interfaces.empty();
    if (state_.packet_sockets && !state_.host_network)
      for (int ifindex : state_.interfaces) guarded = window_->guard(ifindex) && guarded;
    report_.not_sealed_because = not_sealed(state_, guarded);
    report_.sealed = report_.not_sealed_because.empty();
    return {};
  }

  Status loop() {
    UniqueFd stop(signalfd(-1, &signals_, SFD_CLOEXEC));
    auto next_subject = Clock::now(), next_metrics = Clock::now();
    while (true) {
      pollfd wait = {stop.get(), POLLIN, 0};
      const bool settled = state_.pid != 0 && looks_ > kStarting;
      const auto pause = settled ? kTick : kStartingTick;
      if (poll(&wait, 1, static_cast<int>(pause.count())) > 0) return {};
      if (plan_.length && Clock::now() - began_ >= *plan_.length) return {};
      if (Clock::now() >= next_subject) {
        const auto soon = subject_.anywhere ? kTick : milliseconds(0);  // to look for it costs
        next_subject = Clock::now() + (settled ? kLookAtSubject : soon);
        PARE_CHECK_OK(look_at_subject());
      }
      look();
      PARE_TRY(bool more, heed(view_->wish()));
      if (!more || ended_) return {};
      view_->update(report_);
      if (Clock::now() >= next_metrics) {
        next_metrics = Clock::now() + kMetrics;
        PARE_CHECK_OK(write_metrics());
      }
    }
  }

  Status look_at_subject() {
    if (server_) {
      if (const std::string end = server_->ended(); !end.empty()) {
        view_->say(end);
        ended_ = true;
        return {};
      }
    }
    const int before = state_.pid;
    confine::SubjectState now = confine::look_at(subject_);
    if (now.pid == 0 && before != 0) view_->say("the container has ended");
    if (now.pid != 0 && before == 0) view_->say("the container runs");
    // With nothing that could start again under this name, there is nothing left to watch.
    if (now.pid == 0 && access(subject_.directory().c_str(), F_OK) != 0 && subject_.leaf.empty())
      ended_ = true;
    if (now.pid == 0) {
      state_.pid = 0;
      return {};
    }
    // Resolvers are believed while the container starts: later its file may say what it likes.
    looks_ = before == 0 ? 0 : looks_ + 1;
    if (looks_ > kStarting) {
      now.resolvers = state_.resolvers;
      now.search = state_.search;
      now.foreign_resolvers = state_.foreign_resolvers;
    }
    state_ = now;
    return apply_state();
  }

  void look() {
    ledger_.take(window_->look(), report_.resolvers);
    log_->look();
    fill_report();
  }

  void fill_report() {
    report_.seconds = std::chrono::duration<double>(Clock::now() - began_).count();
    report_.totals = window_->totals();
    report_.others = ledger_.others();
    report_.log = log_->picture();
    report_.destinations.clear();
    for (const auto& [name, destination] : ledger_.destinations())
      report_.destinations.push_back(destination);
    for (confine::Destination& each : report_.destinations) each.log_lines = lines_about(each);
    std::sort(report_.destinations.begin(), report_.destinations.end(),
              [](const auto& a, const auto& b) { return a.first_ns < b.first_ns; });
    std::vector<confine::Exception> in_force;
    for (const auto& [row, active] : window_->exceptions()) {
      in_force.push_back(active.exception.without_time());
      if (!contains(met_, in_force.back())) met_.push_back(in_force.back());
    }
    report_.learnt.clear();
    for (const confine::Exception& exception : met_) {
      report_.learnt.push_back(learn(exception));
      report_.learnt.back().in_force = contains(in_force, exception);
    }
  }

  // Lines of the log that repeat and speak of a destination.
  uint64_t lines_about(const confine::Destination& destination) const {
    uint64_t lines = 0;
    for (const auto& line : report_.log.repeated) {
      const bool named = line.sample.find(destination.name) != std::string::npos;
      const bool addressed = destination.addresses.size() == 1 &&
                             line.sample.find(*destination.addresses.begin()) != std::string::npos;
      if (named || addressed) lines += line.count;
    }
    return lines;
  }

  // Who used an exception, by the ledger.
  confine::Learnt learn(const confine::Exception& exception) const {
    confine::Learnt learnt;
    learnt.exception = exception;
    for (const confine::Destination& destination : report_.destinations) {
      if (destination.allowed == 0 || !confine::covers(exception, destination)) continue;
      learnt.attempts += destination.allowed;
      for (const std::string& process : destination.processes)
        if (!contains(learnt.used_by, process)) learnt.used_by.push_back(process);
    }
    if (learnt.attempts == 0) learnt.because = "nobody used it in this window";
    return learnt;
  }

  // False: the user has enough.
  Result<bool> heed(const WatchView::Wish& wish) {
    if (wish.kind == WatchView::Wish::kNothing) return true;
    if (wish.kind == WatchView::Wish::kQuit) return false;
    auto exception = confine::parse_exception(wish.exception);
    Status allowed = exception ? allow(*exception) : Status(tl::unexpected(exception.error()));
    view_->say(allowed ? "allowed " + wish.exception : allowed.error().message);
    fill_report();
    return true;
  }

  Status finish() {
    look();
    if (options_.prove) PARE_CHECK_OK(prove());
    // The last words of a server that is started and stopped here are watched too.
    if (server_) {
      PARE_CHECK_OK(server_->stop());
      const std::vector<confine::Learnt> proved = report_.learnt;
      look();
      report_.learnt = proved;
    }
    if (!options_.out.empty()) PARE_CHECK_OK(write_files());
    view_->closed(report_);
    if (!options_.keep) {
      PARE_CHECK_OK(window_->close());
      report_.open = false;
    }
    return write_metrics();
  }

  Status prove() {
    PARE_CHECK_OK(prove_exceptions(*window_, subject_, plan_.checks, *view_, report_.learnt));
    // A window that is kept must not let through for good what --window gave a time.
    std::vector<uint32_t> over;
    for (const auto& [row, active] : window_->exceptions())
      if (contains(uncapped_, active.exception)) over.push_back(row);
    for (uint32_t row : over) PARE_CHECK_OK(window_->revoke(row));
    for (confine::Learnt& each : report_.learnt)
      each.in_force = each.in_force && !contains(uncapped_, each.exception);
    return {};
  }

  Status write_metrics() const {
    if (options_.metrics.empty()) return {};
    return base::write_file_atomic(options_.metrics, metrics_text(report_));
  }

  Status write_files() {
    PARE_TRY(auto names, write_learnt(options_.out, report_));
    for (const std::string& name : names)
      if (!options_.json) fmt::print(stderr, "wrote {}/{}\n", options_.out, name);
    return {};
  }

  const WatchOptions& options_;
  sigset_t signals_ = {};
  WatchPlan plan_;
  std::vector<confine::Exception> uncapped_;  // that outlast the window's time to be proved
  std::vector<confine::Exception> met_;       // every one that was in force, in this order
  std::vector<std::string> search_;
  std::unique_ptr<WatchedServer> server_;  // of a proof that is started here
  confine::WatchSubject subject_;
  confine::SubjectState state_;
  std::unique_ptr<WatchView> view_;
  std::unique_ptr<confine::Window> window_;
  confine::EgressLedger ledger_;
  std::optional<confine::LogMeter> log_;
  confine::WindowReport report_;
  Clock::time_point began_ = Clock::now();
  bool ended_ = false;
  int looks_ = 0;  // since the container started
};

}  // namespace

Action set_up_watch(CLI::App& app) {
  auto options = std::make_shared<WatchOptions>();
  app.add_option("container", options->word,
                 "Docker or runc id, pid, cgroup directory; or a proof, whose server is started")
      ->required();
  app.add_option("--container", options->container,
                 "with a proof: the container that runs by it already");
  add_serve_options(app, options->serve);
  app.add_option("--netns", options->netns,
                 "with a proof: the network namespace that its server gets (oci)");
  std::vector<CLI::Option*> repeatable = {
      app.add_option("--allow", options->allow,
                     "NAME:443 | CIDR:PORT[/udp] [,process=FILE][,private][,for=30m]"),
      app.add_option("--allow-file", options->allow_files, "file of such rules, one a line"),
      app.add_option("--resolver", options->resolvers,
                     "address that names are asked of (default: the container's resolv.conf)"),
      app.add_option("--check", options->checks, "what 'it works' means, for --prove"),
  };
  for (CLI::Option* option : repeatable) option->allow_extra_args(false);
  app.add_option("--window", options->window,
                 "how long to watch, and how long exceptions last (default: until Ctrl-C)");
  app.add_option("--refusal", options->refusal, "unreachable | refused | silent");
  app.add_option("--dns", options->dns,
                 "closed | open: whether names of no exception may be asked (they open nothing)");
  app.add_flag("--prove", options->prove,
               "at the end refuse each exception alone and run the checks");
  app.add_flag("--keep", options->keep, "leave the window in the kernel when pare ends");
  app.add_flag("--fixed", options->fixed,
               "hold for this cgroup alone, not for the container when it starts again");
  app.add_option("--log", options->log, "file of the container's log (Docker says where its is)");
  app.add_option("--metrics", options->metrics, "file of Prometheus metrics, kept up to date");
  app.add_option("-o,--out", options->out, "directory for what was learnt, as files");
  app.add_flag("--json", options->json, "one JSON object a line");
  return [options] { return Watch(*options).run(); };
}

}  // namespace pare::cli
