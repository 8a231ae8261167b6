// pare merge EVIDENCE...: what the replicas of one workload did, as one evidence.
#include "evidence/merge.h"

#include <fmt/core.h>

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "cli/verbs.h"

namespace pare::cli {

namespace {

struct MergeOptions {
  std::vector<std::string> files;
  std::string out;
};

// evidence.json, or the directory that holds it.
Result<evidence::Evidence> read(const std::string& path) {
  std::error_code ignored;
  std::string file = std::filesystem::is_directory(path, ignored) ? path + "/evidence.json" : path;
  PARE_TRY(std::string text, base::read_file(file));
  PARE_TRY(base::Json json, base::parse_json(text, file));
  return evidence::evidence_from_json(json, file);
}

Result<int> merge(const MergeOptions& options) {
  std::vector<evidence::Evidence> inputs;
  for (const std::string& file : options.files) {
    PARE_TRY(evidence::Evidence one, read(file));
    inputs.push_back(std::move(one));
  }
  const std::string text = base::write_json(evidence::to_json(evidence::merge(inputs)), 1) + "\n";
  if (options.out.empty()) {
    fmt::print("{}", text);
    return 0;
  }
  PARE_CHECK_OK(base::write_file_atomic(options.out, text));
  return 0;
}

}  // namespace

Action set_up_merge(CLI::App& app) {
  auto options = std::make_shared<MergeOptions>();
  app.add_option("evidence", options->files,
                 "evidence.json of each replica, or the directories that hold them")
      ->required();
  app.add_option("-o,--out", options->out, "file to write (default: stdout)");
  return [options] { return merge(*options); };
}

}  // namespace pare::cli
