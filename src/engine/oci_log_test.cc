#include "engine/oci_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"

namespace pare::engine {
namespace {

class Log : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/var/tmp/pare-log-XXXXXX";
    UniqueFd fd(mkostemp(path, O_CLOEXEC));
    ASSERT_TRUE(fd.valid());
    path_ = path;
  }
  void TearDown() override { unlink(path_.c_str()); }
  std::string path_;
};

void put(int fd, const std::string& text) {
  ASSERT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

TEST_F(Log, AppendsAndEndsWhileSomebodyHoldsThePipe) {
  ASSERT_TRUE(base::write_file_atomic(path_, "before\n"));
  auto pump = LogPump::open(path_);
  ASSERT_TRUE(pump) << pump.error().message;
  UniqueFd left_behind(dup((*pump)->write_end()));
  put(left_behind.get(), "during\n");
  (*pump)->finish();
  EXPECT_EQ(base::read_file(path_).value_or(""), "before\nduring\n");
}

TEST_F(Log, AFloodIsCutAndNeverBlocks) {
  auto pump = LogPump::open(path_);
  ASSERT_TRUE(pump);
  std::string block(1 << 20, 'x');
  for (size_t sent = 0; sent < LogPump::kLimit + 3 * block.size(); sent += block.size()) {
    put((*pump)->write_end(), block);
  }
  (*pump)->finish();
  std::string text = base::read_file(path_).value_or("");
  std::string cut = "\n[the rest of this log was dropped]\n";
  ASSERT_EQ(text.size(), LogPump::kLimit + cut.size());
  EXPECT_EQ(text.substr(LogPump::kLimit), cut);
}

TEST_F(Log, WithoutAPathOutputGoesNowhere) {
  auto pump = LogPump::open("");
  ASSERT_TRUE(pump);
  put((*pump)->write_end(), "lost");
  (*pump)->finish();
}

// Somebody who can write into the output directory does not choose what root appends to.
TEST_F(Log, ALinkIsNotFollowed) {
  std::string link = path_ + "-link";
  ASSERT_EQ(symlink(path_.c_str(), link.c_str()), 0);
  EXPECT_FALSE(LogPump::open(link));
  unlink(link.c_str());
}

TEST_F(Log, AFileThatCannotBeOpenedIsNamed) {
  auto pump = LogPump::open("/nowhere/log");
  ASSERT_FALSE(pump);
  EXPECT_NE(pump.error().message.find("/nowhere/log"), std::string::npos);
}

}  // namespace
}  // namespace pare::engine
