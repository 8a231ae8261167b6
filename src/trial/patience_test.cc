#include "trial/patience.h"

#include <gtest/gtest.h>

namespace pare::trial {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kMost{60'000};

TEST(Patience, IsTheUsersOwnUntilAStartWasSeen) {
  check::Patience patience = Slowest().patience(kMost, 4);
  EXPECT_EQ(patience.limit, kMost);
  EXPECT_EQ(patience.answering, kMost);
}

TEST(Patience, OfAFastServerLeavesRoomForABusyHost) {
  Slowest slowest;
  slowest.note(false, 0.4, 0.01);
  EXPECT_EQ(slowest.patience(kMost, 1).limit, milliseconds(10'000));
  EXPECT_EQ(slowest.patience(kMost, 1).answering, milliseconds(1'000));
  EXPECT_EQ(slowest.patience(kMost, 2).limit, milliseconds(20'000));
}

TEST(Patience, GrowsWithTheSlowestStartOfTheUnchangedTarget) {
  Slowest slowest;
  slowest.note(false, 0.4, 0.01);
  slowest.note(false, 5, 2);
  slowest.note(false, 0.3, 0.01);
  EXPECT_EQ(slowest.patience(kMost, 1).limit, milliseconds(20'000));
  EXPECT_EQ(slowest.patience(kMost, 1).answering, milliseconds(8'000));
}

TEST(Patience, AStartThatPullsCountsUntilAWarmOneWasSeen) {
  Slowest slowest;
  slowest.note(true, 300, 0);
  EXPECT_EQ(slowest.patience(kMost * 60, 1).limit, milliseconds(1'200'000));
  slowest.note(false, 4, 0);
  EXPECT_EQ(slowest.patience(kMost, 1).limit, milliseconds(16'000));
  slowest.note(true, 300, 0);
  EXPECT_EQ(slowest.patience(kMost, 1).limit, milliseconds(16'000));
}

TEST(Patience, NeverExceedsTheUsersOwn) {
  Slowest slowest;
  slowest.note(false, 100, 90);
  EXPECT_EQ(slowest.patience(kMost, 4).limit, kMost);
  EXPECT_EQ(slowest.patience(kMost, 4).answering, kMost);
}

}  // namespace
}  // namespace pare::trial
