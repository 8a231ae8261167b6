// pare emit PROOF --to PLATFORM: a proof, written down for a platform.
#include "emit/emit.h"

#include <fmt/core.h>

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/verbs.h"

namespace pare::cli {

namespace {

struct EmitOptions {
  std::string proof, to, out;
  bool unconfirmed = false;
};

// A proof.json, or the directory that prove wrote.
Result<verdict::Proof> read_proof(const std::string& path) {
  std::string file = std::filesystem::is_directory(path) ? path + "/proof.json" : path;
  PARE_TRY(std::string text, base::read_file(file));
  PARE_TRY(base::Json json, base::parse_json(text, file));
  return verdict::proof_from_json(json, file);
}

Result<int> emit_files(const EmitOptions& options) {
  PARE_TRY(verdict::Proof proof, read_proof(options.proof));
  emit::Options emit_options;
  emit_options.unconfirmed = options.unconfirmed;
  PARE_TRY(std::vector<emit::File> files, emit::emit(proof, options.to, emit_options));
  if (options.out.empty()) {
    // One file is ready for a pipe; several are told apart by their names.
    for (const emit::File& file : files) {
      if (files.size() > 1) fmt::print("# ---- {}\n", file.name);
      fmt::print("{}", file.content);
    }
    return 0;
  }
  for (const emit::File& file : files) {
    std::string path = options.out + "/" + file.name;
    PARE_CHECK_OK(base::make_directories(std::filesystem::path(path).parent_path()));
    PARE_CHECK_OK(base::write_file_atomic(path, file.content));
    fmt::print(stderr, "wrote {}\n", path);
  }
  return 0;
}

}  // namespace

Action set_up_emit(CLI::App& app) {
  auto options = std::make_shared<EmitOptions>();
  std::vector<std::string> names;
  for (const emit::Emitter& emitter : emit::emitter_table()) names.push_back(emitter.name);
  app.add_option("proof", options->proof, "proof.json, or the directory that prove wrote")
      ->required();
  app.add_option("--to", options->to, base::join(names, " | "))->required();
  app.add_option("-o,--out", options->out, "directory to write into (default: stdout)");
  app.add_flag("--unconfirmed", options->unconfirmed,
               "emit a proof that is not confirmed, and write that into every file");
  return [options] { return emit_files(*options); };
}

}  // namespace pare::cli
