// The oci engine with real containers: how they live and end, and what cannot be.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <thread>

#include "base/file.h"
#include "base/text.h"
#include "engine/oci_testing.h"
#include "sys/cgroup.h"
#include "sys/mounts.h"
#include "sys/process.h"

namespace pare::engine {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST_F(OciTest, ExitCodesSignalsAndLimitsOfWaiting) {
  auto container = create("head -c 3000000 /bin/busybox; exit 42", policy_);
  ASSERT_NE(container, nullptr);
  EXPECT_EQ(container->pid(), 0);
  EXPECT_FALSE(container->state().exited);
  ASSERT_TRUE(container->start());
  EXPECT_EQ(container->wait(10s).code, 42);
  // Who sees the exit sees the whole log.
  EXPECT_EQ(log().size(), std::min<size_t>(3000000, base::read_file("/bin/busybox")->size()));
  EXPECT_EQ(container->pid(), 0);
  EXPECT_TRUE(container->state().exited);
  EXPECT_FALSE(container->state().oom_killed);

  auto sleeper = create("sleep 600", policy_);
  ASSERT_NE(sleeper, nullptr);
  ASSERT_TRUE(sleeper->start());
  EXPECT_GT(sleeper->pid(), 0);
  auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(sleeper->wait(200ms).exited);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 200ms);
  ASSERT_TRUE(sleeper->signal(SIGKILL));
  EXPECT_EQ(sleeper->wait(10s).code, 128 + SIGKILL);
  EXPECT_TRUE(sleeper->signal(SIGTERM));  // of one that has exited: no error
}

TEST_F(OciTest, SigtermReachesAHandlerAndIsIgnoredByAnInitWithoutOne) {
  auto polite =
      create("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done", policy_);
  ASSERT_NE(polite, nullptr);
  ASSERT_TRUE(polite->start());
  for (int i = 0; i < 200 && log() != "up\n"; ++i) std::this_thread::sleep_for(20ms);
  ASSERT_TRUE(polite->signal(SIGTERM));
  EXPECT_EQ(polite->wait(10s).code, 3);
  EXPECT_TRUE(polite->remove());
  EXPECT_EQ(log(), "up\nbye\n");

  auto deaf = create("exec sleep 600", policy_);
  ASSERT_NE(deaf, nullptr);
  ASSERT_TRUE(deaf->start());
  ASSERT_TRUE(deaf->signal(SIGTERM));  // pid 1 of a namespace has no default action (signal(7))
  EXPECT_FALSE(deaf->wait(300ms).exited);
}

TEST_F(OciTest, ExecRunsAsTheContainersUserAndTellsItsCode) {
  auto container = create("sleep 600", policy_);
  ASSERT_NE(container, nullptr);
  auto early = container->exec({"true"}, 5s);
  EXPECT_FALSE(early);
  ASSERT_TRUE(container->start());
  auto code = [&](const std::vector<std::string>& argv, std::chrono::milliseconds limit) {
    auto done = container->exec(argv, limit);
    return done ? *done : -1;
  };
  EXPECT_EQ(code({"/bin/sh", "-c", "exit 3"}, 10s), 3);
  EXPECT_EQ(code({"/bin/sh", "-c", "[ $(id -u) = 1000 ]"}, 10s), 0);
  EXPECT_EQ(code({"/bin/sh", "-c", "grep -q 'CapBnd:.0000000000000000' /proc/self/status"}, 10s),
            0);
  EXPECT_EQ(code({"no-such-program"}, 10s), 127);
  EXPECT_EQ(code({"/data/plain"}, 10s), 126);
  EXPECT_EQ(code({"sleep", "600"}, 500ms), 124);
  auto cgroup = sys::Cgroup::at("/pare/" + container->cgroup_leaf());
  for (int i = 0; i < 200 && cgroup->processes().size() > 1; ++i) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(cgroup->processes().size(), 1U);
}

TEST_F(OciTest, NothingIsLeftAfterRemoveNorAfterTheDestructor) {
  {
    auto removed = create("sleep 600 & sleep 600", policy_);
    ASSERT_NE(removed, nullptr);
    ASSERT_TRUE(removed->start());
    auto cgroup = sys::Cgroup::find(removed->cgroup_leaf());
    ASSERT_TRUE(cgroup) << cgroup.error().message;
    EXPECT_EQ(cgroup->directories().size(), sys::cgroup_hierarchies()->size());
    int pid = removed->pid();
    ASSERT_TRUE(removed->remove());
    EXPECT_EQ(kill(pid, 0), -1);
    expect_nothing_left();
    EXPECT_TRUE(removed->remove());

    auto destroyed = create("sleep 600", policy_);
    ASSERT_NE(destroyed, nullptr);
    ASSERT_TRUE(destroyed->start());
    auto never_started = create("sleep 600", policy_);
  }
  expect_nothing_left();
}

TEST_F(OciTest, ManyAtOnceStartAndGo) {
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 3; ++i) {
        CreateOptions options;
        options.id = "pare-" + session_->id() + "-m" + std::to_string(t * 3 + i);
        target::Target target = shell("exit 7");
        auto container = engine_->create(target, policy_, platform_, options);
        bool ok = container && (*container)->start() && (*container)->wait(20s).code == 7 &&
                  (*container)->remove();
        good += ok ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 12);
  expect_nothing_left();
}

TEST_F(OciTest, ASweepTakesWhatAKilledOwnerLeft) {
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  pid_t owner = fork();
  if (owner == 0) {
    auto session = sys::Session::open(dir_ + "/state");
    auto engine = make_oci({"runc", session->directory() + "/oci"});
    CreateOptions options;
    options.id = "pare-" + session->id() + "-1";
    options.log_path = dir_ + "/log";
    auto container = (*engine)->create(shell("sleep 600 & sleep 600"), policy_, platform_, options);
    std::string line = container && (*container)->start()
                           ? session->id() + " " + std::to_string((*container)->pid())
                           : "failed";
    [[maybe_unused]] ssize_t n = write(fds[1], line.data(), line.size());
    pause();
    _exit(0);
  }
  char buffer[128] = {};
  ASSERT_GT(read(fds[0], buffer, sizeof buffer - 1), 0);
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  close(fds[0]);
  close(fds[1]);
  std::vector<std::string> words = base::split(buffer, ' ');
  ASSERT_EQ(words.size(), 2U) << buffer;
  pid_t init = static_cast<pid_t>(base::parse_u64(words[1]).value());
  EXPECT_EQ(kill(init, 0), 0);

  auto dead = sys::dead_sessions(dir_ + "/state");
  ASSERT_TRUE(dead) << dead.error().message;
  ASSERT_EQ(dead->size(), 1U);
  EXPECT_EQ(dead->front().id(), words[0]);
  auto swept = engine_->sweep(words[0]);
  ASSERT_TRUE(swept) << swept.error().message;
  ASSERT_TRUE(dead->front().remove());
  EXPECT_FALSE(sys::Cgroup::find(words[0]));
  EXPECT_TRUE(sys::mounts_below(dir_ + "/state")->empty());
  EXPECT_NE(access((dir_ + "/state/" + words[0]).c_str(), F_OK), 0);
  EXPECT_FALSE(engine_->sweep("pare"));  // too short to be a session
}

TEST_F(OciTest, WhereverItsOwnerIsKilledASweepLeavesNothing) {
  std::string state = dir_ + "/state";
  for (int delay_ms = 0; delay_ms < 80; delay_ms += 8) {
    SCOPED_TRACE(delay_ms);
    pid_t owner = fork();
    if (owner == 0) {
      auto session = sys::Session::open(state);
      auto engine = make_oci({"runc", session->directory() + "/oci"});
      for (int i = 0;; ++i) {
        CreateOptions options;
        options.id = "pare-" + session->id() + "-" + std::to_string(i);
        auto container = (*engine)->create(shell("sleep 600"), policy_, platform_, options);
        if (!container || !(*container)->start()) _exit(1);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
    kill(owner, SIGKILL);
    int status = 0;
    waitpid(owner, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
    auto dead = sys::dead_sessions(state);
    ASSERT_TRUE(dead) << dead.error().message;
    for (sys::Session& session : *dead) {
      auto swept = engine_->sweep(session.id());
      ASSERT_TRUE(swept) << swept.error().message;
      ASSERT_TRUE(session.remove());
      EXPECT_FALSE(sys::Cgroup::find(session.id()));
    }
    EXPECT_TRUE(sys::dead_sessions(state)->empty());
    // This test's own tmpfs alone.
    EXPECT_THAT(*sys::mounts_below(dir_), testing::ElementsAre(HasSubstr("/bundles-")));
  }
}

TEST_F(OciTest, WhatATargetLacksIsSaidOnceAndClearly) {
  target::Target good = shell("true");
  auto why = [&](target::Target target) {
    auto resolved = engine_->resolve(target);
    EXPECT_FALSE(resolved);
    EXPECT_EQ(resolved.error().kind, ErrorKind::kUsage);
    return resolved.error().message;
  };
  target::Target target = good;
  target.rootfs = dir_ + "/absent";
  EXPECT_THAT(why(target), HasSubstr("root file system " + dir_ + "/absent does not exist"));
  target.rootfs = dir_ + "/root/data/file";
  EXPECT_THAT(why(target), HasSubstr("is not a directory"));
  target = good;
  target.command = {"no-such-server", "--flag"};
  EXPECT_THAT(why(target), HasSubstr("command 'no-such-server' is not in "));
  target.command = {"/data/plain"};
  EXPECT_THAT(why(target), HasSubstr("is not executable"));
  target.command = {};
  EXPECT_THAT(why(target), HasSubstr("no command was given"));
  target = good;
  target.user = "nobody-knows";
  EXPECT_THAT(why(target), HasSubstr("nobody-knows"));
  target = good;
  target.gpus = "all";
  EXPECT_THAT(why(target), HasSubstr("--gpus"));
  target = good;
  target.kind = target::Kind::kImage;
  EXPECT_THAT(why(target), HasSubstr("--rootfs DIR"));
}

TEST_F(OciTest, ResolveFillsUserArgvAndPasswd) {
  target::Target target = shell("true");
  target.user = "server";
  target.group_add = {5};
  target.group_add_names = {"video"};
  auto resolved = engine_->resolve(target);
  ASSERT_TRUE(resolved) << resolved.error().message;
  EXPECT_EQ(resolved->resolved_user.uid, 1234U);
  EXPECT_EQ(resolved->resolved_user.groups, (std::vector<uint32_t>{5, 44}));
  EXPECT_EQ(resolved->argv, (std::vector<std::string>{"/bin/sh", "-c", "true"}));
  EXPECT_EQ(resolved->facts.passwd.size(), 2U);
  EXPECT_EQ(engine_->read_image_file(*resolved, "/data/file").value_or(""), "data\n");
  EXPECT_EQ(engine_->read_image_file(*resolved, "/absent").error().kind, ErrorKind::kUsage);
  EXPECT_EQ(engine_->owner(*resolved, "/data"), std::pair(1000U, 1000U));
  EXPECT_FALSE(engine_->owner(*resolved, "/absent"));
}

TEST_F(OciTest, WhatThePolicyItselfPreventsIsAnExit) {
  struct Case {
    const char* name;
    int code;
    const char* log;
    std::function<void(privilege::Policy&, target::Target&)> change;
  };
  const Case cases[] = {
      {"hidden", 127, "no such file",
       [](auto& p, auto&) {
         p.writable = {{"/bin", "tmpfs", 0, false, false}};
       }},
      {"closed", 126, "permission denied", [](auto&, auto& t) { t.argv = {"/closed/program"}; }},
      {"a file", 126, "not a directory",
       [](auto& p, auto&) {
         p.writable = {{"/data/file", "tmpfs", 0, false, false}};
       }},
      {"no call", 126, "", [](auto& p, auto&) { p.seccomp = privilege::SeccompProfile(); }},
      {"format", 1, "exec format error", [](auto&, auto& t) { t.argv = {"/data/not-a-program"}; }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    privilege::Policy policy = policy_;
    target::Target target = shell("true");
    c.change(policy, target);
    CreateOptions options;
    options.id = "pare-" + session_->id() + "-c" + std::to_string(serial_++);
    options.log_path = dir_ + "/log-" + c.name;
    auto container = engine_->create(target, policy, platform_, options);
    ASSERT_TRUE(container) << container.error().message;
    auto started = (*container)->start();
    ASSERT_TRUE(started) << started.error().message;
    ExitState state = (*container)->wait(10s);
    EXPECT_TRUE(state.exited);
    EXPECT_EQ(state.code, c.code);
    EXPECT_THAT(base::read_file(options.log_path).value_or(""), HasSubstr(c.log));
  }
  expect_nothing_left();
}

TEST_F(OciTest, WhatTheHostLacksIsAnErrorAndLeavesNothing) {
  auto why = [&](const CreateOptions& extra) {
    CreateOptions options = extra;
    if (options.id.empty())
      options.id = "pare-" + session_->id() + "-e" + std::to_string(serial_++);
    auto container = engine_->create(shell("true"), policy_, platform_, options);
    return container ? std::string("created") : container.error().message;
  };
  CreateOptions options;
  options.volumes = {{dir_ + "/absent", "/models"}};
  EXPECT_THAT(why(options), HasSubstr("volume " + dir_ + "/absent (for /models) does not exist"));
  options.volumes.clear();
  options.id = "not ours";
  EXPECT_THAT(why(options), HasSubstr("is not a container id"));
  policy_.devices = {"/dev/pare-absent"};
  EXPECT_THAT(why({}), HasSubstr("device /dev/pare-absent does not exist"));
  policy_.devices.clear();
  // The runtime itself fails: an Error, with its own words.
  policy_.sysctls = {{"net.pare.absent", "1"}};
  auto container = create("true", policy_);
  ASSERT_NE(container, nullptr);
  auto started = container->start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, ErrorKind::kHost);
  EXPECT_THAT(started.error().message, HasSubstr("runc cannot start the container: "));
  EXPECT_THAT(started.error().message, HasSubstr("/proc/sys/net/pare/absent"));
  container.reset();
  expect_nothing_left();
}

TEST_F(OciTest, ARuntimeThatIsUnknownOrCannotWorkHereIsSaid) {
  std::string dir = session_->directory() + "/other";
  auto unknown = make_oci({"rund", dir});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(unknown.error().message, HasSubstr("use runc, crun or runsc"));
  std::string version = engine_->runtime_version().value_or("");
  EXPECT_TRUE(base::starts_with(version, "runc 1.")) << version;

  auto crun = make_oci({"crun", dir});
  bool installed = sys::find_program("crun").has_value();
  std::string controllers;  // of a cgroup2 beside v1 hierarchies
  std::vector<sys::CgroupHierarchy> hierarchies = sys::cgroup_hierarchies().value();
  for (const sys::CgroupHierarchy& h : hierarchies) {
    if (h.v2 && sys::cgroup_mode().value() == sys::CgroupMode::kHybrid) {
      controllers = base::read_file(h.mount + "/cgroup.controllers").value_or("");
    }
  }
  if (installed && base::trim(controllers).empty()) {
    ASSERT_TRUE(crun) << crun.error().message;
    return;
  }
  ASSERT_FALSE(crun);
  EXPECT_EQ(crun.error().kind, ErrorKind::kHost);
  EXPECT_THAT(crun.error().message, HasSubstr(installed ? "hybrid" : "install it"));
}

TEST_F(OciTest, WithoutARuntimeInPathThatIsSaid) {
  std::string path = getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  auto engine = make_oci({"runc", session_->directory() + "/other"});
  setenv("PATH", path.c_str(), 1);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().kind, ErrorKind::kHost);
  EXPECT_THAT(engine.error().message, HasSubstr("runc was not found in PATH"));
}

}  // namespace pare::engine
