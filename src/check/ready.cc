#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "check/attempts.h"
#include "check/http_client.h"

namespace pare::check {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

milliseconds since(Clock::time_point then) {
  return std::chrono::duration_cast<milliseconds>(Clock::now() - then);
}

// Short against what has been waited already, so that readiness costs little; never busy.
void pause_after(milliseconds waited) {
  std::this_thread::sleep_for(std::clamp(waited / 20, milliseconds(5), milliseconds(250)));
}

class Wait {
 public:
  Wait(const std::vector<Spec>& specs, Bench bench, const Patience& patience,
       const std::function<bool()>& still_alive)
      : specs_(specs), bench_(std::move(bench)), patience_(patience), still_alive_(still_alive) {}

  Result<Ready> run() {
    for (next_ = 0; next_ < specs_.size();) {
      const Spec& spec = specs_[next_];
      if (std::string why = bench_.refusal(spec); !why.empty()) return ended(why);
      PARE_TRY(Attempt attempt, light(spec));
      if (attempt.answered && !first_answer_) first_answer_ = Clock::now();
      if (attempt.pass) {
        last_ = std::move(attempt);
        ++next_;
        continue;
      }
      // An attempt that the limit cut short says less than the one before.
      bool cut = !attempt.answered && since(start_) >= patience_.limit && !last_.why.empty();
      if (!cut) last_ = std::move(attempt);
      if (still_alive_ && !still_alive_()) return ended("the container exited before it was ready");
      milliseconds waited = since(start_);
      if (waited >= patience_.limit) {
        return ended(
            fmt::format("not ready within {}: {}", duration_text(patience_.limit), last_.why));
      }
      if (first_answer_ && since(*first_answer_) >= patience_.answering) {
        return ended(fmt::format("{} (for {} since its first answer)", last_.why,
                                 duration_text(patience_.answering)));
      }
      if (last_.refused) look_for_ipv6(spec.port);
      pause_after(waited);
    }
    return ended("");
  }

 private:
  // One request instead of the batch and its repeats, within what is left of the limit.
  Result<Attempt> light(Spec spec) {
    milliseconds left = patience_.limit - since(start_);
    spec.within = std::clamp(left, milliseconds(1), spec.within);
    PARE_TRY(auto attempts, bench_.attempt(spec, 1));
    return std::move(attempts.front());
  }

  // Reading the socket tables costs milliseconds: seldom.
  void look_for_ipv6(uint16_t port) {
    if (since(looked_) < milliseconds(250)) return;
    bench_.switch_to_ipv6(port);
    looked_ = Clock::now();
  }

  Ready ended(const std::string& why) {
    Ready ready;
    ready.name = specs_[std::min(next_, specs_.size() - 1)].name;
    ready.pass = why.empty();
    ready.why = why;
    ready.body = last_.body.substr(0, 64U << 10);
    ready.output = last_.output.substr(0, 64U << 10);
    Clock::time_point now = Clock::now();
    ready.seconds = std::chrono::duration<double>(now - start_).count();
    if (first_answer_) {
      ready.answering_seconds = std::chrono::duration<double>(now - *first_answer_).count();
    }
    return ready;
  }

  const std::vector<Spec>& specs_;
  Bench bench_;
  const Patience& patience_;
  const std::function<bool()>& still_alive_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point looked_ = Clock::now();
  std::optional<Clock::time_point> first_answer_;
  size_t next_ = 0;
  Attempt last_;
};

}  // namespace

Result<Ready> wait_ready(const std::vector<Spec>& specs, const Subject& subject,
                         const Patience& patience, const std::function<bool()>& still_alive) {
  if (specs.empty()) return fail(ErrorKind::kUsage, "there is no check that could pass");
  auto bench = Bench::open(subject);
  if (!bench && container_gone(bench.error())) {
    Ready ready;
    ready.name = specs.front().name;
    ready.gone = true;
    ready.why = "the container exited before it was ready";
    return ready;
  }
  if (!bench) return tl::unexpected(bench.error());
  return Wait(specs, std::move(*bench), patience, still_alive).run();
}

}  // namespace pare::check
