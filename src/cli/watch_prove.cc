// Exceptions are proved, not believed: without one of them, do the checks still pass?
#include <fmt/core.h>

#include <chrono>
#include <iterator>
#include <map>

#include "cli/watch_options.h"

namespace pare::cli {

namespace {

using std::chrono::milliseconds;

constexpr uint64_t kNsInMs = 1'000'000;
constexpr int kRounds = 2;  // a failure counts when it repeats

// Empty: every check passed; else why the first one did not.
Result<std::string> first_failure(const std::vector<check::Spec>& checks,
                                  const check::Subject& subject) {
  for (const check::Spec& spec : checks) {
    PARE_TRY(check::CheckResult result, check::run(spec, subject));
    if (!result.pass) return spec.name + ": " + result.why;
  }
  return std::string();
}

Result<check::Subject> reach(const confine::WatchSubject& watched,
                             const std::vector<check::Spec>& checks) {
  const confine::SubjectState state = confine::look_at(watched);
  if (state.pid == 0) return fail(ErrorKind::kHost, "the container does not run: nothing to check");
  check::Subject subject;
  subject.pid = state.pid;
  subject.address = "127.0.0.1";
  for (const check::Spec& spec : checks) subject.reachable.push_back(spec.port);
  for (const confine::Address& address : state.own)
    if (!confine::is_loopback(address) &&
        confine::to_string(address).find(':') == std::string::npos)
      subject.address = confine::to_string(address);
  return subject;
}

struct Outcome {
  confine::Need need = confine::Need::kUnproven;
  std::string because;
};

// For what is left of its time.
Status allow_again(confine::Window& window, const confine::ActiveException& active) {
  confine::Exception exception = active.exception;
  if (active.until_ns != 0) {
    const uint64_t now = confine::monotonic_ns();
    if (active.until_ns <= now) return {};
    exception.lasts = milliseconds((active.until_ns - now + kNsInMs - 1) / kNsInMs);
  }
  PARE_TRY([[maybe_unused]] uint32_t row, window.allow(exception));
  return {};
}

Result<Outcome> without_one(const std::vector<check::Spec>& checks, const check::Subject& subject) {
  int failed = 0;
  std::string why;
  for (int round = 0; round < kRounds; ++round) {
    PARE_TRY(std::string failure, first_failure(checks, subject));
    if (!failure.empty()) ++failed;
    if (why.empty()) why = failure;
  }
  if (failed == kRounds) return Outcome{confine::Need::kNeeded, why};
  if (failed > 0) return Outcome{confine::Need::kUnproven, "flaky without it: " + why};
  return Outcome{confine::Need::kTolerated,
                 "every check passed without it while serving; a start was not tried"};
}

}  // namespace

Status prove_exceptions(confine::Window& window, const confine::WatchSubject& watched,
                        const std::vector<check::Spec>& checks, WatchView& view,
                        std::vector<confine::Learnt>& learnt) {
  PARE_TRY(const check::Subject subject, reach(watched, checks));
  PARE_TRY(const std::string before, first_failure(checks, subject));
  if (!before.empty()) {
    for (confine::Learnt& each : learnt) each.because = "fails with it as well: " + before;
    return {};
  }
  for (confine::Learnt& each : learnt) {
    // It may stand twice, with different times.
    std::map<uint32_t, confine::ActiveException> standing = window.exceptions();
    for (auto row = standing.begin(); row != standing.end();)
      row = row->second.exception.without_time() == each.exception ? std::next(row)
                                                                   : standing.erase(row);
    if (standing.empty()) {
      each.because = "its time was over before it could be proved";
      continue;
    }
    for (const auto& [row, active] : standing) PARE_CHECK_OK(window.revoke(row));
    auto outcome = without_one(checks, subject);
    for (const auto& [row, active] : standing) PARE_CHECK_OK(allow_again(window, active));
    if (!outcome) return tl::unexpected(outcome.error());
    each.need = outcome->need;
    each.because = outcome->because;
    view.say(fmt::format("without {}: {}", to_string(each.exception), to_string(each.need)));
  }
  // What fails with everything back was not the exceptions' doing.
  PARE_TRY(const std::string after, first_failure(checks, subject));
  if (after.empty()) return {};
  for (confine::Learnt& each : learnt)
    if (each.need == confine::Need::kNeeded) {
      each.need = confine::Need::kUnproven;
      each.because = "the checks did not recover when it was back: " + after;
    }
  return {};
}

}  // namespace pare::cli
