// pare prove: find what a container needs, by running it without.
#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/host.h"
#include "cli/progress.h"
#include "cli/target_files.h"
#include "cli/target_options.h"
#include "cli/verbs.h"
#include "cli/version.h"
#include "prove/plan.h"
#include "prove/prover.h"
#include "report/progress.h"
#include "report/summary.h"
#include "trial/runner.h"
#include "verdict/verdict.h"

namespace pare::cli {

namespace {

struct ProveOptions {
  TargetOptions target;
  std::vector<std::string> platforms;
  std::string budget, out = "pare-out";
  int repeat = 3, jobs = 0;
  bool one_by_one = false;
  bool plan = false, no_record = false, resume = false, json = false;
};

Result<prove::Options> search_options(const ProveOptions& options) {
  prove::Options search;
  search.recording = !options.no_record;
  search.repeat = options.repeat;
  search.one_by_one = options.one_by_one;
  if (options.jobs < 0 || options.jobs > 64) {
    return fail(ErrorKind::kUsage, "--jobs is a number from 1 to 64, or 0 to choose");
  }
  if (options.repeat < 1) return fail(ErrorKind::kUsage, "--repeat must be 1 or more");
  if (options.budget.empty()) return search;
  if (auto trials = base::parse_u64(options.budget); trials && *trials > 0 && *trials < 100'000) {
    search.max_trials = static_cast<int>(*trials);
  } else if (auto time = base::parse_duration(options.budget); time && time->count() > 0) {
    search.max_time = *time;
  } else {
    return fail(ErrorKind::kUsage,
                "--budget '" + options.budget +
                    "' is neither a number of trials nor a duration such as 10m");
  }
  return search;
}

// One platform's proof: its own journal, its own trials.
class OneProof {
 public:
  OneProof(const ProveOptions& options, Workshop& workshop, const target::Target& target,
           const std::vector<check::Spec>& checks, privilege::Platform platform, std::string out,
           std::string content_digest)
      : options_(options),
        workshop_(workshop),
        target_(target),
        checks_(checks),
        platform_(std::move(platform)),
        out_(std::move(out)),
        content_digest_(std::move(content_digest)) {}

  Result<verdict::Proof> run() {
    PARE_TRY(prove::Question question, ask());
    PARE_TRY(trial::Journal journal,
             trial::Journal::open(out_, question_digest(question), options_.resume));
    PARE_TRY(trial::Volumes volumes,
             trial::Volumes::prepare(*workshop_.engine, target_,
                                     workshop_.session.directory() + "/" + platform_.name,
                                     out_ + "/volumes"));
    PARE_TRY(trial::RunnerOptions runner_options, make_runner_options());
    trial::Runner runner(std::move(runner_options), std::move(journal), std::move(volumes));
    if (options_.plan) return plan(question, runner);
    PARE_TRY(verdict::Proof proof, prove::prove(question, runner, progress_observer()));
    PARE_CHECK_OK(finish(proof, runner));
    return proof;
  }

 private:
  Result<prove::Question> ask() const {
    prove::Question question;
    question.target = target_;
    question.platform = platform_;
    question.asked = target::asked_policy(target_, platform_);
    PARE_TRY(question.options, search_options(options_));
    return question;
  }

  std::string question_digest(const prove::Question& question) const {
    base::Json json = target::to_json(question.target, question.asked);
    json["platform"] = platform_.name + " " + platform_.version;
    json["repeat"] = question.options.repeat;
    if (question.options.one_by_one) json["oneByOne"] = true;
    json["record"] = question.options.recording;
    json["engine"] = workshop_.engine->name();
    for (const check::Spec& spec : checks_) json["checks"].push_back(spec.text);
    // What the session's directory holds is the same in another session.
    std::string text = base::write_json(json), session = workshop_.session.directory();
    for (size_t at = text.find(session); at != std::string::npos; at = text.find(session, at)) {
      text.replace(at, session.size(), "session");
    }
    return base::sha256_hex(text + content_digest_);
  }

  Result<trial::RunnerOptions> make_runner_options() const {
    trial::RunnerOptions runner;
    runner.engine = workshop_.engine.get();
    runner.target = target_;
    runner.platform = platform_;
    runner.checks = checks_;
    runner.session = "pare-" + workshop_.session.id();
    runner.state_dir = workshop_.session.directory();
    runner.out_dir = out_;
    runner.record = !options_.no_record;
    runner.jobs = options_.jobs;
    runner.netns = options_.target.netns;
    runner.host_egress = options_.target.network == "open" && options_.target.netns.empty();
    PARE_TRY(runner.ready_limit, ready_limit(options_.target));
    return runner;
  }

  Result<verdict::Proof> plan(const prove::Question& question, trial::Runner& runner) {
    PARE_TRY(prove::Plan plan, prove::plan(question, runner, progress_observer()));
    if (options_.json) {
      base::Json json = {{"schema", "pare.plan/v1"},
                         {"startsExpected", plan.starts_expected},
                         {"startsAtMost", plan.starts_at_most},
                         {"secondsExpected", plan.seconds_expected},
                         {"secondsAtMost", plan.seconds_at_most},
                         {"memoryBytes", plan.memory_bytes}};
      fmt::print("{}\n", base::write_json(json));
    } else {
      fmt::print("{}",
                 report::plan_text(plan.starts_expected, plan.starts_at_most, plan.seconds_expected,
                                   plan.seconds_at_most, plan.memory_bytes));
    }
    return verdict::Proof{};
  }

  // What only the caller knows of the host, and the files.
  Status finish(verdict::Proof& proof, trial::Runner& runner) const {
    proof.pare_version = kVersion;
    proof.checks = runner.checks();
    proof.engine = workshop_.engine->name();
    PARE_TRY(proof.runtime, workshop_.engine->runtime_version());
    HostFacts host = host_facts();
    proof.kernel = host.kernel;
    proof.arch = host.arch;
    proof.date = base::utc_timestamp(std::chrono::system_clock::now());
    PARE_CHECK_OK(save_evidence(proof));
    PARE_CHECK_OK(base::write_file_atomic(out_ + "/proof.json",
                                          base::write_json(verdict::to_json(proof), 1) + "\n"));
    std::error_code ec;
    std::filesystem::remove_all(out_ + "/volumes", ec);
    return {};
  }

  // evidence.json is the first baseline's: what the target does when nothing is withheld.
  Status save_evidence(const verdict::Proof& proof) const {
    if (options_.no_record || proof.trials.empty()) return {};
    std::string path =
        out_ + "/trials/" + std::to_string(proof.trials.front().id) + "/outcome.json";
    PARE_TRY(std::string text, base::read_file(path));
    PARE_TRY(base::Json json, base::parse_json(text, path));
    return base::write_file_atomic(out_ + "/evidence.json",
                                   base::write_json(json["evidence"], 1) + "\n");
  }

  const ProveOptions& options_;
  Workshop& workshop_;
  const target::Target& target_;
  const std::vector<check::Spec>& checks_;
  privilege::Platform platform_;
  std::string out_;
  std::string content_digest_;  // of the files that volumes hold
};

std::string content_digest(const WrittenTarget& written) {
  std::string all;
  for (const target::VolumeContent& content : written.contents) {
    for (const target::VolumeFile& file : content.files) {
      all += file.path + "\n" + base::sha256_hex(file.content) + "\n";
    }
  }
  return all;
}

void show(const ProveOptions& options, const verdict::Proof& proof, const std::string& out) {
  if (options.json) {
    fmt::print("{}\n", base::write_json(verdict::to_json(proof)));
    return;
  }
  report::SummaryOptions summary;
  summary.colour = colour_on_stdout();
  summary.width = terminal_width(STDOUT_FILENO);
  summary.directory = out;
  summary.files = {"proof.json", "journal.jsonl", "trials/"};
  if (!options.no_record) summary.files.insert(summary.files.begin() + 1, "evidence.json");
  fmt::print("{}", report::summary(proof, summary));
}

// Those of --for, else what the target's files are for; they assume what the files do not model.
Result<std::vector<privilege::Platform>> platforms_of(const ProveOptions& options,
                                                      const WrittenTarget& written) {
  std::vector<std::string> names = options.platforms;
  if (names.empty()) names = {written.platform.empty() ? "kubernetes" : written.platform};
  std::vector<privilege::Platform> platforms;
  for (const std::string& name : names) {
    PARE_TRY(privilege::Platform platform, privilege::find_platform(name));
    for (const std::string& line : written.assumptions) platform.assumptions.push_back(line);
    platforms.push_back(std::move(platform));
  }
  return platforms;
}

Result<int> prove_all(const ProveOptions& options) {
  PARE_TRY(WrittenTarget written, make_target(options.target));
  PARE_TRY(std::vector<privilege::Platform> platforms, platforms_of(options, written));
  PARE_TRY(std::vector<check::Spec> checks, make_checks(options.target, written.target));
  PARE_CHECK_OK(search_options(options).map([](auto) {}));
  PARE_TRY(Workshop workshop, open_workshop(options.target, written.target));
  if (!options.no_record) {
    PARE_CHECK_OK(can_record(*workshop.engine, " (--no-record proves by ablation alone)"));
  }
  PARE_TRY(target::Target target, resolve_written(written, workshop));
  const std::string digest = content_digest(written);
  int code = 0;
  for (const privilege::Platform& platform : platforms) {
    std::string out = platforms.size() == 1 ? options.out : options.out + "/" + platform.name;
    PARE_TRY(verdict::Proof proof,
             OneProof(options, workshop, target, checks, platform, out, digest).run());
    if (options.plan) continue;
    show(options, proof, out);
    if (!proof.minimal) code = 1;
  }
  PARE_CHECK_OK(workshop.session.remove());
  return code;
}

}  // namespace

Action set_up_prove(CLI::App& app) {
  auto options = std::make_shared<ProveOptions>();
  add_target_options(app, options->target);
  app.add_option("--for", options->platforms,
                 "kubernetes (default) | docker (default for compose files); repeatable")
      ->allow_extra_args(false);
  app.add_option("--budget", options->budget, "at most so many trials (20) or so long (10m)");
  app.add_option("--repeat", options->repeat, "confirmations in a row (3)");
  app.add_option("--jobs", options->jobs,
                 "trials side by side (0: as processors and memory allow)");
  app.add_flag("--one-by-one", options->one_by_one,
               "take away one privilege at a time, for comparison");
  app.add_flag("--plan", options->plan, "run the baseline alone and estimate starts and time");
  app.add_flag("--no-record", options->no_record, "ablation alone: no eBPF");
  app.add_option("-o,--out", options->out, "directory for the proof (pare-out)");
  app.add_flag("--resume", options->resume, "continue an interrupted proof in -o");
  app.add_flag("--json", options->json, "proof.json on stdout");
  return [options, &app]() -> Result<int> {
    PARE_CHECK_OK(apply_pare_file(app, options->target));
    return prove_all(*options);
  };
}

}  // namespace pare::cli
