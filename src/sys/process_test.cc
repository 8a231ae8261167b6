#include "sys/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/file.h"
#include "base/text.h"

namespace pare::sys {
namespace {

using namespace std::chrono_literals;

Command shell(const std::string& script) {
  Command command;
  command.argv = {"/bin/sh", "-c", script};
  return command;
}

TEST(Run, CapturesBothStreamsAndTheCode) {
  auto done = run(shell("echo out; echo err >&2; exit 7"), 10s);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->out, "out\n");
  EXPECT_EQ(done->err, "err\n");
  EXPECT_EQ(done->code, 7);
  EXPECT_FALSE(done->timed_out);
}

TEST(Run, ReadsMoreThanAPipeHolds) {
  auto done = run(shell("head -c 1000000 /dev/zero"), 10s);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->out.size(), 1000000U);
}

TEST(Run, KillsTheWholeGroupAtTheLimit) {
  auto start = std::chrono::steady_clock::now();
  auto done = run(shell("sleep 600 & echo $!; wait"), 300ms);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(done->timed_out);
  EXPECT_EQ(done->code, 128 + SIGKILL);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
  auto orphan = base::parse_u64(base::trim(done->out));
  ASSERT_TRUE(orphan);
  // SIGKILL is on its way; a zombie that the host's init has not yet reaped counts as dead.
  std::string state;
  for (int i = 0; i < 200; ++i) {
    auto stat = base::read_file("/proc/" + std::to_string(*orphan) + "/stat");
    state = stat ? stat->substr(stat->rfind(')') + 2, 1) : "gone";
    if (state != "S" && state != "R") break;
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_TRUE(state == "gone" || state == "Z" || state == "X") << state;
}

TEST(Run, DoesNotWaitForAProcessLeftBehindThatHoldsThePipe) {
  auto start = std::chrono::steady_clock::now();
  auto done = run(shell("sleep 5 & echo done"), 4s);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->out, "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 3s);
}

TEST(Run, AMissingProgramIsAUsageErrorThatNamesIt) {
  Command command;
  command.argv = {"pare-no-such-program"};
  auto done = run(command, 1s);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::kUsage);
  EXPECT_NE(done.error().message.find("pare-no-such-program"), std::string::npos);
}

TEST(Run, AnExecFailureCarriesItsErrno) {
  char path[] = "/tmp/pare-process-XXXXXX";
  int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(write(fd,
                  "\x7f"
                  "ELF?",
                  5),
            5);
  fchmod(fd, 0755);
  close(fd);
  Command command;
  command.argv = {path};
  auto done = run(command, 1s);
  unlink(path);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().sys_errno, ENOEXEC);
}

TEST(Child, SeesOnlyWhatItIsGiven) {
  int leak = open("/dev/null", O_RDONLY);  // not CLOEXEC, as a library might leave one
  ASSERT_GT(leak, 2);
  Command command = shell("ls /proc/self/fd | tr '\\n' ' '; echo; env; pwd");
  command.env = {{"A=1", "PATH=/usr/bin:/bin"}};
  command.cwd = "/usr";
  auto done = run(command, 10s);
  close(leak);
  ASSERT_TRUE(done) << done.error().message;
  std::vector<std::string> lines = base::split(done->out, '\n');
  EXPECT_EQ(lines[0], "0 1 2 3 ");  // 3 is ls's own
  EXPECT_NE(done->out.find("A=1\n"), std::string::npos);
  EXPECT_EQ(done->out.find("HOME="), std::string::npos);
  EXPECT_NE(done->out.find("/usr\n"), std::string::npos);
}

TEST(Child, StartsWithDefaultSignals) {
  auto before = ::signal(SIGPIPE, SIG_IGN);
  auto done = run(shell("grep -E 'Sig(Ign|Blk)' /proc/self/status"), 10s);
  ::signal(SIGPIPE, before);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(Child, WaitsWithALimitAndKeepsTheCode) {
  auto child = ChildProcess::start(shell("sleep 0.3; exit 3"));
  ASSERT_TRUE(child) << child.error().message;
  auto early = child->wait(10ms);
  ASSERT_TRUE(early);
  EXPECT_FALSE(early->has_value());
  auto late = child->wait(10s);
  ASSERT_TRUE(late);
  EXPECT_EQ(*late, std::optional<int>(3));
  EXPECT_EQ(child->pid(), 0);
  EXPECT_EQ(*child->wait(0ms), std::optional<int>(3));
  EXPECT_TRUE(child->signal(SIGTERM));
}

TEST(Child, DeathBySignalIs128AndItsNumber) {
  auto child = ChildProcess::start(shell("sleep 600"));
  ASSERT_TRUE(child);
  ASSERT_TRUE(child->signal(SIGTERM));
  EXPECT_EQ(*child->wait(10s), std::optional<int>(128 + SIGTERM));
}

TEST(Child, IsKilledAndReapedWithItsOwner) {
  pid_t pid = 0;
  {
    auto child = ChildProcess::start(shell("sleep 600"));
    ASSERT_TRUE(child);
    pid = child->pid();
    EXPECT_EQ(getpgid(pid), pid);
  }
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(Child, DiesWhenItsOwnerIsKilled) {
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
  pid_t owner = fork();
  if (owner == 0) {
    auto child = ChildProcess::start(shell("sleep 600"));
    pid_t pid = child ? child->pid() : -1;
    [[maybe_unused]] ssize_t n = write(pipe_fds[1], &pid, sizeof pid);
    pause();
    _exit(0);
  }
  pid_t pid = -1;
  ASSERT_EQ(read(pipe_fds[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  ASSERT_GT(pid, 0);
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  std::string state = "S";
  for (int i = 0; i < 200 && (state == "S" || state == "R"); ++i) {
    std::this_thread::sleep_for(10ms);
    auto stat = base::read_file("/proc/" + std::to_string(pid) + "/stat");
    state = stat ? stat->substr(stat->rfind(')') + 2, 1) : "gone";
  }
  EXPECT_TRUE(state == "gone" || state == "Z" || state == "X") << state;
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

TEST(Child, ASubreaperLearnsHowAnOrphanEnds) {
  ASSERT_TRUE(become_subreaper());
  auto done = run(shell("(sleep 0.3; exit 9) >/dev/null 2>&1 & echo $!"), 10s);
  prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  ASSERT_TRUE(done);
  auto pid = base::parse_u64(base::trim(done->out));
  ASSERT_TRUE(pid);
  auto orphan = ChildProcess::adopt(static_cast<pid_t>(*pid));
  ASSERT_TRUE(orphan) << orphan.error().message;
  EXPECT_EQ(*orphan->wait(10s), std::optional<int>(9));
}

TEST(Child, OnlyAChildCanBeAdopted) {
  auto other = ChildProcess::adopt(1);
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("not a child"), std::string::npos);
}

}  // namespace
}  // namespace pare::sys
