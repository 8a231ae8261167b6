#include "confine/beacon.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pare::confine {

namespace {

constexpr size_t kMinRounds = 4;
constexpr double kMaxJitter = 0.35;
constexpr double kMinPeriod = 5e7;  // ns; what comes faster is a burst, not a rhythm
constexpr double kMinFactor = 1.25, kMaxFactor = 6;
constexpr size_t kRandomPorts = 4;  // distinct ones, one nearly each round

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::vector<double> intervals(const std::vector<uint64_t>& times) {
  std::vector<double> gaps;
  for (size_t i = 1; i < times.size(); ++i)
    gaps.push_back(static_cast<double>(times[i] - times[i - 1]));
  return gaps;
}

// A round is what comes close together: A and AAAA, several addresses, a retransmission. Close is
// less than a quarter of the larger intervals.
std::vector<uint64_t> rounds_of(const std::vector<uint64_t>& times) {
  std::vector<double> gaps = intervals(times);
  if (gaps.empty()) return times;
  std::vector<double> sorted = gaps;
  std::sort(sorted.begin(), sorted.end());
  const double close = sorted[sorted.size() * 9 / 10] / 4;
  // Gaps that all lie between the two ends are a back-off or no rhythm, not rounds.
  const bool parted = std::none_of(gaps.begin(), gaps.end(),
                                   [&](double gap) { return gap > close / 4 && gap < close; });
  if (!parted) return times;
  std::vector<uint64_t> rounds = {times[0]};
  for (size_t i = 0; i < gaps.size(); ++i)
    if (gaps[i] >= close) rounds.push_back(times[i + 1]);
  return rounds;
}

}  // namespace

std::string_view to_string(Rhythm rhythm) {
  switch (rhythm) {
    case Rhythm::kPeriodic:
      return "periodic";
    case Rhythm::kBackOff:
      return "back-off";
    case Rhythm::kIrregular:
      return "irregular";
  }
  return "irregular";
}

std::optional<Beacon> find_beacon(const std::vector<uint64_t>& times_ns, size_t ports) {
  std::vector<uint64_t> rounds = rounds_of(times_ns);
  // A back-off's small first intervals look like one round.
  if (rounds.size() < kMinRounds) rounds = times_ns;
  if (rounds.size() < kMinRounds) return std::nullopt;
  const std::vector<double> gaps = intervals(rounds);
  const double middle = std::max(median(gaps), 1.0);
  std::vector<double> off, factors;
  for (double gap : gaps) off.push_back(std::abs(gap - middle));
  for (size_t i = 1; i < gaps.size(); ++i) factors.push_back(gaps[i] / std::max(gaps[i - 1], 1.0));
  Beacon beacon;
  beacon.rounds = rounds.size();
  beacon.period_ms = static_cast<uint64_t>(middle / 1e6);
  // 1.4826: the MAD of a normal distribution in standard deviations.
  beacon.jitter = 1.4826 * median(off) / middle;
  beacon.random_ports = ports >= kRandomPorts && ports * 2 >= rounds.size();
  const double factor = median(factors);
  const auto growing =
      std::count_if(factors.begin(), factors.end(), [](double each) { return each > kMinFactor; });
  const bool grows = factors.size() >= 3 &&
                     growing >= static_cast<std::ptrdiff_t>(factors.size()) - 2 &&
                     gaps.back() > 3 * gaps.front();
  if (middle < kMinPeriod) return beacon;
  if (grows && factor >= kMinFactor && factor <= kMaxFactor) {
    beacon.rhythm = Rhythm::kBackOff;
    beacon.factor = factor;
    beacon.period_ms = static_cast<uint64_t>(gaps.back() / 1e6);
  } else if (beacon.jitter <= kMaxJitter) {
    beacon.rhythm = Rhythm::kPeriodic;
  }
  return beacon;
}

std::string describe(const Beacon& beacon) {
  const double seconds = static_cast<double>(beacon.period_ms) / 1000;
  std::string text;
  if (beacon.rhythm == Rhythm::kBackOff)
    text = fmt::format("backing off x{:.1f}, now {:.1f} s", beacon.factor, seconds);
  else if (beacon.rhythm == Rhythm::kPeriodic)
    text = fmt::format("every {:.1f} s (jitter {:.0f} %)", seconds, beacon.jitter * 100);
  else
    text = fmt::format("again and again, about every {:.1f} s", seconds);
  return beacon.random_ports ? text + ", random ports" : text;
}

}  // namespace pare::confine
