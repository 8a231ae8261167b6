// pare telemetry: the same start without, with and against each opt-out variable, and what was
// tried in each; and how the server stands each kind of refusal.
#include "confine/telemetry.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/refusal.h"
#include "cli/target_files.h"
#include "cli/target_options.h"
#include "cli/verbs.h"
#include "trial/run.h"
#include "trial/volumes.h"

namespace pare::cli {

namespace {

using confine::Attempts;
using std::chrono::milliseconds;

struct TelemetryOptions {
  TargetOptions target;
  std::string idle = "60s", platform = "kubernetes", out, refusal = "refused";
  bool json = false, breakage = false;
};

struct Breakage {
  std::string kind;  // "open", "unreachable", "refused", "silent"
  bool ready = false;
  double ready_seconds = 0;
  std::vector<std::string> failed;
  std::map<std::string, double> latency;  // median seconds, by check
  double log_bytes_per_second = 0;
  std::string why;
};

struct Counts {
  Attempts all;
  confine::Stages stages;
};

class Experiment {
 public:
  explicit Experiment(const TelemetryOptions& options) : options_(options) {}

  Result<int> run() {
    PARE_CHECK_OK(prepare());
    if (options_.breakage) PARE_CHECK_OK(try_refusals());
    if (!options_.breakage || !variables_.empty()) PARE_CHECK_OK(try_variables());
    PARE_CHECK_OK(put());
    const bool told = std::all_of(verdicts_.begin(), verdicts_.end(), [](const auto& verdict) {
      return verdict.effect == confine::Effect::kWorks;
    });
    return told && !lost_ ? 0 : 1;
  }

 private:
  Status prepare() {
    auto idle = base::parse_duration(options_.idle);
    if (!idle) return fail(ErrorKind::kUsage, "--idle is a duration such as 60s");
    idle_ = *idle;
    PARE_TRY(refusal_, parse_refusal(options_.refusal));
    PARE_TRY(platform_, privilege::find_platform(options_.platform));
    // --env names what is tried, not what the target always has.
    TargetOptions written = options_.target;
    written.env.clear();
    for (const std::string& text : options_.target.env)
      if (text.find('=') == std::string::npos)
        return fail(ErrorKind::kUsage, "--env " + text +
                                           ": give NAME=VALUE, the value that is "
                                           "said to switch telemetry off");
    PARE_TRY(WrittenTarget from, make_target(written));
    const target::Target& target = from.target;
    PARE_TRY(checks_, make_checks(written, target));
    PARE_TRY(ready_limit_, ready_limit(written));
    PARE_TRY(Workshop workshop, open_workshop(written, target));
    workshop_.emplace(std::move(workshop));
    PARE_CHECK_OK(can_record(*workshop_->engine));
    PARE_TRY(target_, resolve_written(from, *workshop_));
    const target::Server* server = target::recognise_server(target_.image, target_.command);
    variables_ = confine::variables_to_try(server, options_.target.env);
    if (server != nullptr) server_ = server->title;
    if (variables_.empty() && !options_.breakage)
      return fail(ErrorKind::kUsage,
                  "no opt-out variable of this server is known: name one with --env NAME=VALUE");
    return {};
  }

  // One start. `set`: a variable and its value, or none of those that are tried.
  Result<trial::StartResult> start(const std::optional<std::pair<std::string, std::string>>& set,
                                   privilege::Refusal refusal, bool open) {
    target::Target target = target_;
    auto tried = [this](const target::EnvVar& variable) {
      return std::any_of(variables_.begin(), variables_.end(),
                         [&](const auto& each) { return each.name == variable.name; });
    };
    trial::Start start;
    for (const confine::TelemetryVariable& each : variables_)
      start.options.withheld.push_back(each.name);
    for (std::vector<target::EnvVar>* list : {&target.env, &target.facts.env})
      list->erase(std::remove_if(list->begin(), list->end(), tried), list->end());
    if (set) target.env.push_back({set->first, set->second, false});
    const std::string number = std::to_string(++starts_);
    const std::string directory = workshop_->session.directory();
    PARE_TRY(trial::Volumes volumes,
             trial::Volumes::prepare(*workshop_->engine, target, directory, directory + "/warm"));
    PARE_TRY(trial::Volumes::Mounted mounted, volumes.mount(number, true));
    start.engine = workshop_->engine.get();
    start.target = &target;
    start.platform = &platform_;
    start.policy = target::asked_policy(target, platform_);
    if (!open) start.policy.egress_any = false;
    start.policy.refusal = refusal;
    for (const check::Spec& spec : checks_)
      start.policy.ports.push_back({spec.port, "tcp", "inference"});
    start.checks = checks_;
    start.until_exit = start.stop_at_limit = checks_.empty();
    start.idle = idle_;
    start.patience.limit = checks_.empty() ? idle_ : ready_limit_;
    start.patience.answering = start.patience.limit;
    start.options.id = "pare-" + workshop_->session.id() + "-" + number;
    start.options.volumes = mounted.mounts();
    start.options.log_path = directory + "/log" + number;
    if (open) {
      start.options.netns = options_.target.netns;
      start.options.host_network = options_.target.network == "open" && start.options.netns.empty();
      start.options.open_network = start.policy.egress_any;
    }
    start.volume_path = [&](const std::string& path) { return mounted.host_path(path); };
    return trial::run_once(start);
  }

  bool may_be_open() const {
    return options_.target.network == "open" || !options_.target.netns.empty() ||
           (target_.kind == target::Kind::kImage && options_.target.network != "none");
  }

  Result<Counts> count(const std::string& label,
                       const std::optional<std::pair<std::string, std::string>>& set) {
    if (!options_.json) fmt::print(stderr, "start {}: {}\n", starts_ + 1, label);
    const bool open = options_.target.network == "open" || !options_.target.netns.empty();
    PARE_TRY(trial::StartResult result, start(set, refusal_, open));
    if (!checks_.empty() && !result.ready)
      return fail(ErrorKind::kBaseline,
                  "with " + label + " the server is not ready: " + result.why);
    lost_ = lost_ || result.evidence->loss.any();
    return Counts{confine::attempts_of(*result.evidence),
                  confine::stages_of(*result.evidence, result.stages)};
  }

  Status try_variables() {
    PARE_TRY(baseline_, count("none of the variables set", std::nullopt));
    for (const confine::TelemetryVariable& variable : variables_) {
      PARE_TRY(Counts with,
               count(variable.name + "=" + variable.off, std::pair(variable.name, variable.off)));
      base::Json stages = {{"with", confine::to_json(with.stages)}, {"control", nullptr}};
      std::optional<Attempts> control;
      if (!variable.on.empty()) {
        PARE_TRY(Counts on, count(variable.name + "=" + variable.on + " (control)",
                                  std::pair(variable.name, variable.on)));
        stages["control"] = confine::to_json(on.stages);
        control = on.all;
      }
      verdicts_.push_back(confine::judge(variable, baseline_.all, with.all, control));
      stages_.push_back(std::move(stages));
    }
    return {};
  }

  Status try_refusals() {
    if (checks_.empty())
      return fail(ErrorKind::kUsage,
                  "--breakage needs to know what 'it works' means: give --check");
    if (may_be_open()) PARE_CHECK_OK(try_refusal("open", privilege::Refusal::kUnreachable, true));
    for (const auto& [name, refusal] : kRefusals) PARE_CHECK_OK(try_refusal(name, refusal, false));
    return {};
  }

  Status try_refusal(const std::string& kind, privilege::Refusal refusal, bool open) {
    if (!options_.json) fmt::print(stderr, "start {}: egress {}\n", starts_ + 1, kind);
    PARE_TRY(trial::StartResult result, start(std::nullopt, refusal, open));
    Breakage row;
    row.kind = kind;
    row.ready = result.ready;
    row.ready_seconds = result.readiness.seconds;
    row.why = result.why;
    for (const prove::CheckOutcome& check : result.checks) {
      if (!check.pass && !check.implied) row.failed.push_back(check.name);
      if (check.seconds > 0) row.latency[check.name] = check.seconds;
    }
    row.log_bytes_per_second = result.evidence->log.bytes_per_second;
    breakage_.push_back(row);
    return {};
  }

  // Which refusal to choose, where silence is worse than an answer.
  std::string advice() const {
    auto row = [this](const std::string& kind) {
      auto found = std::find_if(breakage_.begin(), breakage_.end(),
                                [&](const Breakage& each) { return each.kind == kind; });
      return found == breakage_.end() ? nullptr : &*found;
    };
    const Breakage *silent = row("silent"), *refused = row("refused");
    if (silent == nullptr || !refused->ready || !refused->failed.empty()) return "";
    const std::string instead =
        fmt::format("; refused at once it is ready after {:.1f} s: refuse, do not drop",
                    refused->ready_seconds);
    if (!silent->ready)
      return "where outbound packets are dropped in silence it never becomes ready" + instead;
    if (!silent->failed.empty())
      return "where outbound packets are dropped in silence checks fail (" +
             base::join(silent->failed, ", ") + ")" + instead;
    if (silent->ready_seconds > 2 * refused->ready_seconds + 1)
      return fmt::format("where outbound packets are dropped in silence it hangs for {:.0f} s{}",
                         silent->ready_seconds, instead);
    return "";
  }

  base::Json json() const {
    base::Json json = {{"schema", "pare.telemetry/v1"},
                       {"image", target_.image},
                       {"digest", target_.facts.digest},
                       {"server", server_},
                       {"idleSeconds", static_cast<double>(idle_.count()) / 1000},
                       {"inference", !checks_.empty()},
                       {"lossless", !lost_},
                       {"baseline", baseline_.all},
                       {"baselineStages", confine::to_json(baseline_.stages)},
                       {"variables", base::Json::array()},
                       {"breakage", base::Json::array()},
                       {"advice", advice()}};
    for (size_t i = 0; i < verdicts_.size(); ++i) {
      json["variables"].push_back(to_json(verdicts_[i]));
      json["variables"].back()["stages"] = stages_[i];
    }
    for (const Breakage& row : breakage_)
      json["breakage"].push_back({{"egress", row.kind},
                                  {"ready", row.ready},
                                  {"readySeconds", row.ready_seconds},
                                  {"failed", row.failed},
                                  {"latencySeconds", row.latency},
                                  {"logBytesPerSecond", row.log_bytes_per_second},
                                  {"why", row.why}});
    return json;
  }

  std::string text() const {
    std::string text;
    for (const auto& [name, attempts] : baseline_.all)
      text += fmt::format("without any variable: {} attempts to {} ({})\n", attempts, name,
                          confine::stages_text(baseline_.stages, name));
    for (const auto& verdict : verdicts_)
      text += fmt::format("{}={}: {} ({}){}\n", verdict.variable.name, verdict.variable.off,
                          to_string(verdict.effect), verdict.because,
                          verdict.control ? "" : "; no enabling value to compare with");
    for (const Breakage& row : breakage_)
      text += fmt::format(
          "egress {:11} {}, log {:.0f} B/s{}{}\n", row.kind,
          row.ready ? fmt::format("ready after {:.1f} s", row.ready_seconds) : "never ready",
          row.log_bytes_per_second,
          row.failed.empty() ? "" : ", failed: " + base::join(row.failed, ", "),
          row.why.empty() ? "" : " (" + row.why + ")");
    if (const std::string words = advice(); !words.empty()) text += words + "\n";
    return text;
  }

  // For whoever makes the server: what was seen, and how to see it again.
  std::string vendor_report() const {
    std::string words = base::shell_join(options_.target.words);
    std::string text = fmt::format(
        "# Outbound traffic of {}\n\nDigest: {}\n\nEach start was watched for {} after it was "
        "ready{}; {}.\n\n## What was seen\n\n",
        target_.image.empty() ? target_.name : target_.image,
        target_.facts.digest.empty() ? "none (a root file system)" : target_.facts.digest,
        options_.idle, checks_.empty() ? " (no inference was asked)" : ", then asked to infer",
        lost_ ? "some events were lost" : "no event was lost");
    for (const std::string& line : base::split(this->text(), '\n'))
      if (!line.empty()) text += "- " + line + "\n";
    text += "\n## Again\n\n    pare telemetry --idle " + options_.idle;
    for (const std::string& variable : options_.target.env)
      text += " --env " + base::shell_quote(variable);
    for (const std::string& check : options_.target.checks)
      text += " --check " + base::shell_quote(check);
    if (options_.breakage) text += " --breakage";
    return text + " -- " + words + "\n";
  }

  Status put() const {
    if (options_.json)
      fmt::print("{}\n", base::write_json(json(), 1));
    else
      fmt::print("{}", text());
    if (options_.out.empty()) return {};
    PARE_CHECK_OK(base::make_directories(options_.out));
    PARE_CHECK_OK(base::write_file_atomic(options_.out + "/telemetry.json",
                                          base::write_json(json(), 1) + "\n"));
    return base::write_file_atomic(options_.out + "/vendor.md", vendor_report());
  }

  const TelemetryOptions& options_;
  milliseconds idle_{0}, ready_limit_{0};
  privilege::Refusal refusal_ = privilege::Refusal::kRefused;
  privilege::Platform platform_;
  target::Target target_;
  std::string server_;
  std::vector<check::Spec> checks_;
  std::optional<Workshop> workshop_;
  std::vector<confine::TelemetryVariable> variables_;
  Counts baseline_;
  std::vector<confine::TelemetryVerdict> verdicts_;
  std::vector<base::Json> stages_;  // of each verdict's runs
  std::vector<Breakage> breakage_;
  int starts_ = 0;
  bool lost_ = false;
};

}  // namespace

Action set_up_telemetry(CLI::App& app) {
  auto options = std::make_shared<TelemetryOptions>();
  add_target_options(app, options->target);
  app.get_option("--env")->description(
      "NAME=VALUE that is said to switch telemetry off; tried too");
  app.add_option("--for", options->platform, "platform whose defaults are modelled (kubernetes)");
  app.add_option("--idle", options->idle, "how long each start is left alone and counted (60s)");
  app.add_option("--refusal", options->refusal,
                 "how egress fails where the network is closed: unreachable | refused | silent");
  app.add_flag("--breakage", options->breakage,
               "health, latency and log rate with egress open, unreachable, refused and silent");
  app.add_option("-o,--out", options->out, "directory for telemetry.json and vendor.md");
  app.add_flag("--json", options->json, "the result as JSON");
  return [options, &app]() -> Result<int> {
    PARE_CHECK_OK(apply_pare_file(app, options->target));
    return Experiment(*options).run();
  };
}

}  // namespace pare::cli
