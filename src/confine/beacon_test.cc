#include "confine/beacon.h"

#include <gtest/gtest.h>

#include <random>

namespace pare::confine {
namespace {

std::vector<uint64_t> at_seconds(std::initializer_list<double> seconds) {
  std::vector<uint64_t> times;
  for (double second : seconds) times.push_back(static_cast<uint64_t>(second * 1e9));
  return times;
}

TEST(Beacon, AFixedPeriodIsFound) {
  auto beacon = find_beacon(at_seconds({1, 3, 5.02, 7, 9.01, 11}), 1);
  ASSERT_TRUE(beacon);
  EXPECT_EQ(beacon->rhythm, Rhythm::kPeriodic);
  EXPECT_NEAR(static_cast<double>(beacon->period_ms), 2000, 30);
  EXPECT_LT(beacon->jitter, 0.05);
  EXPECT_FALSE(beacon->random_ports);
}

TEST(Beacon, ARoundOfSeveralTriesCountsOnce) {
  auto beacon = find_beacon(
      at_seconds({0, 0.01, 0.02, 10, 10.01, 10.03, 20, 20.01, 20.02, 30, 30.01, 30.02}), 1);
  ASSERT_TRUE(beacon);
  EXPECT_EQ(beacon->rounds, 4U);
  EXPECT_EQ(beacon->rhythm, Rhythm::kPeriodic);
  EXPECT_NEAR(static_cast<double>(beacon->period_ms), 10'000, 50);
}

TEST(Beacon, ABackOffIsNotAPeriod) {
  auto beacon = find_beacon(at_seconds({0, 1, 3, 7, 15, 31, 63}), 1);
  ASSERT_TRUE(beacon);
  EXPECT_EQ(beacon->rhythm, Rhythm::kBackOff);
  EXPECT_NEAR(beacon->factor, 2, 0.1);
  EXPECT_EQ(beacon->period_ms, 32'000U);
}

TEST(Beacon, RandomPortsAreNamed) {
  auto beacon = find_beacon(at_seconds({0, 1, 2, 3, 4, 5}), 6);
  ASSERT_TRUE(beacon);
  EXPECT_TRUE(beacon->random_ports);
  EXPECT_EQ(beacon->rhythm, Rhythm::kPeriodic);
}

TEST(Beacon, ChanceIsNoRhythm) {
  std::mt19937 random(7);
  std::exponential_distribution<double> gap(0.5);
  std::vector<uint64_t> times;
  double now = 0;
  for (int i = 0; i < 200; ++i) times.push_back(static_cast<uint64_t>((now += gap(random)) * 1e9));
  auto beacon = find_beacon(times, 1);
  ASSERT_TRUE(beacon);
  EXPECT_EQ(beacon->rhythm, Rhythm::kIrregular);
  EXPECT_FALSE(find_beacon(at_seconds({1, 2, 3}), 1));
}

}  // namespace
}  // namespace pare::confine
