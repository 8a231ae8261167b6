#include "sys/cgroup.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/file.h"
#include "base/testing.h"
#include "sys/process.h"

namespace pare::sys {
namespace {

using namespace std::chrono_literals;

constexpr const char* kHybrid =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
    "39 31 0:36 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    "77 31 0:38 / /run/second/view rw,relatime - cgroup2 cgroup2 rw\n"
    "78 31 0:32 /docker/1 /run/part rw,relatime - cgroup cgroup rw,memory\n";

TEST(CgroupHierarchies, EachOnceWithItsControllers) {
  auto found = cgroup_hierarchies(kHybrid);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].mount, "/sys/fs/cgroup/memory");
  EXPECT_FALSE(found[0].v2);
  EXPECT_EQ(found[1].controllers, (std::vector<std::string>{"cpu", "cpuacct"}));
  EXPECT_TRUE(found[2].v2);
  EXPECT_EQ(found[2].mount, "/sys/fs/cgroup/unified");
}

class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) PARE_SKIP("making cgroups needs root");
    leaf_ = "pare-cgroup-test-" + std::to_string(getpid()) + "-" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    auto cgroup = Cgroup::at("/" + leaf_);
    ASSERT_TRUE(cgroup) << cgroup.error().message;
    cgroup_ = *cgroup;
  }
  void TearDown() override {
    if (leaf_.empty()) return;
    EXPECT_TRUE(cgroup_.remove(10s));
  }
  // Makes the cgroup, with a child, and moves a sleeping shell and its child into both.
  void fill() {
    for (const std::string& directory : cgroup_.directories()) {
      // A hierarchy with cpuset wants its values before a process may join.
      ASSERT_EQ(mkdir(directory.c_str(), 0755), 0) << directory;
      copy_cpuset(directory);
    }
    child_ = std::make_unique<ChildProcess>(start());
    for (const std::string& directory : cgroup_.directories()) join(directory, child_->pid());
    std::string nested = cgroup_.directories().back() + "/nested";
    ASSERT_EQ(mkdir(nested.c_str(), 0755), 0);
    deeper_ = std::make_unique<ChildProcess>(start());
    join(nested, deeper_->pid());
  }
  static ChildProcess start() {
    Command command;
    command.argv = {"/bin/sleep", "600"};
    return ChildProcess::start(command).value();
  }
  static void copy_cpuset(const std::string& directory) {
    std::string parent = directory.substr(0, directory.rfind('/'));
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      if (auto text = base::read_file(parent + file)) std::ofstream(directory + file) << *text;
    }
  }
  static void join(const std::string& directory, pid_t pid) {
    std::ofstream procs(directory + "/cgroup.procs");
    procs << pid << std::flush;
    EXPECT_TRUE(procs.good()) << directory;
  }

  std::string leaf_;
  Cgroup cgroup_;
  std::unique_ptr<ChildProcess> child_, deeper_;
};

TEST_F(CgroupTest, IsFoundByLeafInEveryHierarchy) {
  EXPECT_FALSE(cgroup_.exists());
  EXPECT_FALSE(Cgroup::find(leaf_));
  fill();
  EXPECT_TRUE(cgroup_.exists());
  auto found = Cgroup::find(leaf_);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->directories(), cgroup_.directories());
  EXPECT_EQ(found->processes().size(), 2U);
  EXPECT_EQ(found->v2_id(), cgroup_.v2_id());
}

TEST_F(CgroupTest, TheV2IdIsTheInodeOfItsDirectory) {
  auto mode = cgroup_mode();
  ASSERT_TRUE(mode);
  EXPECT_FALSE(cgroup_.v2_id());
  fill();
  if (*mode == CgroupMode::kLegacy) {
    EXPECT_FALSE(cgroup_.v2_id());
  } else {
    ASSERT_TRUE(cgroup_.v2_id());
    EXPECT_GT(*cgroup_.v2_id(), 1U);
  }
}

TEST_F(CgroupTest, KillTakesAllProcessesAndRemoveAllDirectories) {
  fill();
  ASSERT_TRUE(cgroup_.kill(10s));
  EXPECT_EQ(*child_->wait(10s), std::optional<int>(128 + 9));
  EXPECT_EQ(*deeper_->wait(10s), std::optional<int>(128 + 9));
  EXPECT_TRUE(cgroup_.processes().empty());
  ASSERT_TRUE(cgroup_.remove(10s));
  EXPECT_FALSE(cgroup_.exists());
  EXPECT_TRUE(cgroup_.remove(10s));  // gone already
}

TEST_F(CgroupTest, PeaksCountTasksAndMemory) {
  fill();
  CgroupPeaks peaks = cgroup_.peaks();
  bool pids = false, memory = false;
  for (const std::string& directory : cgroup_.directories()) {
    pids |= access((directory + "/pids.peak").c_str(), F_OK) == 0;
    memory |= access((directory + "/memory.peak").c_str(), F_OK) == 0 ||
              access((directory + "/memory.max_usage_in_bytes").c_str(), F_OK) == 0;
  }
  EXPECT_EQ(peaks.tasks.has_value(), pids);
  EXPECT_EQ(peaks.memory_bytes.has_value(), memory);
  EXPECT_EQ(peaks.tasks.value_or(1), 1U);
  EXPECT_FALSE(cgroup_.oom_killed());
}

TEST_F(CgroupTest, AShortLeafNeverMatchesApart) {
  EXPECT_FALSE(Cgroup::find(""));
  fill();
  EXPECT_FALSE(Cgroup::find(leaf_.substr(0, 11)));  // "pare-cgroup" is part of its name
}

}  // namespace
}  // namespace pare::sys
