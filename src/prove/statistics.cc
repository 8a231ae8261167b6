#include "prove/statistics.h"

#include <algorithm>
#include <cmath>

namespace pare::prove {

namespace {

constexpr double kZ = 1.6448536269514722;  // 95 % of the standard normal distribution

struct Interval {
  double low, high;
};

// Wilson's score interval for failures in `tally`.
Interval wilson(Tally tally) {
  double n = tally.runs;
  double p = (tally.runs - tally.passes) / n;
  double denominator = 1 + kZ * kZ / n;
  double centre = (p + kZ * kZ / (2 * n)) / denominator;
  double half = kZ * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n)) / denominator;
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

}  // namespace

double worse_by_at_most(Tally baseline, Tally policy) {
  if (baseline.runs == 0 || policy.runs == 0) return 1;
  double base = 1 - static_cast<double>(baseline.passes) / baseline.runs;
  double mine = 1 - static_cast<double>(policy.passes) / policy.runs;
  double up = wilson(policy).high - mine;
  double down = base - wilson(baseline).low;
  return std::clamp(mine - base + std::sqrt(up * up + down * down), 0.0, 1.0);
}

}  // namespace pare::prove
