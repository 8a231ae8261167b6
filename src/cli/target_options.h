// What prove and observe have in common: which target, on which engine, with which checks.
#pragma once

#include <CLI/App.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "check/check.h"
#include "engine/engine.h"
#include "sys/session.h"
#include "target/files.h"
#include "target/target.h"

namespace pare::cli {

struct TargetOptions {
  std::string engine;
  std::string runtime = "runc";
  std::string rootfs;
  std::vector<std::string> volumes, env, env_files, secrets, checks, check_files;
  std::string user, asked, workdir, network, netns;
  std::vector<uint16_t> ports;
  std::string ready_within;
  std::string image, container;  // instead of the file's; which of its containers
  std::vector<std::string> profiles, binds, groups;
  std::vector<std::string> words;           // after --, or files
  std::vector<target::SourceFile> sources;  // the files, where they have been read already
  std::vector<check::Spec> file_checks;     // of pare.yaml
};

using Secrets = std::map<std::string, std::string>;  // of --secret: value by name

// A target with what its files say besides.
struct WrittenTarget {
  target::Target target;
  std::string platform;                  // what --for means for such a file; empty: the default
  std::vector<std::string> assumptions;  // what is not modelled of them
  std::vector<target::VolumeContent> contents;
  std::vector<std::string> file_secrets;  // as in target::Workload
  std::string non_root_where;
};

void add_target_options(CLI::App& app, TargetOptions& options);

// The target as written; not yet resolved by an engine.
Result<WrittenTarget> make_target(const TargetOptions& options);
Result<std::vector<check::Spec>> make_checks(const TargetOptions& options,
                                             const target::Target& target);
// Default 10 minutes: a cold model server downloads before it answers.
Result<std::chrono::milliseconds> ready_limit(const TargetOptions& options);

// The Docker daemon's: DOCKER_HOST, or its default.
std::string docker_socket();

// A session of this process with its engine. Dead sessions of killed processes are swept first.
struct Workshop {
  sys::Session session;
  std::unique_ptr<engine::Engine> engine;
};
Result<Workshop> open_workshop(const TargetOptions& options, const target::Target& target);
// Whether what the engine starts can be recorded on this host; `instead` ends the sentence if not.
Status can_record(engine::Engine& engine, const std::string& instead = "");

// Removes what dead sessions left: containers, cgroups, mounts, directories. How many there were.
Result<int> sweep_dead_sessions();

}  // namespace pare::cli
