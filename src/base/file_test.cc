#include "base/file.h"

#include <gtest/gtest.h>

namespace pare::base {

// As env_file: of somebody else's compose file may name it.
TEST(File, WhatHasNoEndIsRefused) {
  auto endless = read_file("/dev/zero");
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().kind, ErrorKind::kUsage);
  EXPECT_NE(endless.error().message.find("/dev/zero"), std::string::npos);
}

}  // namespace pare::base
