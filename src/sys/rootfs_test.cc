#include "sys/rootfs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"

namespace pare::sys {
namespace {

class Rootfs : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/pare-rootfs-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    root_ = path;
    for (const char* dir : {"/etc", "/bin", "/opt", "/opt/dir"}) {
      ASSERT_EQ(mkdir((root_ + dir).c_str(), 0755), 0);
    }
    ASSERT_TRUE(base::write_file_atomic(root_ + "/etc/passwd", "inside\n"));
    ASSERT_TRUE(base::write_file_atomic(root_ + "/bin/server", "#!", 0755));
    ASSERT_TRUE(base::write_file_atomic(root_ + "/opt/plain", "text", 0644));
    ASSERT_EQ(symlink("/etc/passwd", (root_ + "/absolute").c_str()), 0);
    ASSERT_EQ(symlink("../../../../../../etc/passwd", (root_ + "/dots").c_str()), 0);
    ASSERT_EQ(symlink("/bin/server", (root_ + "/opt/server").c_str()), 0);
    ASSERT_EQ(symlink("loop", (root_ + "/loop").c_str()), 0);
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(root_)); }
  std::string root_;
};

TEST_F(Rootfs, LinksStayInside) {
  for (const char* path : {"/etc/passwd", "/absolute", "/dots", "/../../etc/passwd"}) {
    auto text = read_in_root(root_, path);
    ASSERT_TRUE(text) << path << ": " << text.error().message;
    EXPECT_EQ(*text, "inside\n") << path;
  }
}

TEST_F(Rootfs, WhatIsMissingOrNoFileIsUsage) {
  for (const char* path : {"/etc/absent", "/etc/passwd/x", "/opt/dir"}) {
    auto text = read_in_root(root_, path);
    ASSERT_FALSE(text) << path;
    EXPECT_EQ(text.error().kind, ErrorKind::kUsage) << path;
    EXPECT_NE(text.error().message.find(path), std::string::npos);
  }
  EXPECT_EQ(read_in_root(root_, "/loop").error().sys_errno, ELOOP);
}

TEST_F(Rootfs, FindsProgramsAsExecveWould) {
  auto found = [&](const std::string& name, const std::string& cwd) {
    return find_program_in_root(root_, name, cwd, "/sbin:/opt:/bin").value_or("(none)");
  };
  EXPECT_EQ(found("/bin/server", "/"), "/bin/server");
  EXPECT_EQ(found("server", "/"), "/opt/server");
  EXPECT_EQ(found("./server", "/bin"), "/bin/./server");
  EXPECT_EQ(found("absent", "/"), "(none)");
  EXPECT_EQ(found("plain", "/"), "(none)");
}

TEST_F(Rootfs, SaysWhyAProgramCannotRun) {
  auto why = [&](const std::string& name) {
    auto found = find_program_in_root(root_, name, "/", "/bin:/opt");
    EXPECT_FALSE(found);
    EXPECT_EQ(found.error().kind, ErrorKind::kUsage);
    return found.error().message;
  };
  EXPECT_NE(why("/bin/absent").find("does not exist"), std::string::npos);
  EXPECT_NE(why("/opt/plain").find("not executable"), std::string::npos);
  EXPECT_NE(why("/opt/dir").find("is a directory"), std::string::npos);
  EXPECT_NE(why("absent").find("searched /bin:/opt"), std::string::npos);
}

TEST_F(Rootfs, RemoveTreeTakesFilesLinksAndNothing) {
  EXPECT_TRUE(remove_tree(root_ + "/absent"));
  EXPECT_TRUE(remove_tree(root_ + "/absolute"));
  EXPECT_TRUE(read_in_root(root_, "/etc/passwd"));
  EXPECT_TRUE(remove_tree(root_ + "/opt"));
  EXPECT_NE(access((root_ + "/opt").c_str(), F_OK), 0);
}

TEST_F(Rootfs, RemoveTreeTakesMoreLevelsThanFilesMayBeOpen) {
  UniqueFd at(open(root_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (int level = 0; level < 3000; ++level) {
    ASSERT_EQ(mkdirat(at.get(), "d", 0755), 0) << level;
    ASSERT_EQ(mkdirat(at.get(), "e", 0000), 0) << level;
    at.reset(openat(at.get(), "d", O_PATH | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at.valid()) << level;
  }
  at.reset();
  auto removed = remove_tree(root_ + "/d");
  EXPECT_TRUE(removed) << removed.error().message;
  EXPECT_NE(access((root_ + "/d").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace pare::sys
