#include "record/areas.h"

#include "record/testing_facts.h"

namespace pare::record {
namespace {

using testing::Container;
namespace fs = std::filesystem;

TEST(Areas, ALayerIsCountedAsItLiesOnTheDisk) {
  testing::Scratch scratch;
  EXPECT_EQ(bytes_below(scratch.path(), 9), 0U);
  std::ofstream(scratch.path() + "/a") << std::string(1 << 20, 'x');
  fs::create_hard_link(scratch.path() + "/a", scratch.path() + "/b");
  fs::create_symlink("a", scratch.path() + "/c");
  fs::create_directory(scratch.path() + "/d");
  std::ofstream sparse(scratch.path() + "/d/sparse");
  sparse.close();
  fs::resize_file(scratch.path() + "/d/sparse", 1 << 30);
  auto bytes = bytes_below(scratch.path(), 9);
  ASSERT_TRUE(bytes);
  EXPECT_GE(*bytes, uint64_t{1} << 20);
  EXPECT_LT(*bytes, uint64_t{2} << 20);
  EXPECT_FALSE(bytes_below(scratch.path(), 4));
  EXPECT_EQ(bytes_below(scratch.path() + "/none", 9), 0U);
}

using AreasTest = testing::KernelTest;

TEST_F(AreasTest, ThePeakIsKeptWhenTheFilesAreGone) {
  Container container(R"c(
    char* block = calloc(1, 1 << 20);
    for (const char** name = (const char*[]){"/scratch/big", "/data/big", 0}; *name; name++) {
      int fd = open(*name, O_CREAT | O_WRONLY, 0600);
      memset(block, 'x', 1 << 20);
      for (int i = 0; i < 8; i++) write(fd, block, 1 << 20);
      close(fd);
    }
    usleep(1500000);
    unlink("/scratch/big");
    unlink("/data/big");
    usleep(300000);
  )c");
  Options options;
  options.areas = {{"/scratch", ""}, {"/data", container.rootfs() + "/data"}, {"/none", ""}};
  auto evidence = testing::record_run(container, {}, options);
  ASSERT_EQ(evidence.areas.size(), 2U);
  EXPECT_EQ(evidence.areas[0].path, "/data");
  EXPECT_EQ(evidence.areas[1].path, "/scratch");
  for (const evidence::AreaFact& area : evidence.areas) {
    EXPECT_GE(area.peak_bytes, uint64_t{8} << 20) << area.path;
    EXPECT_LT(area.peak_bytes, uint64_t{9} << 20) << area.path;
  }
}

}  // namespace
}  // namespace pare::record
