#include "sys/orphans.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/testing.h"
#include "base/text.h"
#include "sys/cgroup.h"
#include "sys/process.h"

namespace pare::sys {
namespace {

using namespace std::chrono_literals;

// Whether `pid` is a dead, unreaped child of this process.
bool is_zombie_child(pid_t pid) {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid;
}

TEST(Orphans, TheDeadOfOneCgroupAreReapedAndNoOthers) {
  if (geteuid() != 0) PARE_SKIP("making cgroups needs root");
  std::string leaf = "pare-orphans-test-" + std::to_string(getpid());
  auto cgroup = Cgroup::at("/" + leaf);
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  std::string directory = cgroup->directories().back();
  ASSERT_EQ(mkdir(directory.c_str(), 0755), 0);
  ASSERT_TRUE(become_subreaper());
  Command command;
  command.argv = {"/bin/sh", "-c",
                  "sleep 0.2 >/dev/null 2>&1 & echo $!; echo $$ > " + directory +
                      "/cgroup.procs; for i in 1 2; do sleep 0.2 >/dev/null 2>&1 & echo $!; done"};
  auto done = run(command, 10s);
  ASSERT_TRUE(done) << done.error().message;
  std::vector<pid_t> pids;
  for (const std::string& line : base::split(done->out, '\n')) {
    if (auto pid = base::parse_u64(line)) pids.push_back(static_cast<pid_t>(*pid));
  }
  ASSERT_EQ(pids.size(), 3U) << done->out << done->err;
  for (pid_t pid : pids) {
    for (int i = 0; i < 500 && !is_zombie_child(pid); ++i) std::this_thread::sleep_for(10ms);
    ASSERT_TRUE(is_zombie_child(pid));
  }
  reap_orphans(leaf, pids[1]);
  EXPECT_TRUE(is_zombie_child(pids[0]));  // of another cgroup
  EXPECT_TRUE(is_zombie_child(pids[1]));  // excepted
  EXPECT_FALSE(is_zombie_child(pids[2]));
  reap_orphans(leaf, 0);
  EXPECT_FALSE(is_zombie_child(pids[1]));
  waitpid(pids[0], nullptr, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  EXPECT_TRUE(cgroup->remove(10s));
}

}  // namespace
}  // namespace pare::sys
