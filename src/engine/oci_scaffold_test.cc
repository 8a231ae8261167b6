#include "engine/oci_scaffold.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "base/testing.h"
#include "sys/rootfs.h"

namespace pare::engine {
namespace {

class Scaffold : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) PARE_SKIP("owners can be set only by root");
    char path[] = "/tmp/pare-scaffold-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    dir_ = path;
    root_ = dir_ + "/root", layer_ = dir_ + "/layer";
    for (const char* made : {"", "/var", "/var/lib", "/run"}) {
      ASSERT_EQ(mkdir((root_ + made).c_str(), 0755), 0);
    }
    ASSERT_EQ(chmod((root_ + "/var/lib").c_str(), 02750), 0);
    ASSERT_EQ(chown((root_ + "/var/lib").c_str(), 12, 34), 0);
    ASSERT_EQ(symlink("/run", (root_ + "/var/run").c_str()), 0);
    ASSERT_TRUE(base::write_file_atomic(root_ + "/file", "x"));
    const timespec old[2] = {{1000, 0}, {2000, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, (root_ + "/var/lib").c_str(), old, 0), 0);
    ASSERT_TRUE(stand_in(root_, layer_));
  }
  void TearDown() override {
    if (dir_.empty()) return;
    EXPECT_TRUE(sys::remove_tree(dir_));
  }
  struct stat look(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(lstat((layer_ + path).c_str(), &st), 0) << path;
    return st;
  }
  bool made(const std::string& path) { return access((layer_ + path).c_str(), F_OK) == 0; }

  std::string dir_, root_, layer_;
};

TEST_F(Scaffold, WhatExistsIsLeftAlone) {
  ASSERT_TRUE(scaffold(root_, layer_, "/var/lib", PathKind::kDirectory));
  ASSERT_TRUE(scaffold(root_, layer_, "/file", PathKind::kFile));
  ASSERT_TRUE(scaffold(root_, layer_, "/", PathKind::kDirectory));
  EXPECT_FALSE(made("/var"));
  EXPECT_FALSE(made("/file"));
}

TEST_F(Scaffold, MissingPathsAreMadeAndTheirParentsLookAsInTheRoot) {
  mode_t before = umask(077);
  ASSERT_TRUE(scaffold(root_, layer_, "/var/lib//models/./a", PathKind::kDirectory));
  ASSERT_TRUE(scaffold(root_, layer_, "/var/lib/name", PathKind::kFile));
  umask(before);
  EXPECT_EQ(look("/var/lib/models/a").st_mode, static_cast<mode_t>(S_IFDIR | 0755));
  EXPECT_TRUE(S_ISREG(look("/var/lib/name").st_mode));
  struct stat st = look("/var/lib");
  EXPECT_EQ(st.st_mode & 07777, 02750U);
  EXPECT_EQ(st.st_uid, 12U);
  EXPECT_EQ(st.st_gid, 34U);
  EXPECT_EQ(st.st_mtim.tv_sec, 2000);
}

TEST_F(Scaffold, LinksAreFollowedInsideTheRoot) {
  ASSERT_TRUE(scaffold(root_, layer_, "/var/run/server", PathKind::kDirectory));
  EXPECT_TRUE(made("/run/server"));
  EXPECT_FALSE(made("/var"));
}

TEST_F(Scaffold, ScratchSpaceIsOpenToAllAlsoWhereTheRootHasADirectory) {
  ASSERT_TRUE(scaffold(root_, layer_, "/var/lib", PathKind::kScratch));
  ASSERT_TRUE(scaffold(root_, layer_, "/new", PathKind::kScratch));
  ASSERT_TRUE(scaffold(root_, layer_, "/var/lib/below", PathKind::kDirectory));
  EXPECT_EQ(look("/var/lib").st_mode & 07777, 01777U);
  EXPECT_EQ(look("/new").st_mode & 07777, 01777U);
  EXPECT_EQ(look("/var").st_mode & 07777, 0755U);
}

TEST_F(Scaffold, NothingCanBeMadeBelowAFile) {
  auto made = scaffold(root_, layer_, "/file/below", PathKind::kDirectory);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::kUsage);
  EXPECT_NE(made.error().message.find("/file"), std::string::npos);
}

}  // namespace
}  // namespace pare::engine
