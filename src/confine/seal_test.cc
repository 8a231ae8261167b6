#include "confine/seal.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <filesystem>

#include "base/json.h"
#include "base/testing.h"
#include "privilege/seccomp_eval.h"

namespace pare::confine {
namespace {

using Kind = privilege::SeccompDecision::Kind;

privilege::Policy proved() {
  privilege::Policy policy;
  policy.seccomp.emplace();
  policy.seccomp->syscalls = {"clone3", "execve", "futex", "listen", "read", "write"};
  policy.seccomp->serve = {"clone3", "read", "write"};
  policy.seccomp->enosys = {"io_uring_setup", "openat2"};
  return policy;
}

privilege::SeccompFilter compiled(const SealPlan& plan) {
  auto json = base::Json::parse(plan.profile);
  EXPECT_EQ(json.at("listenerPath"), "/run/x");
  auto filter = privilege::SeccompFilter::compile(json);
  EXPECT_TRUE(filter) << filter.error().message;
  return std::move(*filter);
}

TEST(SealPlan, ProfileAsksForWhatIsRareAndLeavesTheRest) {
  SealPlan plan = plan_seal(proved(), "/run/x");
  privilege::SeccompFilter filter = compiled(plan);
  for (const char* call : {"read", "write", "futex"}) {
    EXPECT_EQ(filter.evaluate(call).kind, Kind::kAllow) << call;
  }
  for (const char* call : {"execve", "execveat", "listen", "mount", "unshare", "setns", "ptrace",
                           "bpf", "io_uring_setup", "memfd_create"}) {
    EXPECT_EQ(filter.evaluate(call).kind, Kind::kOther) << call;
  }
  EXPECT_EQ(filter.evaluate("wait4").kind, Kind::kAllow);  // crun's, to hand the filter over
  EXPECT_EQ(filter.evaluate("socket").error, EPERM);
  EXPECT_EQ(filter.evaluate("openat2").error, ENOSYS);
  EXPECT_EQ(plan.before, (std::set<std::string>{"execve", "listen"}));
  EXPECT_TRUE(plan.after.empty());
  EXPECT_EQ(plan.as_absent.count("io_uring_setup"), 1u);
}

TEST(SealPlan, ThreadsAreMadeAndNamespacesAreNot) {
  privilege::SeccompFilter filter = compiled(plan_seal(proved(), "/run/x"));
  EXPECT_EQ(filter.evaluate("clone3").error, ENOSYS);
  EXPECT_EQ(filter.evaluate("clone", {CLONE_VM | CLONE_FS | CLONE_THREAD}).kind, Kind::kAllow);
  for (uint64_t flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID}) {
    EXPECT_EQ(filter.evaluate("clone", {flag | CLONE_VM}).kind, Kind::kOther) << flag;
  }
}

TEST(SealPlan, WithoutAProvedListAllElseIsAllowed) {
  privilege::SeccompFilter filter = compiled(plan_seal({}, "/run/x"));
  EXPECT_EQ(filter.evaluate("socket").kind, Kind::kAllow);
  EXPECT_EQ(filter.evaluate("mount").kind, Kind::kOther);
  EXPECT_EQ(filter.evaluate("clone", {CLONE_NEWUSER}).kind, Kind::kOther);
}

// A filter as the runtime would load it: a few calls are asked about, the rest is allowed.
int load_filter(const std::vector<int>& numbers) {
  std::vector<sock_filter> code = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
  for (int number : numbers) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return static_cast<int>(
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

bool hand_over(const std::string& path, int fd) {
  int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  path.copy(at.sun_path, sizeof at.sun_path - 1);
  if (connect(peer, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) return false;
  char text[] = "{}";
  iovec part{text, 2};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
  bool sent = sendmsg(peer, &message, 0) == 2;
  close(peer);
  return sent;
}

class SealTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = (std::filesystem::temp_directory_path() / "pare-seal-XXXXXX").string();
    ASSERT_NE(mkdtemp(dir_.data()), nullptr);
    path_ = dir_ + "/s";
    plan_ = plan_seal(proved(), path_);
    auto seal = Seal::open(plan_, path_, [this](const Denial& d) {
      std::lock_guard guard(mutex_);
      denials_.push_back(d);
    });
    ASSERT_TRUE(seal) << seal.error().message;
    seal_ = std::move(*seal);
  }
  void TearDown() override {
    seal_.reset();
    std::filesystem::remove_all(dir_);
  }
  // Runs `act` in a child under the filter; each byte on the pipe lets it go on. Its exit code.
  pid_t child(const std::function<int(int)>& act, int go) {
    pid_t pid = fork();
    if (pid != 0) return pid;
    int filter = load_filter({SYS_listen, SYS_unshare, SYS_execve});
    if (filter < 0 || !hand_over(path_, filter)) _exit(90);
    close(filter);
    _exit(act(go));
  }
  static int result(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::string dir_, path_;
  SealPlan plan_;
  std::mutex mutex_;
  std::vector<Denial> denials_;
  std::unique_ptr<Seal> seal_;
};

TEST_F(SealTest, BeforeWhatIsProvedAfterNothing) {
  int go[2], there[2];
  ASSERT_EQ(pipe(go) | pipe(there), 0);
  pid_t pid = child(
      [&](int in) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un any{};
        any.sun_family = AF_UNIX;
        if (bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any.sun_family) != 0) return 1;
        if (listen(fd, 1) != 0) return 2;                            // proved
        if (unshare(CLONE_NEWUTS) == 0 || errno != EPERM) return 3;  // never
        char byte = 'x';
        if (write(there[1], &byte, 1) != 1 || read(in, &byte, 1) != 1) return 4;
        if (listen(fd, 2) == 0 || errno != EPERM) return 5;  // sealed
        char* argv[] = {nullptr};
        if (execve("/bin/true", argv, argv) == 0 || errno != EPERM) return 6;
        return 0;
      },
      go[0]);
  char byte = 0;
  ASSERT_EQ(read(there[0], &byte, 1), 1) << "child ended with " << result(pid);
  EXPECT_TRUE(seal_->attached());
  seal_->close_for_good();
  ASSERT_EQ(write(go[1], &byte, 1), 1);
  EXPECT_EQ(result(pid), 0);
  EXPECT_EQ(seal_->denials(),
            (std::map<std::string, uint64_t>{{"unshare", 1}, {"listen", 1}, {"execve", 1}}));
  std::lock_guard guard(mutex_);
  ASSERT_EQ(denials_.size(), 3u);
  EXPECT_FALSE(denials_[0].sealed);
  EXPECT_EQ(denials_[2].argument, "/bin/true");
  EXPECT_EQ(denials_[2].pid, pid);
  EXPECT_NE(denials_[2].program.find("confine_test"), std::string::npos);
  for (int fd : {go[0], go[1], there[0], there[1]}) close(fd);
}

TEST_F(SealTest, WithItsSupervisorGoneTheKernelRefuses) {
  int go[2], there[2];
  ASSERT_EQ(pipe(go) | pipe(there), 0);
  pid_t pid = child(
      [&](int in) {
        char byte = 'x';
        if (listen(-1, 1) == 0 || errno != EBADF) return 1;  // asked, allowed, a bad descriptor
        if (write(there[1], &byte, 1) != 1 || read(in, &byte, 1) != 1) return 2;
        return listen(-1, 1) != 0 && errno == ENOSYS ? 0 : 3;
      },
      go[0]);
  char byte = 0;
  ASSERT_EQ(read(there[0], &byte, 1), 1) << "child ended with " << result(pid);
  seal_.reset();
  ASSERT_EQ(write(go[1], &byte, 1), 1);
  EXPECT_EQ(result(pid), 0);
  for (int fd : {go[0], go[1], there[0], there[1]}) close(fd);
}

}  // namespace
}  // namespace pare::confine
