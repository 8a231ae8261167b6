// exec: a program of the container, run inside it by the engine; exit code 0 passes.
#include <fmt/format.h>

#include <chrono>

#include "check/kind.h"

namespace pare::check {

Prepared prepare_exec(const Spec& spec, const Subject& subject) {
  if (!subject.exec) {
    return tl::unexpected(Attempt{.why = "programs cannot be run inside this container"});
  }
  return [spec, exec = subject.exec]() {
    auto start = std::chrono::steady_clock::now();
    Result<int> code = exec(spec.argv, spec.within);
    Attempt attempt;
    attempt.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    attempt.answered = code.has_value();
    attempt.pass = code && *code == 0;
    // That it cannot be run is no error of ours: the policy, or the container's end, can be why.
    if (!code) attempt.why = code.error().message;
    if (code && *code != 0) attempt.why = fmt::format("{} exited with {}", spec.argv[0], *code);
    return attempt;
  };
}

}  // namespace pare::check
