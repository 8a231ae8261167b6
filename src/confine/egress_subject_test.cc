#include "confine/egress_subject.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/testing.h"
#include "base/text.h"
#include "sys/running.h"

namespace pare::confine {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kNoDocker = "/nonexistent/docker.sock";

TEST(EgressSubject, AContainersMonitorIsNotTheContainer) {
  if (geteuid() != 0) PARE_SKIP("making a cgroup needs root");
  auto mount = sys::v2_mount();
  if (!mount) PARE_SKIP(mount.error().message);
  const std::string id = base::sha256_hex("pare " + std::to_string(getpid()));
  const std::string slice = *mount + "/pare-subject-" + std::to_string(getpid());
  const std::string monitor = slice + "/libpod-conmon-" + id + ".scope";
  const std::string container = slice + "/libpod-" + id + ".scope";
  fs::create_directories(monitor);
  auto none = find_subject(id.substr(0, 12), kNoDocker);
  fs::create_directory(container);
  auto found = find_subject(id.substr(0, 12), kNoDocker);
  for (const std::string& directory : {monitor, container, slice}) fs::remove(directory);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(none.error().message, HasSubstr("no container, process or cgroup"));
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->directory(), container);
  EXPECT_EQ(found->cgroup, slice);
}

}  // namespace
}  // namespace pare::confine
