// pare-prepare: the init step as a static program of its own, for an image FROM scratch.
#include <unistd.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <exception>

#include "prepare/command.h"

int main(int argc, char** argv) {
  CLI::App app{"owns, creates and verifies a volume, and can do nothing else", "pare-prepare"};
  pare::prepare::Words words;
  pare::prepare::add_options(app, words);
  try {
    app.parse(argc, argv);
    std::function<void(uint64_t)> progress;
    if (isatty(STDERR_FILENO) != 0) {
      progress = [](uint64_t n) {
        fprintf(stderr, "\r%llu entries", static_cast<unsigned long long>(n));
      };
    }
    auto printed = pare::prepare::run(words, progress);
    if (printed) {
      puts(printed->text.c_str());
      return printed->code;
    }
    fprintf(stderr, "pare-prepare: %s\n", printed.error().message.c_str());
    return pare::base::exit_code(printed.error().kind);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    fprintf(stderr, "pare-prepare: %s (see pare-prepare --help)\n", e.what());
    return pare::base::exit_code(pare::ErrorKind::kUsage);
  } catch (const std::exception& e) {
    fprintf(stderr, "pare-prepare: unexpected: %s\n", e.what());
    return pare::base::exit_code(pare::ErrorKind::kHost);
  }
}
