#include "trial/patience.h"

#include <algorithm>

namespace pare::trial {

using std::chrono::milliseconds;

namespace {

constexpr double kTimes = 4;
constexpr milliseconds kLeast{10'000};
constexpr milliseconds kLeastAnswering{1'000};

}  // namespace

void Slowest::note(bool cold, double seconds, double answering_seconds) {
  if (cold && warm_) return;
  if (!cold && !warm_) *this = {};
  known_ = true;
  warm_ = !cold;
  seconds_ = std::max(seconds_, seconds);
  answering_seconds_ = std::max(answering_seconds_, answering_seconds);
}

check::Patience Slowest::patience(milliseconds most, int side_by_side) const {
  if (!known_) return {most, most};
  auto stretched = [&](double seconds, milliseconds least) {
    milliseconds times(static_cast<int64_t>(seconds * kTimes * 1000));
    return std::min(most, std::max(least, times) * std::max(1, side_by_side));
  };
  check::Patience patience;
  patience.limit = stretched(seconds_, kLeast);
  patience.answering = std::min(patience.limit, stretched(answering_seconds_, kLeastAnswering));
  return patience;
}

}  // namespace pare::trial
