// What runs already is joined: its doings from then on, and nobody else's.
#include <algorithm>

#include "record/testing_facts.h"
#include "sys/running.h"

namespace pare::record {
namespace {

using testing::Bundle;
using testing::Container;
using testing::expect_file;
using testing::file_fact;
using testing::list_files;
using ::testing::PrintToString;

class JoinTest : public testing::KernelTest {
 protected:
  // Starts the container and joins it when /ready is there.
  std::unique_ptr<Recorder> join(Container& container, const Bundle& bundle = {}) {
    container.start(bundle);
    container.wait_for("/tmp/ready");
    auto cgroup = sys::container_cgroup(container.id());
    EXPECT_TRUE(cgroup) << cgroup.error().message;
    auto state = testing::json::parse(container.runc({"state", container.id()}).out);
    auto recorder = Recorder::join(Options{.seccomp_refusals = true}, *cgroup, state.at("pid"));
    EXPECT_TRUE(recorder) << recorder.error().message;
    return recorder ? std::move(*recorder) : nullptr;
  }
  static void touch(const Container& container, const char* name) {
    std::ofstream(container.rootfs() + name) << "";
  }
};

TEST_F(JoinTest, WhatItDoesFromThenOnByTheProgramThatRan) {
  Container container(R"c(
    mkdir("/scratch/before", 0700);
    char* stack = malloc(65536);
    clone(thread, stack + 65536, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
          CLONE_SYSVSEM, 0);
    close(open("/tmp/ready", O_CREAT | O_WRONLY, 0600));
    while (access("/tmp/go", F_OK)) usleep(1000);
    mkdir("/scratch/after", 0700);
    socket(AF_INET, SOCK_RAW, 1);
    if (fork() == 0) { mkdir("/scratch/child", 0700); _exit(0); }
    wait(0);
    close(open("/tmp/done", O_CREAT | O_WRONLY, 0600));
    for (;;) pause();
  )c");
  Bundle bundle;
  bundle.capabilities = {"CAP_NET_RAW"};
  auto recorder = join(container, bundle);
  ASSERT_TRUE(recorder);
  touch(container, "/tmp/go");
  container.wait_for("/tmp/done");
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence) << evidence.error().message;
  EXPECT_EQ(evidence->coverage, evidence::Coverage::kAttached);
  EXPECT_EQ(evidence->loss.events, 0U) << PrintToString(evidence->loss.maps);
  EXPECT_EQ(file_fact(*evidence, "/scratch/before", "mkdir"), nullptr);
  expect_file(*evidence, "/scratch/after", "mkdir");
  expect_file(*evidence, "/scratch/child", "mkdir");
  EXPECT_EQ(testing::capability_names(*evidence, true).count("NET_RAW"), 1U);
  EXPECT_EQ(testing::call_names(*evidence).count("execve"), 0U);
  for (const auto& call : evidence->syscalls) {
    EXPECT_EQ(call.abi, "") << call.name;
    EXPECT_EQ(call.refused, 0U) << call.name;
    ASSERT_EQ(call.exes.size(), 1U) << call.name;
    EXPECT_EQ(call.exes[0], (evidence::ExeCalls{"/program", call.count})) << call.name;
  }
}

TEST_F(JoinTest, NothingThatComesFromOutside) {
  Container container(R"c(
    if (argc > 1) { mkdir("/scratch/outside", 0700); return 0; }
    close(open("/tmp/ready", O_CREAT | O_WRONLY, 0600));
    for (;;) { usleep(2000); getppid(); }
  )c");
  auto recorder = join(container);
  ASSERT_TRUE(recorder);
  EXPECT_EQ(container.runc({"exec", container.id(), "/program", "x"}).code, 0);
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->coverage, evidence::Coverage::kAttached);
  EXPECT_TRUE(evidence->files.empty()) << list_files(*evidence);
  EXPECT_TRUE(evidence->execs.empty());
  EXPECT_EQ(testing::call_names(*evidence), (std::set<std::string>{"clock_nanosleep", "getppid"}));
}

TEST_F(JoinTest, ItsFirstCallCounts) {
  Container container(R"c(
    signal(SIGUSR1, on_signal);
    close(open("/tmp/ready", O_CREAT | O_WRONLY, 0600));
    pause();
    mkdir("/tmp/done", 0700);
    for (;;) pause();
  )c");
  auto recorder = join(container);
  ASSERT_TRUE(recorder);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // in pause(2)
  container.runc({"kill", container.id(), "USR1"});
  container.wait_for("/tmp/done");
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  for (const auto& call : evidence->syscalls) EXPECT_EQ(call.count, 1U) << call.name;
  EXPECT_EQ(testing::call_names(*evidence),
            (std::set<std::string>{"rt_sigreturn", "mkdir", "pause"}));
}

TEST_F(JoinTest, TheEnginesInitIsNotTheServer) {
  Container container(R"c(
    if (argc > 1) {
      close(open("/tmp/ready", O_CREAT | O_WRONLY, 0600));
      for (;;) { usleep(2000); getuid(); }
    }
    link("/program", "/tmp/docker-init");
    if (fork() == 0) for (;;) { usleep(2000); getppid(); }
    execl("/tmp/docker-init", "docker-init", "x", (char*)0);
  )c");
  auto recorder = join(container);
  ASSERT_TRUE(recorder);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(testing::call_names(*evidence), (std::set<std::string>{"clock_nanosleep", "getppid"}));
}

TEST_F(JoinTest, AProgramThatItExecutesIsSeenAndNoEntryPoint) {
  Container container(R"c(
    if (argc > 1) { mkdir("/scratch/second", 0700); return 0; }
    close(open("/tmp/ready", O_CREAT | O_WRONLY, 0600));
    while (access("/tmp/go", F_OK)) usleep(1000);
    char* again[] = {"program", "x", 0};
    execv("/program", again);
  )c");
  auto recorder = join(container);
  ASSERT_TRUE(recorder);
  touch(container, "/tmp/go");
  for (int i = 0; i < 200; ++i) {
    if (container.runc({"state", container.id()}).out.find("stopped") != std::string::npos) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->coverage, evidence::Coverage::kAttached);
  EXPECT_NE(file_fact(*evidence, "/scratch/second", "mkdir"), nullptr) << list_files(*evidence);
  ASSERT_EQ(evidence->execs.size(), 1U);
  EXPECT_EQ(evidence->execs[0].path, "/program");
}

TEST_F(JoinTest, WhatIsGoneCannotBeJoined) {
  auto recorder = Recorder::join(Options{}, "/pare-no-such-cgroup", getpid());
  ASSERT_FALSE(recorder);
  EXPECT_EQ(recorder.error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace pare::record
