#include "confine/egress_log.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

namespace pare::confine {
namespace {

using std::chrono::seconds;

class LogMeterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pare-log-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/log";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  void write(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }

  std::string directory_, path_;
  LogMeter::Clock::time_point begin_ = LogMeter::Clock::now();
};

TEST_F(LogMeterTest, CountsWhatIsAddedAndWhatIsSaidAgain) {
  write("from before\n");
  LogMeter meter({path_, false}, begin_);
  for (int i = 0; i < 20; ++i)
    write("cannot resolve licence.test, retrying in " + std::to_string(i) + " s\033\n");
  write("ready\nhalf a li");
  meter.look();
  LogPicture picture = meter.picture(begin_ + seconds(2));
  EXPECT_TRUE(picture.known);
  ASSERT_EQ(picture.repeated.size(), 1U);
  EXPECT_EQ(picture.repeated[0].sample, "cannot resolve licence.test, retrying in 0 s?");
  EXPECT_EQ(picture.repeated[0].count, 20U);
  EXPECT_EQ(picture.bytes, std::filesystem::file_size(path_) - 12);
  EXPECT_DOUBLE_EQ(picture.bytes_per_second, static_cast<double>(picture.bytes) / 2);
}

TEST_F(LogMeterTest, FollowsARotation) {
  LogMeter meter({path_, false}, begin_);
  EXPECT_FALSE(meter.picture().known);
  write("one\n");
  meter.look();
  EXPECT_EQ(meter.picture().bytes, 4U);
  std::filesystem::rename(path_, path_ + ".1");
  write("three\n");
  meter.look();
  EXPECT_EQ(meter.picture().bytes, 10U);
}

TEST_F(LogMeterTest, ReadsDockersLinesAndNoOthers) {
  LogMeter meter({path_, true}, begin_);
  for (int i = 0; i < 11; ++i)
    write("{\"log\":\"again\\n\",\"stream\":\"stderr\",\"time\":\"x\"}\n");
  write("{\"log\":7}\nno JSON\n");
  meter.look();
  EXPECT_EQ(meter.picture().bytes, 66U);
  EXPECT_EQ(meter.picture().repeated, (std::vector<LogPicture::Line>{{"again", 11}}));
}

TEST_F(LogMeterTest, AFloodIsCountedNotRead) {
  write("");
  LogMeter meter({path_, false}, begin_);
  write(std::string(5 << 20, 'x') + "\n");
  meter.look();
  EXPECT_EQ(meter.picture().bytes, (5U << 20) + 1);
}

}  // namespace
}  // namespace pare::confine
