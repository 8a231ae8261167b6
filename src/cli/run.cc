// pare run: a proved server as a static appliance.
#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/serve_words.h"
#include "cli/verbs.h"
#include "confine/supervise.h"

namespace pare::cli {

namespace {

using std::chrono::milliseconds;

struct RunWords {
  ServeWords serve;
  std::vector<std::string> publish, side, allow;
  std::string metrics, verify, idle, ready_within, drain, health, restart = "on-failure";
  bool paths = false, no_seal = false, unit = false;
  std::optional<uint64_t> memory, pids, log_rate;
  size_t connections = 1024;
};

Status set_duration(const char* option, const std::string& text, milliseconds& value) {
  if (text.empty()) return {};
  auto parsed = base::parse_duration(text);
  if (!parsed) {
    return fail(ErrorKind::kUsage,
                fmt::format("{} '{}' is not a duration such as 30s or 10m", option, text));
  }
  value = *parsed;
  return {};
}

// Of a gate on the side: [ADDRESS:]PORT:INNER[/PATH].
Result<confine::Entrance> side_gate(const std::string& text) {
  confine::Entrance entrance;
  bool unix_socket = base::starts_with(text, "unix:");
  size_t slash = text.find('/', unix_socket ? text.rfind(':') : 0);
  PARE_TRY(entrance.publish, confine::parse_publish(text.substr(0, slash)));
  if (entrance.publish.inner_port == 0) {
    return fail(ErrorKind::kUsage, "--side-gate '" + text +
                                       "' names no port in the container, as in "
                                       "127.0.0.1:9100:8002");
  }
  if (slash != std::string::npos) {
    PARE_TRY(confine::PathRule rule, confine::parse_path_rule("GET " + text.substr(slash)));
    entrance.allowed.push_back(rule);
  }
  return entrance;
}

// What the proof grants to clients, and nothing else.
Status check_published(uint16_t inner, const privilege::Policy& policy) {
  for (const privilege::PortGrant& port : policy.ports) {
    if (port.port != inner) continue;
    if (port.role == "inference" || port.role == "unknown") return {};
    return fail(ErrorKind::kUsage,
                fmt::format("--publish: port {} is for {}, not for inference: it gets a gate of "
                            "its own with --side-gate",
                            inner, port.role));
  }
  return fail(ErrorKind::kUsage,
              fmt::format("--publish: the proof grants no port {}: name one that a check speaks "
                          "to, or give it a gate of its own with --side-gate",
                          inner));
}

Result<std::vector<confine::Entrance>> entrances(const RunWords& words,
                                                 const confine::ServePlan& plan) {
  std::vector<confine::Entrance> all;
  std::vector<std::string> published = words.publish;
  if (published.empty()) {
    PARE_TRY(uint16_t port, confine::inference_port(plan.policy));
    published.push_back("127.0.0.1:" + std::to_string(port));
  }
  for (const std::string& text : published) {
    confine::Entrance entrance;
    PARE_TRY(entrance.publish, confine::parse_publish(text));
    if (entrance.publish.inner_port == 0) {
      PARE_TRY(entrance.publish.inner_port, confine::inference_port(plan.policy));
    }
    PARE_CHECK_OK(check_published(entrance.publish.inner_port, plan.policy));
    if (words.paths) {
      entrance.allowed = confine::rules_of(plan.checks, entrance.publish.inner_port);
    }
    for (const std::string& rule : words.allow) {
      PARE_TRY(confine::PathRule parsed, confine::parse_path_rule(rule));
      entrance.allowed.push_back(parsed);
    }
    if (words.paths && entrance.allowed.empty()) {
      return fail(ErrorKind::kUsage, "--paths: the proof's checks name no path of port " +
                                         std::to_string(entrance.publish.inner_port) +
                                         ": give --allow 'METHOD PATH'");
    }
    all.push_back(std::move(entrance));
  }
  for (const std::string& text : words.side) {
    PARE_TRY(confine::Entrance entrance, side_gate(text));
    all.push_back(std::move(entrance));
  }
  return all;
}

// systemd's notification protocol (sd_notify(3)); without a socket, nothing.
void notify_ready() {
  const char* path = getenv("NOTIFY_SOCKET");
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  size_t length = path != nullptr ? std::string_view(path).size() : 0;
  if (length == 0 || length >= sizeof at.sun_path) return;
  std::string_view(path).copy(at.sun_path, length);
  if (at.sun_path[0] == '@') at.sun_path[0] = '\0';
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  constexpr std::string_view kReady = "READY=1";
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  (void)sendto(fd.get(), kReady.data(), kReady.size(), MSG_NOSIGNAL,
               reinterpret_cast<sockaddr*>(&at), size);
}

Result<confine::SuperviseOptions> make_options(const RunWords& words,
                                               const confine::ServePlan& plan) {
  confine::SuperviseOptions options;
  PARE_TRY(options.entrances, entrances(words, plan));
  if (!words.metrics.empty()) {
    PARE_TRY(options.metrics, confine::parse_publish(words.metrics));
  }
  options.seal = !words.no_seal;
  options.limits.connections = std::max<size_t>(words.connections, 1);
  PARE_CHECK_OK(set_duration("--idle", words.idle, options.limits.idle));
  PARE_CHECK_OK(set_duration("--ready-within", words.ready_within, options.ready_limit));
  PARE_CHECK_OK(set_duration("--drain", words.drain, options.drain_limit));
  PARE_CHECK_OK(set_duration("--health", words.health, options.health_every));
  if (words.log_rate) options.log.bytes_per_second = *words.log_rate;
  if (words.restart == "always") {
    options.restart = confine::Restart::kAlways;
  } else if (words.restart == "never") {
    options.restart = confine::Restart::kNever;
  } else if (words.restart != "on-failure") {
    return fail(ErrorKind::kUsage,
                "--restart is 'never', 'on-failure' or 'always', not '" + words.restart + "'");
  }
  options.tell = say;
  options.server_log = print_line;
  options.ready = notify_ready;
  return options;
}

// This command line as a unit; systemd.service(5).
void print_unit(const std::string& name) {
  std::vector<std::string> words;
  for (const std::string& word :
       base::split(base::read_file("/proc/self/cmdline").value_or(""), '\0')) {
    if (!word.empty() && word != "--unit") words.push_back(word);
  }
  char self[4096] = {};
  if (readlink("/proc/self/exe", self, sizeof self - 1) > 0 && !words.empty()) words[0] = self;
  std::string command;
  for (const std::string& word : words) {
    // '%' and '$' mean something in a unit.
    std::string escaped;
    for (char c : word) {
      if (c == '%' || c == '$') escaped += c;
      if (c == '"' || c == '\\') escaped += '\\';
      escaped += c;
    }
    command += (command.empty() ? "" : " ");
    command += escaped.find(' ') == std::string::npos ? escaped : "\"" + escaped + "\"";
  }
  fmt::print(
      "[Unit]\n"
      "Description={} held to its proof\n"
      "After=network.target\n\n"
      "[Service]\n"
      "Type=notify\n"
      "ExecStart={}\n"
      "ExecStopPost={} clean\n"
      "WorkingDirectory={}\n"
      "Restart=on-failure\n"
      "TimeoutStartSec=infinity\n"
      "TimeoutStopSec=60\n"
      "KillMode=mixed\n"
      "Delegate=yes\n\n"
      "[Install]\n"
      "WantedBy=multi-user.target\n",
      name, command, words.empty() ? "pare" : words[0],
      std::unique_ptr<char, decltype(&free)>(getcwd(nullptr, 0), free).get());
}

// A server whose proof saw it fetch its model finds none where it is run without a way out.
void say_of_pull(const RunWords& words, const verdict::Proof& proof,
                 const confine::ServePlan& plan) {
  bool pulls = std::any_of(proof.verdicts.begin(), proof.verdicts.end(), [](const auto& v) {
    return v.phase == evidence::Phase::kPull && v.kind == verdict::Kind::kNeeded &&
           v.privilege.axis == privilege::Axis::kEgress;
  });
  for (const engine::VolumeMount& volume : plan.volumes) {
    pulls = pulls && access((volume.source + "/" + kManifest).c_str(), F_OK) != 0;
  }
  if (!pulls) return;
  std::vector<std::string> command = {"pare", "pull", words.serve.proof};
  for (const std::string& volume : words.serve.volumes) {
    command.insert(command.end(), {"--volume", volume});
  }
  if (hosts_needed(proof).empty()) command.insert(command.end(), {"--host", "NAME"});
  say("the proof saw the server fetch what it serves, which it cannot do here, and no volume has a "
      "manifest of a pull. If none is filled yet: " +
      base::shell_join(command) + " (with the pull's keys as --env or --secret), then this again");
}

Result<int> run_server(const RunWords& words) {
  PARE_TRY(Serving serving, read_serving(words.serve));
  serving.wishes.memory_bytes = words.memory;
  serving.wishes.pids = words.pids;
  PARE_TRY(confine::ServePlan plan,
           confine::plan_serve(serving.file.proof, serving.file.evidence, serving.wishes));
  PARE_TRY(confine::SuperviseOptions options, make_options(words, plan));
  if (words.unit) {
    print_unit(plan.target.name);
    return 0;
  }
  const std::atomic<bool>& stop = stop_on_signals();
  PARE_TRY(Workshop workshop, open_serving(words.serve, plan));
  if (words.verify.empty()) {
    say_of_pull(words, serving.file.proof, plan);
  } else {
    PARE_TRY(InVolume manifest, in_volume(plan, words.verify));
    PARE_CHECK_OK(
        run_prepare({"--volume", manifest.source, "--verify", manifest.rest, "--foreign"}));
    say("verified " + manifest.source + " by " + manifest.rest);
  }
  PARE_TRY(std::string runtime, workshop.engine->runtime_version());
  for (const std::string& sentence : confine::adapt_plan(
           serving.file.proof, runtime, workshop.engine->own_kernel(), serving.wishes, plan)) {
    say(sentence);
  }
  options.id = "pare-" + workshop.session.id() + "-serve";
  options.directory = workshop.session.directory();
  for (const std::string& name : plan.dropped) {
    say(name + " is a key whose value the proof does not hold: the server runs without it");
  }
  for (const confine::Entrance& entrance : options.entrances) {
    say(fmt::format(
        "{} will lead to port {}{}", to_string(entrance.publish), entrance.publish.inner_port,
        entrance.allowed.empty() ? "" : fmt::format(", {} paths alone", entrance.allowed.size())));
  }
  confine::Supervisor supervisor(std::move(plan), *workshop.engine, std::move(options));
  return supervisor.run(stop);
}

}  // namespace

Action set_up_run(CLI::App& app) {
  auto words = std::make_shared<RunWords>();
  add_serve_words(app, words->serve);
  app.add_option("--engine", words->serve.engine,
                 "oci | docker (default: docker for the proof of an image, without --rootfs)");
  for (CLI::Option* option :
       {app.add_option("--publish", words->publish,
                       "[ADDRESS:]PORT[:INNER] | unix:PATH[:INNER]: where inference is reached"),
        app.add_option("--side-gate", words->side,
                       "[ADDRESS:]PORT:INNER[/PATH]: metrics or management, reached there alone"),
        app.add_option("--allow", words->allow, "'METHOD PATH' that --publish lets through")}) {
    option->allow_extra_args(false);
  }
  app.add_flag("--paths", words->paths, "let through only what the proof's checks ask for");
  app.add_option("--verify", words->verify,
                 "manifest on a volume that must match before the start");
  app.add_option("--metrics", words->metrics, "[ADDRESS:]PORT | unix:PATH: pare's own, Prometheus");
  app.add_flag("--no-seal", words->no_seal, "leave out the seal after readiness");
  app.add_option("--memory", words->memory, "limit in bytes, instead of the proved peak; 0: none");
  app.add_option("--pids", words->pids, "limit of tasks, instead of the proved peak");
  app.add_option("--connections", words->connections, "open at once; more wait (1024)");
  app.add_option("--idle", words->idle, "close connections without a byte for this long (15m)");
  app.add_option("--ready-within", words->ready_within, "limit of a start (10m)");
  app.add_option("--drain", words->drain, "limit for open connections on SIGTERM (30s)");
  app.add_option("--health", words->health, "time between health checks (30s); 0: none");
  app.add_option("--restart", words->restart, "never | on-failure | always");
  app.add_option("--log-rate", words->log_rate, "bytes a second of the server's log (65536)");
  app.add_flag("--unit", words->unit, "print a systemd unit for this command line, run nothing");
  return [words] { return run_server(*words); };
}

}  // namespace pare::cli
