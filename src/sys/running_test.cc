#include "sys/running.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace pare::sys {
namespace {

const std::string kId = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

TEST(Running, AContainersDirectoryIsKnownInEverySpelling) {
  const struct {
    std::string name, id;
    bool is;
  } cases[] = {
      {kId, kId, true},
      {kId, "0123", true},
      {"docker-" + kId + ".scope", "0123456789ab", true},
      {"cri-containerd-" + kId + ".scope", kId, true},
      {"libpod-conmon-" + kId + ".scope", kId, false},
      {"my-own-id", "my-own-id", true},
      {"crun-my-own-id.scope", "my-own-id", true},
      {"my-own-id", "my-own", false},
      {"user.slice", "u", false},
      {"docker-" + kId + ".scope", "123", false},
      {kId.substr(1), "1234", false},
  };
  for (const auto& c : cases)
    EXPECT_EQ(is_container_directory(c.name, c.id), c.is) << c.name << " " << c.id;
}

TEST(Running, WhatDoesNotRunIsAMistakeOfTheCaller) {
  EXPECT_EQ(cgroup_of(0x3ffffff).error().kind, ErrorKind::kUsage);
  auto none = container_cgroup("pare-no-such-container");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("pare-no-such-container"), std::string::npos);
  EXPECT_FALSE(cgroup_ids("/pare-no-such-cgroup"));
}

TEST(Running, AProcessIsInACgroup) {
  auto path = cgroup_of(getpid());
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(path->front(), '/');
}

}  // namespace
}  // namespace pare::sys
