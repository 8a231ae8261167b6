#include "sys/mounts.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "base/testing.h"
#include "sys/rootfs.h"

namespace pare::sys {
namespace {

class Mounts : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) PARE_SKIP("mounting needs root");
    // Awkward on purpose: overlayfs splits its options at commas and colons, mountinfo escapes
    // blanks.
    char path[] = "/var/tmp/pare mounts,a:b\\c-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    dir_ = path;
    for (const char* name : {"low1", "low2", "up", "work", "at", "at2"}) {
      ASSERT_EQ(mkdir((dir_ + "/" + name).c_str(), 0755), 0);
    }
    write("low1/a", "top");
    write("low2/a", "bottom");
    write("low2/b", "bottom");
  }
  void TearDown() override {
    if (dir_.empty()) return;
    EXPECT_TRUE(unmount_below(dir_));
    EXPECT_TRUE(remove_tree(dir_));
  }
  void write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(base::write_file_atomic(dir_ + "/" + name, text));
  }
  std::string read(const std::string& name) {
    return base::read_file(dir_ + "/" + name).value_or("(none)");
  }
  size_t mounted() { return mounts_below(dir_).value().size(); }

  std::string dir_;
};

TEST_F(Mounts, AnOverlayStacksItsLowersTopFirstAndWritesOnlyUpper) {
  auto mount = Mount::overlay({{dir_ + "/low1", dir_ + "/low2"}, dir_ + "/up", dir_ + "/work"},
                              dir_ + "/at");
  ASSERT_TRUE(mount) << mount.error().message;
  EXPECT_EQ(read("at/a"), "top");
  EXPECT_EQ(read("at/b"), "bottom");
  write("at/b", "changed");
  EXPECT_EQ(read("at/b"), "changed");
  EXPECT_EQ(read("low2/b"), "bottom");
  EXPECT_EQ(read("up/b"), "changed");
}

TEST_F(Mounts, AnOverlayWithoutUpperIsReadOnly) {
  auto mount = Mount::overlay({{dir_ + "/low1", dir_ + "/low2"}, "", ""}, dir_ + "/at");
  ASSERT_TRUE(mount) << mount.error().message;
  EXPECT_EQ(read("at/a"), "top");
  EXPECT_FALSE(base::write_file_atomic(dir_ + "/at/new", "x"));
}

TEST_F(Mounts, AReadOnlyBindRefusesWritesAndAWritableOneTakesThem) {
  auto ro = Mount::bind(dir_ + "/low1", dir_ + "/at", true);
  ASSERT_TRUE(ro) << ro.error().message;
  auto rw = Mount::bind(dir_ + "/low1", dir_ + "/at2", false);
  ASSERT_TRUE(rw) << rw.error().message;
  auto refused = base::write_file_atomic(dir_ + "/at/new", "x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sys_errno, EROFS);
  write("at2/new", "x");
  EXPECT_EQ(read("low1/new"), "x");
}

TEST_F(Mounts, ATmpfsIsEmptyPrivateAndBounded) {
  auto mount = Mount::tmpfs(dir_ + "/low1", 1 << 20);
  ASSERT_TRUE(mount) << mount.error().message;
  EXPECT_EQ(read("low1/a"), "(none)");
  struct stat st {};
  ASSERT_EQ(stat((dir_ + "/low1").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700U);
  auto full = base::write_file_atomic(dir_ + "/low1/big", std::string(2 << 20, 'x'));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().sys_errno, ENOSPC);
}

TEST_F(Mounts, AMountGoesWithItsOwner) {
  {
    auto mount = Mount::bind(dir_ + "/low1", dir_ + "/at", false);
    ASSERT_TRUE(mount);
    Mount moved = std::move(*mount);
    EXPECT_EQ(mounted(), 1U);
  }
  EXPECT_EQ(mounted(), 0U);
}

TEST_F(Mounts, UnmountBelowTakesStackedAndNestedMounts) {
  ASSERT_EQ(mkdir((dir_ + "/low1/sub").c_str(), 0755), 0);
  std::vector<Mount> keep;
  for (const char* at : {"/at", "/at", "/at/sub", "/at2"}) {
    auto mount = Mount::bind(dir_ + "/low1", dir_ + at, false);
    ASSERT_TRUE(mount) << mount.error().message;
    keep.push_back(std::move(*mount));
  }
  EXPECT_EQ(mounted(), 4U);
  ASSERT_TRUE(unmount_below(dir_ + "/at"));
  EXPECT_EQ(mounted(), 1U);
  ASSERT_TRUE(unmount_below(dir_));
  EXPECT_EQ(mounted(), 0U);
  EXPECT_TRUE(unmount_below(dir_ + "/absent"));
}

TEST_F(Mounts, RemoveTreeNeverEntersAMount) {
  auto mount = Mount::bind(dir_ + "/low2", dir_ + "/at", false);
  ASSERT_TRUE(mount);
  ASSERT_EQ(symlink((dir_ + "/low2").c_str(), (dir_ + "/at2/link").c_str()), 0);
  EXPECT_FALSE(remove_tree(dir_ + "/at"));
  EXPECT_TRUE(remove_tree(dir_ + "/at2"));
  EXPECT_EQ(read("low2/b"), "bottom");
}

TEST_F(Mounts, AFailingOverlayNamesTheLayer) {
  auto mount = Mount::overlay({{dir_ + "/absent"}, dir_ + "/up", dir_ + "/work"}, dir_ + "/at");
  ASSERT_FALSE(mount);
  EXPECT_EQ(mount.error().kind, ErrorKind::kHost);
  EXPECT_NE(mount.error().message.find("/absent"), std::string::npos);
}

TEST(MountInfo, MatchesWholeComponentsDeepestFirst) {
  const char* text =
      "22 1 0:21 / /var/lib/pare rw - tmpfs t rw\n"
      "23 22 0:22 / /var/lib/pare/s\\040one/m rw shared:1 - overlay o rw\n"
      "24 23 0:23 / /var/lib/pare/s\\040one/m/proc rw - proc p rw\n"
      "25 22 0:24 / /var/lib/pare/s\\040one2 rw - tmpfs t rw\n";
  EXPECT_EQ(mounts_below(text, "/var/lib/pare/s one"),
            (std::vector<std::string>{"/var/lib/pare/s one/m/proc", "/var/lib/pare/s one/m"}));
}

}  // namespace
}  // namespace pare::sys
