// pare prepare: owns, creates and verifies a volume, and can do nothing else.
#include <fmt/core.h>

#include <memory>

#include "cli/progress.h"
#include "cli/verbs.h"
#include "prepare/command.h"

namespace pare::cli {

Action set_up_prepare(CLI::App& app) {
  auto words = std::make_shared<prepare::Words>();
  prepare::add_options(app, *words);
  return [words]() -> Result<int> {
    std::function<void(uint64_t)> progress;
    if (colour_on_stderr()) {
      progress = [](uint64_t n) { fmt::print(stderr, "\r{} entries", n); };
    }
    PARE_TRY(prepare::Printed printed, prepare::run(*words, progress));
    fmt::print("{}\n", printed.text);
    return printed.code;
  };
}

}  // namespace pare::cli
