// The command line of the init step, for pare-prepare and for the verb.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "prepare/prepare.h"

namespace pare::prepare {

struct Words {
  std::string spec;  // a file, "-" for standard input, or empty: the options say all
  std::string digest, volume, own, verify, manifest;
  std::vector<std::string> directories;
  std::optional<uint64_t> free_bytes;
  bool foreign = false, dry_run = false, json = false;
  unsigned threads = 0;
};

void add_options(CLI::App& app, Words& words);
// The file with the options over it. kUsage also when the file's digest is another.
Result<Spec> make_spec(const Words& words);

struct Printed {
  int code = 0;      // 0 as specified, 1 something was refused
  std::string text;  // for standard output, without a newline
};
// Locks this process down for good, and prepares.
Result<Printed> run(const Words& words, const std::function<void(uint64_t)>& progress);

}  // namespace pare::prepare
