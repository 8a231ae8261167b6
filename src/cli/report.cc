// pare report PROOF: for people, as one file. pare diff OLD NEW: what changed between two proofs.
#include <fmt/core.h>

#include <array>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/progress.h"
#include "cli/proof_file.h"
#include "cli/verbs.h"
#include "report/diff.h"
#include "report/document.h"

namespace pare::cli {

namespace {

struct Format {
  const char* name;
  std::string (*write)(const ProofFile&);
};

const evidence::Evidence* evidence_of(const ProofFile& file) {
  return file.evidence ? &*file.evidence : nullptr;
}

constexpr std::array<Format, 3> kFormats = {
    {{"html", [](const ProofFile& file) { return report::html(file.proof, evidence_of(file)); }},
     {"markdown",
      [](const ProofFile& file) { return report::markdown(file.proof, evidence_of(file)); }},
     {"vendor", [](const ProofFile& file) {
        return report::vendor(file.proof, evidence_of(file),
                              file.telemetry ? &*file.telemetry : nullptr);
      }}}};

struct ReportOptions {
  std::string proof, format = "markdown", out;
};

Result<int> write_report(const ReportOptions& options) {
  const Format* format = nullptr;
  std::vector<std::string> names;
  for (const Format& row : kFormats) {
    names.emplace_back(row.name);
    if (options.format == row.name) format = &row;
  }
  if (format == nullptr) {
    return fail(ErrorKind::kUsage,
                "unknown --format '" + options.format + "': use " + base::join(names, " or "));
  }
  PARE_TRY(ProofFile file, read_proof(options.proof));
  // A telemetry.json of another make may hold anything.
  PARE_TRY(std::string text, base::read_json(options.proof + ": telemetry.json",
                                             [&] { return format->write(file); }));
  if (options.out.empty()) {
    fmt::print("{}", text);
    return 0;
  }
  PARE_CHECK_OK(base::write_file_atomic(options.out, text));
  return 0;
}

struct DiffOptions {
  std::string older, newer;
  bool json = false;
};

Result<int> write_diff(const DiffOptions& options) {
  PARE_TRY(ProofFile older, read_proof(options.older));
  PARE_TRY(ProofFile newer, read_proof(options.newer));
  report::Diff diff = report::compare(older.proof, newer.proof);
  if (options.json) {
    fmt::print("{}\n", base::write_json(report::to_json(diff), 1));
  } else {
    fmt::print("{}", report::diff_text(diff, false));
  }
  return diff.looser() ? 1 : 0;
}

}  // namespace

Action set_up_report(CLI::App& app) {
  auto options = std::make_shared<ReportOptions>();
  app.add_option("proof", options->proof, "proof.json, or the directory that prove wrote")
      ->required();
  app.add_option("--format", options->format, "html | markdown (default) | vendor");
  app.add_option("-o,--out", options->out, "file to write (default: stdout)");
  return [options] { return write_report(*options); };
}

Action set_up_diff(CLI::App& app) {
  auto options = std::make_shared<DiffOptions>();
  app.add_option("old", options->older, "the proof before")->required();
  app.add_option("new", options->newer, "the proof after; exit code 1 when it grants more")
      ->required();
  app.add_flag("--json", options->json, "pare.diff/v1 instead of text");
  return [options] { return write_diff(*options); };
}

}  // namespace pare::cli
