// pare observe: one run under the recorder, nothing withheld, or what runs already. Evidence only.
#include <fmt/core.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/observe_running.h"
#include "cli/target_files.h"
#include "cli/target_options.h"
#include "cli/verbs.h"
#include "trial/run.h"
#include "trial/volumes.h"

namespace pare::cli {

namespace {

struct ObserveOptions {
  TargetOptions target;
  RunningOptions running;
  std::string platform, out;
};

Status put(const ObserveOptions& options, const evidence::Evidence& evidence) {
  std::string text = base::write_json(evidence::to_json(evidence), 1) + "\n";
  if (options.out.empty()) {
    fmt::print("{}", text);
    return {};
  }
  PARE_CHECK_OK(base::make_directories(options.out));
  return base::write_file_atomic(options.out + "/evidence.json", text);
}

// Checks say when the phase `serve` begins; whether they pass is not judged.
Result<int> observe_attached(const ObserveOptions& options) {
  if (!options.target.words.empty() || !options.target.rootfs.empty()) {
    return fail(ErrorKind::kUsage,
                "--container and --pid name what runs already: give no target to run besides");
  }
  trial::Attached attached;
  PARE_TRY(attached.checks, make_checks(options.target, target::Target{}));
  PARE_TRY(attached.patience.limit, ready_limit(options.target));
  attached.patience.answering = attached.patience.limit;
  PARE_TRY(evidence::Evidence evidence, observe_running(options.running, std::move(attached)));
  PARE_CHECK_OK(put(options, evidence));
  return evidence.loss.any() ? 1 : 0;
}

Result<int> observe(const ObserveOptions& options) {
  if (options.running.given()) return observe_attached(options);
  if (!options.running.during.empty()) {
    return fail(ErrorKind::kUsage, "--during goes with --container or --pid");
  }
  PARE_TRY(WrittenTarget written, make_target(options.target));
  std::string name = written.platform.empty() ? "kubernetes" : written.platform;
  if (!options.platform.empty()) name = options.platform;
  PARE_TRY(privilege::Platform platform, privilege::find_platform(name));
  trial::Start start;
  PARE_TRY(start.checks, make_checks(options.target, written.target));
  PARE_TRY(start.patience.limit, ready_limit(options.target));
  start.patience.answering = start.patience.limit;
  PARE_TRY(Workshop workshop, open_workshop(options.target, written.target));
  PARE_CHECK_OK(can_record(*workshop.engine));
  PARE_TRY(target::Target target, resolve_written(written, workshop));
  PARE_TRY(trial::Volumes volumes,
           trial::Volumes::prepare(*workshop.engine, target, workshop.session.directory(),
                                   workshop.session.directory() + "/warm"));
  PARE_TRY(trial::Volumes::Mounted mounted, volumes.mount("1", true));
  start.engine = workshop.engine.get();
  start.target = &target;
  start.platform = &platform;
  start.policy = target::asked_policy(target, platform);
  for (const check::Spec& spec : start.checks) {
    start.policy.ports.push_back({spec.port, "tcp", "inference"});
  }
  start.ask_endpoints = true;
  start.until_exit = start.checks.empty();
  start.options.id = "pare-" + workshop.session.id() + "-1";
  start.options.volumes = mounted.mounts();
  start.options.log_path = workshop.session.directory() + "/log";
  start.options.netns = options.target.netns;
  start.options.host_network = options.target.network == "open" && options.target.netns.empty();
  start.options.open_network = start.policy.egress_any;
  start.layers = mounted.layers();
  start.volume_path = [&](const std::string& path) { return mounted.host_path(path); };
  PARE_TRY(trial::StartResult result, trial::run_once(start));
  PARE_CHECK_OK(put(options, *result.evidence));
  for (const prove::CheckOutcome& check : result.checks) {
    if (!check.pass && !check.implied) {
      return fail(ErrorKind::kBaseline, "check " + check.name + " failed: " + check.why);
    }
  }
  return result.evidence->loss.any() ? 1 : 0;
}

}  // namespace

Action set_up_observe(CLI::App& app) {
  auto options = std::make_shared<ObserveOptions>();
  add_target_options(app, options->target);
  app.get_option("--container")
      ->description(
          "which container of the files; without files what runs already: a container's "
          "id, or the beginning of it");
  app.add_option("--pid", options->running.pid, "what runs already: the cgroup of this process");
  app.add_option("--during", options->running.during,
                 "end after this time (default: until Ctrl-C, or its end)");
  app.add_option("--for", options->platform, "platform whose defaults are modelled (kubernetes)");
  app.add_option("-o,--out", options->out, "directory for evidence.json (default: stdout)");
  return [options, &app]() -> Result<int> {
    PARE_CHECK_OK(apply_pare_file(app, options->target));
    if (!names_files(options->target.words)) options->running.container = options->target.container;
    return observe(*options);
  };
}

}  // namespace pare::cli
