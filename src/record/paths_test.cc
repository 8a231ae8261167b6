#include "record/paths.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "record/testing_container.h"

namespace pare::record {
namespace {

using namespace std::string_literals;

TEST(PathsTest, NamesAreJoinedFromTheRootDown) {
  EXPECT_EQ(join_names("file\0dir\0"s), "/dir/file");
  EXPECT_EQ(join_names(""), "/");
}

TEST(PathsTest, RequestsStartAtTheirBaseAndKeepDotDot) {
  EXPECT_EQ(join_request("/a", "b//./c/"), "/a/b/c");
  EXPECT_EQ(join_request("/", "/x"), "/x");
  EXPECT_EQ(join_request("/a", "../b"), "/a/../b");
  EXPECT_EQ(normal_path("/a/../../b/c/.."), "/b");
}

TEST(PathsTest, WithoutANamespacePathsAreTakenByTheLetterAndCounted) {
  Resolver resolver;
  EXPECT_EQ(resolver.resolve("/a/../b", true), "/b");
  EXPECT_EQ(resolver.unresolved(), 1U);
  EXPECT_FALSE(resolver.owner("/"));
}

class ResolverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) PARE_SKIP("entering a mount namespace needs root");
    ASSERT_TRUE(resolver_.adopt(getpid()));
    std::filesystem::create_directories(dir() + "/real/sub");
    std::filesystem::create_symlink("real", dir() + "/link");
    std::filesystem::create_symlink("/nowhere", dir() + "/dangling");
  }
  const std::string& dir() const { return scratch_.path(); }

  testing::Scratch scratch_;
  Resolver resolver_;
};

TEST_F(ResolverTest, LinksOnTheWayAreFollowedTheLastOneIfAsked) {
  EXPECT_EQ(resolver_.resolve(dir() + "/link/sub", false), dir() + "/real/sub");
  EXPECT_EQ(resolver_.resolve(dir() + "/link", true), dir() + "/real");
  EXPECT_EQ(resolver_.resolve(dir() + "/link", false), dir() + "/link");
  EXPECT_EQ(resolver_.resolve(dir() + "/link/sub/..", false), dir() + "/real");
  EXPECT_EQ(resolver_.unresolved(), 0U);
}

TEST_F(ResolverTest, WhatDoesNotExistKeepsItsName) {
  EXPECT_EQ(resolver_.resolve(dir() + "/link/no/such", true), dir() + "/real/no/such");
  EXPECT_EQ(resolver_.resolve(dir() + "/dangling", true), dir() + "/dangling");
}

TEST_F(ResolverTest, OwnersAreThoseOfTheNearestParent) {
  ASSERT_EQ(chown((dir() + "/real").c_str(), 12, 34), 0);
  EXPECT_EQ(resolver_.owner(dir() + "/real/none/x"), std::make_pair(12U, 34U));
}

}  // namespace
}  // namespace pare::record
