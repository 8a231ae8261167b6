#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "check/attempts.h"

namespace pare::check {
namespace {

constexpr size_t kBodyKept = 64U << 10;

// What a round of attempts at once says; empty when all passed.
std::string wrong_with(const std::vector<Attempt>& round, int batch) {
  auto failing =
      std::count_if(round.begin(), round.end(), [](const Attempt& a) { return !a.pass; });
  if (failing == 0) return "";
  auto first = std::find_if(round.begin(), round.end(), [](const Attempt& a) { return !a.pass; });
  // One attempt for a batch: what comes before the batch failed already.
  if (batch == 1 || round.size() == 1) return first->why;
  return fmt::format("{} of {} at once failed: {}", failing, batch, first->why);
}

}  // namespace

Result<CheckResult> run(const Spec& spec, const Subject& subject) {
  CheckResult result;
  result.name = spec.name;
  auto start = std::chrono::steady_clock::now();
  auto bench = Bench::open(subject);
  if (!bench && container_gone(bench.error())) {
    result.why = "the container has ended";
    return result;
  }
  if (!bench) return tl::unexpected(bench.error());
  result.why = bench->refusal(spec);
  for (int i = 0; i < spec.repeat && result.why.empty(); ++i) {
    PARE_TRY(auto round, bench->attempt(spec, spec.batch));
    if (round.front().refused && bench->switch_to_ipv6(spec.port)) {
      PARE_TRY(round, bench->attempt(spec, spec.batch));
    }
    result.why = wrong_with(round, spec.batch);
    if (!result.why.empty() && spec.repeat > 1) {
      result.why = fmt::format("request {} of {}: {}", i + 1, spec.repeat, result.why);
    }
    for (const Attempt& attempt : round) result.latencies.push_back(attempt.seconds);
    result.body = round.back().body.substr(0, kBodyKept);
    result.output = round.back().output.substr(0, kBodyKept);
  }
  result.pass = result.why.empty();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace pare::check
