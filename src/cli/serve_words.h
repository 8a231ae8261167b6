// What pull and run have in common on the command line: which proof, with which root, volumes and
// keys.
#pragma once

#include <CLI/App.hpp>
#include <atomic>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/proof_file.h"
#include "cli/target_options.h"
#include "confine/serve_plan.h"

namespace pare::cli {

// What a pull lists the volume's files in, unless told otherwise.
constexpr const char* kManifest = "pare.sha256";

struct ServeWords {
  std::string proof, rootfs, engine, runtime = "runc";
  std::vector<std::string> volumes, env, secrets;
  bool unconfirmed = false;
};

void add_serve_words(CLI::App& app, ServeWords& words);
// All but the proof itself.
void add_serve_options(CLI::App& app, ServeWords& words);

struct Serving {
  ProofFile file;
  confine::ServeWishes wishes;
};
// The proof and what was wished for it; `plan` is the caller's to make.
Result<Serving> read_serving(const ServeWords& words);

// A session with the plan's engine, dead sessions swept; named volumes of a Docker daemon become
// the directories that they are.
Result<Workshop> open_serving(const ServeWords& words, confine::ServePlan& plan);

// Hosts that the proof saw a need of, NAME:PORT; what it calls "any" is none.
std::vector<std::string> hosts_needed(const verdict::Proof& proof);

// Set by SIGTERM, SIGINT and SIGHUP from the first call on.
const std::atomic<bool>& stop_on_signals();

// `pare prepare` with these words as a process of its own, since it gives up its rights for good.
// kUsage or kHost with its message unless it ends with 0.
Status run_prepare(const std::vector<std::string>& words);

// The directory of the host behind a path in the container, and the rest of the path in it. kUsage
// when it lies on no volume.
struct InVolume {
  std::string source, rest;  // rest: "." for the volume itself
};
Result<InVolume> in_volume(const confine::ServePlan& plan, const std::string& path);

// Talk: "pare: TEXT" on stderr. A line of the container's on stdout.
void say(const std::string& text);
void print_line(std::string_view line);

}  // namespace pare::cli
