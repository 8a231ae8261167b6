// Targets from files: which container is meant, what stands for claims and secrets, and the files
// that its volumes hold.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/target_options.h"

namespace pare::cli {

// Whether the words name compose or Kubernetes files rather than a command.
bool names_files(const std::vector<std::string>& words);

// pare.yaml: sets what the file says in the options of `app`, unless the command line says it
// (lists: the file's come first), and replaces the words. No such file among the words: nothing.
Status apply_pare_file(CLI::App& app, TargetOptions& options);

// --secret NAME=FILE. Read once: a pipe has nothing at a second read.
Result<Secrets> read_secrets(const TargetOptions& options);

Result<WrittenTarget> target_of_files(const TargetOptions& options, const Secrets& secrets);

// The target as the workshop's engine resolves it: its image unpacked where it is one in a file,
// what volumes hold written to the session's directory, its assumptions told on stderr, and what
// only the resolved user shows checked.
Result<target::Target> resolve_written(WrittenTarget& written, const Workshop& workshop);

}  // namespace pare::cli
