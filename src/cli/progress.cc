#include "cli/progress.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "report/progress.h"

namespace pare::cli {

static bool colour_on(int fd) {
  const char* no_color = getenv("NO_COLOR");
  return isatty(fd) == 1 && (no_color == nullptr || *no_color == '\0');
}
bool colour_on_stderr() {
  return colour_on(STDERR_FILENO);
}
bool colour_on_stdout() {
  return colour_on(STDOUT_FILENO);
}

int terminal_width(int fd) {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 100;
}

prove::Observer progress_observer() {
  bool live = isatty(STDERR_FILENO) == 1;
  prove::Observer observer;
  observer.before = [live](const prove::Request& request) {
    if (live) fmt::print(stderr, "{} ...\r", report::trial_begin(request.id, request.kind));
    std::fflush(stderr);
  };
  observer.after = [live](const prove::Request& request, const prove::Outcome& outcome) {
    std::vector<std::string> without;
    for (const auto& privilege : request.without) {
      without.push_back(privilege::to_string(privilege));
    }
    if (live) fmt::print(stderr, "\x1b[2K\r");
    fmt::print(stderr, "{}\n",
               report::trial_line({request.id,
                                   request.kind,
                                   outcome.pass ? "pass" : "fail",
                                   {},
                                   without,
                                   outcome.why,
                                   outcome.seconds,
                                   outcome.starts},
                                  {colour_on_stderr(), terminal_width(STDERR_FILENO)}));
  };
  return observer;
}

}  // namespace pare::cli
