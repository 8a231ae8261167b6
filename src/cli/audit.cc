// pare audit FILES...|-: what the files ask for, and the fix.
#include "audit/audit.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <thread>

#include "audit/fix.h"
#include "audit/format.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/verbs.h"
#include "cli/version.h"

namespace pare::cli {

namespace {

namespace fs = std::filesystem;

struct AuditOptions {
  std::vector<std::string> paths, rules;
  std::string format = "text", against, baseline, write_baseline, fail_on = "low";
  bool diff = false, fix = false, json = false;
  unsigned jobs = 0;
};

struct Inputs {
  std::vector<audit::SourceFile> files;
  std::vector<std::pair<size_t, std::string>> failed;  // file, why
};

bool skipped_directory(const fs::path& path) {
  std::string name = path.filename();
  return name == ".git" || name == "node_modules";
}

void add_file(const std::string& name, Inputs* inputs) {
  auto bytes = name == "-"
                   ? Result<std::string>(std::string(std::istreambuf_iterator<char>(std::cin), {}))
                   : base::read_file(name);
  if (!bytes) inputs->failed.emplace_back(inputs->files.size(), bytes.error().message);
  inputs->files.push_back({name, bytes ? std::move(*bytes) : std::string()});
}

void add_directory(const std::string& path, Inputs* inputs) {
  std::error_code error;
  std::vector<std::string> found;
  fs::recursive_directory_iterator it(path, error), end;
  for (; !error && it != end; it.increment(error)) {
    if (it->is_directory() && skipped_directory(it->path())) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file() && audit::worth_opening(it->path().string())) {
      found.push_back(it->path().string());
    }
  }
  std::sort(found.begin(), found.end());
  for (const std::string& file : found) add_file(file, inputs);
  // A directory that is named wrongly must not pass.
  std::string why = error ? error.message() : "holds no file that pare audits: name one by itself";
  if (error || found.empty()) {
    inputs->failed.emplace_back(inputs->files.size(), why);
    inputs->files.push_back({path, ""});
  }
}

Inputs read_inputs(const std::vector<std::string>& paths) {
  Inputs inputs;
  for (const std::string& path : paths) {
    std::error_code error;
    if (path != "-" && fs::is_directory(path, error)) {
      add_directory(path, &inputs);
    } else {
      add_file(path, &inputs);
    }
  }
  return inputs;
}

audit::Audit run_audit(const AuditOptions& options, const audit::Options& how) {
  Inputs inputs = read_inputs(options.paths);
  auto failed = inputs.failed;
  audit::Audit result = audit::audit_files(std::move(inputs.files), how);
  for (const auto& [file, why] : failed) {
    result.models[file]->notes.clear();
    result.models[file]->unread = {{0, why}};
  }
  return result;
}

int exit_code_of(const audit::Audit& result, audit::Severity fail_on) {
  if (audit::anything_unread(result)) return base::exit_code(ErrorKind::kUnread);
  auto worst = audit::worst(result);
  return worst && *worst >= fail_on ? 1 : 0;
}

std::string place(const std::string& workload, const std::string& container) {
  return container.empty() || container == workload ? workload : workload + "/" + container;
}

// Off Kubernetes: held to Pod Security restricted where no rule that belongs to it is left.
void tell_equivalent(const std::string& name, const audit::FixedFile& fixed,
                     const audit::WorkloadSummary& w) {
  std::vector<std::string> stops;
  audit::LineIndex lines(fixed.text);
  for (const audit::Finding& f : fixed.left) {
    if (f.suppressed || f.rule->pss.empty() || f.workload != w.name || f.document != w.document) {
      continue;
    }
    stops.push_back(fmt::format("{} at line {}", f.rule->id, lines.at(f.span.begin).line));
  }
  fmt::print(stderr, "{}: {} {}: {} after the fixes{}{}\n", name, w.kind, w.name,
             stops.empty() ? "the equivalent of Pod Security restricted"
                           : "not the equivalent of Pod Security restricted",
             stops.empty() ? "" : "; what stops it: ", base::join(stops, ", "));
}

void tell_fixes(const std::string& name, const audit::FixedFile& fixed) {
  for (const audit::AppliedFix& fix : fixed.applied) {
    fmt::print(stderr, "{}: {} {}: {}{}\n", name, fix.rule->id, place(fix.workload, fix.container),
               fix.rule->fix, fix.breaks.empty() ? "" : " -- may break: " + fix.breaks);
  }
  for (const audit::UnappliedFix& left : fixed.unapplied) {
    fmt::print(stderr, "{}:{}: {} {}: not fixed: {}\n", name, left.line, left.rule->id,
               place(left.workload, left.container), left.why);
  }
  for (const audit::WorkloadSummary& w : fixed.workloads) {
    if (w.pod_security.empty() && !w.managed) tell_equivalent(name, fixed, w);
    if (w.pod_security.empty()) continue;
    fmt::print(stderr, "{}: {} {}: Pod Security {} after the fixes{}\n", name, w.kind, w.name,
               w.pod_security,
               w.not_restricted.empty() ? "" : "; not restricted: " + w.not_restricted);
  }
}

// The file that a link leads to, with its mode and owner.
Status write_over(const std::string& path, const std::string& text) {
  std::error_code failed;
  std::string real = fs::canonical(path, failed).string();
  struct stat status = {};
  if (failed) return fail_errno("cannot write " + path, failed.value());
  if (stat(real.c_str(), &status) != 0) return fail_errno("cannot write " + path, errno);
  PARE_CHECK_OK(base::write_file_atomic(real, text, status.st_mode & 07777));
  if (chown(real.c_str(), status.st_uid, status.st_gid) == 0) return {};
  return fail_errno("cannot give " + real + " back to its owner", errno);
}

// --diff prints, --fix writes; standard input is answered on standard output.
Result<int> fix_files(const AuditOptions& options, const audit::Options& how,
                      const audit::Audit& before) {
  for (size_t i = 0; i < before.files.size(); ++i) {
    if (before.models[i]->kind == audit::FileKind::kUnknown) continue;
    const audit::SourceFile& file = *before.files[i];
    audit::FixedFile fixed = audit::fix_file(before, i, how);
    tell_fixes(file.name, fixed);
    if (options.diff) {
      fmt::print("{}", audit::unified_diff(file.name, file.bytes, fixed.text));
    } else if (file.name == "-") {
      fmt::print("{}", fixed.text);
    } else if (fixed.text != file.bytes) {
      PARE_CHECK_OK(write_over(file.name, fixed.text));
    }
  }
  return 0;
}

Result<verdict::Proof> read_proof(const std::string& path) {
  std::string file = fs::is_directory(path) ? path + "/proof.json" : path;
  PARE_TRY(std::string text, base::read_file(file));
  PARE_TRY(base::Json json, base::parse_json(text, file));
  return verdict::proof_from_json(json, file);
}

Result<audit::Options> settle(const AuditOptions& options, verdict::Proof* proof) {
  audit::Options how;
  how.threads =
      options.jobs != 0 ? options.jobs : std::max(1u, std::thread::hardware_concurrency());
  for (const std::string& name : options.rules) {
    const audit::Rule* rule = audit::find_rule(name);
    if (rule == nullptr) {
      return fail(ErrorKind::kUsage, "'" + name + "' is no rule: pare explain lists them");
    }
    how.only.push_back(rule);
  }
  if (!options.against.empty()) {
    PARE_TRY(*proof, read_proof(options.against));
    how.proof = proof;
  }
  if (!options.baseline.empty()) {
    PARE_TRY(std::string text, base::read_file(options.baseline));
    PARE_TRY(how.baseline, audit::baseline_from_json(text, options.baseline));
  }
  return how;
}

Result<int> audit_verb(const AuditOptions& options) {
  auto format = audit::parse_format(options.json ? "json" : options.format);
  if (!format) {
    return fail(ErrorKind::kUsage, "unknown format '" + options.format +
                                       "': text, json, sarif, junit, github or markdown");
  }
  auto fail_on = audit::parse_severity(options.fail_on);
  if (!fail_on) {
    return fail(ErrorKind::kUsage,
                "unknown severity '" + options.fail_on + "': info, low, medium, high or critical");
  }
  verdict::Proof proof;
  PARE_TRY(audit::Options how, settle(options, &proof));
  audit::Audit result = run_audit(options, how);
  if (options.diff || options.fix) {
    PARE_TRY(int done, fix_files(options, how, result));
    (void)done;
    bool stdin_only = options.paths.size() == 1 && options.paths[0] == "-";
    if (options.diff || stdin_only) return exit_code_of(result, *fail_on);
    result = run_audit(options, how);
  }
  if (!options.write_baseline.empty()) {
    PARE_CHECK_OK(base::write_file_atomic(
        options.write_baseline, base::write_json(audit::baseline_json(result), 2) + "\n"));
  }
  audit::FormatOptions look;
  look.color = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  look.version = kVersion;
  fmt::print("{}", audit::format_audit(result, *format, look));
  return exit_code_of(result, *fail_on);
}

}  // namespace

Action set_up_audit(CLI::App& app) {
  auto options = std::make_shared<AuditOptions>();
  app.add_option(
         "files", options->paths,
         "Kubernetes YAML, compose files, Dockerfiles, scripts and Markdown with docker run "
         "lines, image configs, directories; - is standard input")
      ->required();
  auto* diff = app.add_flag("--diff", options->diff, "print what --fix would change");
  app.add_flag("--fix", options->fix, "edit the files (each written whole or not at all)")
      ->excludes(diff);
  app.add_option("--format", options->format, "text | json | sarif | junit | github | markdown");
  app.add_flag("--json", options->json, "the same as --format json");
  app.add_option("--against", options->against, "a proof: report what the files ask beyond it");
  app.add_option("--rule", options->rules, "only this rule (repeatable)");
  app.add_option("--fail-on", options->fail_on,
                 "exit 1 at findings of this severity or worse: info | low | medium | high | "
                 "critical (low)");
  app.add_option("--baseline", options->baseline, "findings listed there are suppressed");
  app.add_option("--write-baseline", options->write_baseline,
                 "write today's findings as a baseline");
  app.add_option("--jobs", options->jobs, "threads (default: one a core)");
  return [options] { return audit_verb(*options); };
}

}  // namespace pare::cli
