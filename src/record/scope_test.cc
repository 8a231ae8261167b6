// Whose doings are evidence: the container's, from its entry point on, and nobody else's.
#include <algorithm>

#include "record/testing_facts.h"
#include "sys/running.h"

namespace pare::record {
namespace {

using testing::Bundle;
using testing::call_names;
using testing::Container;
using testing::expect_file;
using testing::list_files;
using ::testing::PrintToString;
using ScopeTest = testing::KernelTest;

// C that uses a record buffer on every CPU: `call` is a fact.
std::string on_every_cpu(const std::string& call) {
  return R"(
    for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      sched_setaffinity(0, sizeof one, &one);
      )" +
         call + ";\n}\n";
}

TEST_F(ScopeTest, WhatIsExecutedFromOutsideIsNotTheServers) {
  Container container(R"(
    if (argc > 1) {
      mkdir("/scratch/from-outside", 0700);
      socket(AF_INET, SOCK_RAW, 1);
      return 0;
    }
    mkdir("/scratch/server", 0700);
    while (access("/tmp/go", F_OK) != 0) usleep(1000);
  )" + on_every_cpu("chmod(\"/scratch/server\", 0700 + cpu)") +
                      "mkdir(\"/tmp/end\", 0700); for (;;) pause();");
  auto recorder = testing::recorder_for(container);
  ASSERT_TRUE(recorder);
  Bundle bundle;
  bundle.capabilities = {"CAP_NET_RAW"};
  // What is executed in the container comes under its filter: no call that a runtime needs there.
  bundle.seccomp = {{"defaultAction", "SCMP_ACT_ALLOW"},
                    {"architectures", {"SCMP_ARCH_X86_64"}},
                    {"syscalls", {{{"names", {"reboot"}}, {"action", "SCMP_ACT_ERRNO"}}}}};
  container.start(bundle);
  auto done = container.runc({"exec", container.id(), "/program", "x"});
  EXPECT_EQ(done.code, 0) << done.err;
  std::ofstream(container.rootfs() + "/tmp/go") << "";
  container.wait_for("/tmp/end");
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->loss.events, 0U) << PrintToString(evidence->loss.maps);
  expect_file(*evidence, "/scratch/server", "mkdir");
  expect_file(*evidence, "/scratch/server", "chmod");
  expect_file(*evidence, "/tmp/end", "mkdir");
  EXPECT_EQ(evidence->files.size(), 2U) << list_files(*evidence);
  EXPECT_EQ(call_names(*evidence).count("socket"), 0U);
  EXPECT_EQ(testing::capability_names(*evidence, true).count("NET_RAW"), 0U);
  const auto& own = evidence->runtime_syscalls;
  EXPECT_EQ(std::count(own.begin(), own.end(), "execve"), 1) << PrintToString(own);
  EXPECT_EQ(std::count(own.begin(), own.end(), "mkdir"), 0) << PrintToString(own);
  ASSERT_EQ(evidence->execs.size(), 1U);
  EXPECT_EQ(evidence->execs[0].count, 1U);
}

TEST_F(ScopeTest, AContainerThatIsStartedAgainGoesOnBeingRecorded) {
  Container container("mkdir(argv[1], 0700);" + on_every_cpu("chmod(argv[1], 0700 + cpu)"));
  auto recorder = testing::recorder_for(container);
  ASSERT_TRUE(recorder);
  Bundle bundle;
  const std::string first = "/scratch/first-" + std::string(200, 'x'), second = "/scratch/second";
  for (const std::string& name : {first, second}) {
    bundle.args = {name};
    EXPECT_EQ(container.run(bundle).code, 0);
  }
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  expect_file(*evidence, first, "mkdir");
  expect_file(*evidence, second, "mkdir");
  for (const auto& fact : evidence->syscalls)
    if (fact.name == "execve") {
      EXPECT_EQ(fact.count, 2U);
    }
}

TEST_F(ScopeTest, TheCgroupIsAwaitedInEachSpelling) {
  Container container("mkdir(\"/scratch/here\", 0700);");
  auto files_of = [&container](const std::string& cgroup) {
    auto recorder = testing::recorder_for(container);
    Bundle bundle;
    bundle.cgroup = cgroup;
    EXPECT_EQ(container.run(bundle).code, 0);
    auto evidence = recorder->finish();
    EXPECT_TRUE(evidence && evidence->loss.events == 0);
    return evidence ? evidence->files.size() : 99;
  };
  const std::string& id = container.id();
  for (const std::string& own : {id, id + ".scope", "docker-" + id + ".scope"})
    EXPECT_EQ(files_of(own), 1U) << own;
  for (const std::string& other :
       {"libpod-conmon-" + id + ".scope", "x" + id + ".scope", id + ".slice", "docker-" + id})
    EXPECT_EQ(files_of(other), 0U) << other;
}

TEST_F(ScopeTest, ACgroupBelowTheContainersIsItsOwn) {
  Container container(R"(
    mkdir("/tmp/up", 0700);
    while (access("/tmp/go", F_OK) != 0) usleep(1000);
    mkdir("/scratch/below", 0700);
    if (fork() == 0) { mkdir("/scratch/child", 0700); _exit(0); }
    wait(0);
    mkdir("/tmp/end", 0700);
    for (;;) pause();
  )");
  auto recorder = testing::recorder_for(container);
  ASSERT_TRUE(recorder);
  container.start();
  container.wait_for("/tmp/up");
  const std::string directory = sys::v2_mount().value() + "/" + container.id();
  const std::string pid = base::read_file(directory + "/cgroup.procs").value();
  EXPECT_EQ(mkdir((directory + "/below").c_str(), 0755), 0);
  std::ofstream(directory + "/below/cgroup.procs") << pid;
  std::ofstream(container.rootfs() + "/tmp/go") << "";
  container.wait_for("/tmp/end");
  std::ofstream(directory + "/cgroup.procs") << pid;
  EXPECT_EQ(rmdir((directory + "/below").c_str()), 0);
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->loss.events, 0U) << PrintToString(evidence->loss.maps);
  expect_file(*evidence, "/scratch/below", "mkdir");
  expect_file(*evidence, "/scratch/child", "mkdir");
}

// Joins a cgroup as a runtime does, and executes a program: by its path, or a copy in memory, in
// the host's mount namespace or in one of its own.
constexpr const char* kRuntime = R"c(
  int procs = open(argv[1], O_WRONLY), copy = -1;
  char bytes[65536];
  if (dprintf(procs, "%d", getpid()) <= 0) return 9;
  if (strstr(argv[2], "own")) unshare(CLONE_NEWNS);
  if (!strstr(argv[2], "copy")) execl("/bin/true", "true", (char*)0);
  copy = syscall(SYS_memfd_create, "runtime", MFD_CLOEXEC);
  int program = open("/bin/true", O_RDONLY);
  for (int n; (n = read(program, bytes, sizeof bytes)) > 0;) write(copy, bytes, n);
  syscall(SYS_execveat, copy, "", argv, 0, AT_EMPTY_PATH);
  return 8;
)c";

TEST_F(ScopeTest, WhatARuntimeExecutesOfItsOwnIsNoEntryPoint) {
  testing::Scratch scratch;
  const std::string runtime = scratch.path() + "/runtime", name = scratch.path().substr(5);
  testing::compile(runtime, kRuntime);
  const std::string directory = sys::v2_mount().value() + "/" + name;
  auto opened = Recorder::open(Options{});
  ASSERT_TRUE(opened) << opened.error().message;
  ASSERT_TRUE((*opened)->arm(name));
  ASSERT_EQ(mkdir(directory.c_str(), 0755), 0);
  for (const char* how : {"host", "host copy", "own copy", "own"}) {
    auto done =
        sys::run(sys::Command{{runtime, directory + "/cgroup.procs", how}}, testing::kLimit);
    EXPECT_TRUE(done && done->code == 0) << how;
  }
  EXPECT_EQ(rmdir(directory.c_str()), 0);
  auto evidence = (*opened)->finish();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->coverage, evidence::Coverage::kEntry);
  EXPECT_EQ(evidence->loss.events, 0U) << PrintToString(evidence->loss.maps);
  ASSERT_EQ(evidence->execs.size(), 1U);
  EXPECT_EQ(evidence->execs[0].path, "/usr/bin/true");
  EXPECT_EQ(evidence->execs[0].count, 1U);
  for (const auto& fact : evidence->syscalls)
    if (fact.name == "execve") {
      EXPECT_EQ(fact.count, 1U);
    }
  EXPECT_EQ(call_names(*evidence).count("execveat"), 0U);
}

}  // namespace
}  // namespace pare::record
