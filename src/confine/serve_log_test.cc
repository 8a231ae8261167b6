#include "confine/serve_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

namespace pare::confine {
namespace {

using std::chrono::milliseconds;

struct Folded {
  std::vector<std::string> lines;
  LogFolder folder;
  LogFolder::Time now{std::chrono::hours(1)};
  explicit Folded(const LogLimits& limits = {})
      : folder(limits, [this](std::string_view line) { lines.emplace_back(line); }) {}
  void take(std::string_view text) { folder.take(text, now); }
};

using Lines = std::vector<std::string>;

TEST(LogFolder, LinesThatDifferInDigitsAloneAreOne) {
  Folded f;
  f.take("start\ntry 1\ntry 2\ntry 30\nother\n");
  EXPECT_EQ(f.lines,
            (Lines{"start", "try 1", "try 30 [2 lines like this, the last one shown]", "other"}));
  EXPECT_EQ(f.folder.counters().lines, 5u);
  EXPECT_EQ(f.folder.counters().folded, 2u);
}

TEST(LogFolder, RepeatsAreCountedNowAndThen) {
  Folded f;
  for (int i = 0; i < 10; ++i) {
    f.take("same\n");
    f.now += milliseconds(1000);
  }
  EXPECT_GE(f.lines.size(), 2u);
  EXPECT_LE(f.lines.size(), 4u);
}

TEST(LogFolder, FloodIsCutAndSaidSo) {
  LogLimits limits;
  limits.bytes_per_second = 100;
  limits.burst = 100;
  Folded f(limits);
  std::string flood;
  for (char c = 'a'; c <= 'z'; ++c) flood += std::string(9, c) + "\n";
  f.take(flood);
  EXPECT_EQ(f.lines.size(), 10u);
  f.now += milliseconds(1000);
  f.take("later\n");
  EXPECT_EQ(f.lines.at(10), "[16 lines dropped: the log is limited to 100 bytes a second]");
  EXPECT_EQ(f.lines.at(11), "later");
}

TEST(LogFolder, LinesComeInPieces) {
  Folded f;
  f.take("a");
  f.take("b\nc");
  f.folder.finish(f.now);
  EXPECT_EQ(f.lines, (Lines{"ab", "c"}));
}

TEST(LogReader, TakesWhatIsInThePipeAtTheEnd) {
  Lines lines;
  {
    auto reader = LogReader::open({}, [&](std::string_view line) { lines.emplace_back(line); });
    ASSERT_TRUE(reader);
    ASSERT_EQ(write((*reader)->write_end(), "one\ntwo\nthree", 13), 13);
  }
  EXPECT_EQ(lines, (Lines{"one", "two", "three"}));
}

}  // namespace
}  // namespace pare::confine
