// pare emit PROOF --to PLATFORM: a proof, written down for a platform.
#include "emit/emit.h"

#include <fmt/core.h>

#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "cli/proof_file.h"
#include "cli/verbs.h"

namespace pare::cli {

namespace {

struct EmitOptions {
  std::string proof, to, out;
  emit::Options emit;
};

Result<int> emit_files(const EmitOptions& options) {
  PARE_TRY(ProofFile proof, read_proof(options.proof));
  emit::Options emit_options = options.emit;
  emit_options.proof_digest = proof.digest;
  PARE_TRY(std::vector<emit::File> files, emit::emit(proof.proof, options.to, emit_options));
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
    PARE_CHECK_OK(base::write_file_atomic(path, file.content, file.executable() ? 0755 : 0644));
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
  app.add_flag("--unconfirmed", options->emit.unconfirmed,
               "emit a proof that is not confirmed, and write that into every file");
  app.add_flag("--localhost-seccomp", options->emit.localhost_seccomp,
               "kubernetes: name the proved list of calls (a file on the node) as the profile");
  app.add_option("--workload", options->emit.workload, "kustomize, helm: the workload to patch");
  app.add_option("--container", options->emit.container, "kustomize, helm: its container");
  app.add_option("--metrics-from", options->emit.metrics_from,
                 "kubernetes: the namespace that may reach the metrics ports (default: none)");
  app.add_option("--runtime-class", options->emit.runtime_class, "kubernetes: runtimeClassName");
  app.add_flag_callback(
      "--no-host-users", [options] { options->emit.host_users = false; },
      "kubernetes: hostUsers: false (1.30 and later)");
  return [options] { return emit_files(*options); };
}

}  // namespace pare::cli
