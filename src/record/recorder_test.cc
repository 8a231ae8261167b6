// Each kind of fact, triggered by one small program in a container of its own.
#include "record/recorder.h"

#include <algorithm>
#include <map>
#include <set>

#include "record/testing_container.h"

namespace pare::record {
namespace {

using evidence::Evidence;
using evidence::FileFact;
using testing::Bundle;
using testing::Container;
using ::testing::PrintToString;
using testing::record_run;

class RecorderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    static const Support support = probe();
    if (!support.ok) PARE_SKIP(support.missing);
  }
};

const FileFact* file_fact(const Evidence& evidence, const std::string& path,
                          const std::string& op) {
  for (const FileFact& fact : evidence.files)
    if (fact.path == path && std::count(fact.ops.begin(), fact.ops.end(), op) > 0) return &fact;
  return nullptr;
}

// "path op error" of every file fact, for a failure's message.
std::string list_files(const Evidence& evidence) {
  std::string text;
  for (const FileFact& fact : evidence.files)
    text += fact.path + " " + PrintToString(fact.ops) + " " + fact.error.value_or("ok") + "\n";
  return text;
}

void expect_file(const Evidence& evidence, const std::string& path, const std::string& op,
                 const std::string& error = "") {
  const FileFact* fact = file_fact(evidence, path, op);
  ASSERT_NE(fact, nullptr) << op << " " << path << " is not in\n" << list_files(evidence);
  EXPECT_EQ(fact->error.value_or(""), error) << path;
  EXPECT_EQ(fact->exe, "/program");
}

std::set<std::string> call_names(const Evidence& evidence) {
  std::set<std::string> names;
  for (const auto& fact : evidence.syscalls) names.insert(fact.name);
  return names;
}

std::set<std::string> capability_names(const Evidence& evidence, bool granted) {
  std::set<std::string> names;
  for (const auto& fact : evidence.capabilities)
    if ((granted ? fact.granted : fact.refused) > 0) names.insert(fact.name);
  return names;
}

// The calls of the process that executed /program, from that execve on, in strace's words.
std::map<std::string, uint64_t> calls_in_strace(const std::string& file) {
  std::ifstream in(file);
  std::map<std::string, uint64_t> calls;
  std::string line, pid;
  while (std::getline(in, line)) {
    const std::string who = line.substr(0, line.find(' '));
    if (line.find("execve(\"/program\"") != std::string::npos) pid = who;
    if (who != pid || line.find("resumed>") != std::string::npos) continue;
    size_t start = line.find_first_not_of(' ', who.size());
    size_t paren = line.find('(', start);
    if (paren != std::string::npos && line[start] != '+' && line[start] != '-')
      ++calls[line.substr(start, paren - start)];
  }
  return calls;
}

TEST_F(RecorderTest, AProgramThatOnlyExitsUsesNothingAndCallsWhatStraceSees) {
  Container container("");
  auto recorder = testing::recorder_for(container);
  ASSERT_TRUE(recorder);
  Bundle bundle;
  bundle.capabilities = {"CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_ADMIN"};
  const std::string trace = container.path("trace");
  auto done = container.run(bundle, {"strace", "-f", "-o", trace});
  ASSERT_EQ(done.code, 0) << done.err;
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->coverage, evidence::Coverage::kEntry);
  EXPECT_EQ(evidence->loss.events, 0U);
  for (const auto& fact : evidence->capabilities) EXPECT_TRUE(fact.advisory) << fact.name;
  std::map<std::string, uint64_t> seen;
  for (const auto& fact : evidence->syscalls) seen[fact.name] = fact.count;
  EXPECT_EQ(seen, calls_in_strace(trace));
  EXPECT_EQ(seen["execve"], 1U);
  EXPECT_TRUE(evidence->files.empty()) << list_files(*evidence);
}

TEST_F(RecorderTest, WithoutALibraryNotEvenAnAdvisoryCheckIsLeft) {
  Container container("asm volatile(\"syscall\" ::\"a\"(SYS_exit_group), \"D\"(0));",
                      {"-nostdlib", "-nostartfiles", "-Wl,-e,main"});
  auto evidence = record_run(container);
  EXPECT_TRUE(evidence.capabilities.empty());
  EXPECT_EQ(call_names(evidence), (std::set<std::string>{"execve", "exit_group"}));
}

TEST_F(RecorderTest, ARawSocketIsAUseOfNetRawGrantedOrRefused) {
  const std::string body = "socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);";
  for (bool granted : {true, false}) {
    Container container(body);
    Bundle bundle;
    if (granted) bundle.capabilities = {"CAP_NET_RAW"};
    auto evidence = record_run(container, bundle);
    const evidence::CapabilityFact* raw = nullptr;
    for (const auto& fact : evidence.capabilities)
      if (fact.name == "NET_RAW") raw = &fact;
    ASSERT_NE(raw, nullptr);
    EXPECT_EQ(raw->granted, granted ? 1U : 0U);
    EXPECT_EQ(raw->refused, granted ? 0U : 1U);
    EXPECT_FALSE(raw->advisory);
    ASSERT_EQ(raw->uses.size(), 1U);
    EXPECT_EQ(raw->uses[0].syscall, "socket");
    EXPECT_EQ(raw->uses[0].object, "AF_INET SOCK_RAW protocol 1");
    EXPECT_EQ(raw->uses[0].exe, "/program");
    EXPECT_EQ(raw->uses[0].uid, 0U);
    EXPECT_EQ(raw->uses[0].granted, granted);
  }
}

TEST_F(RecorderTest, ChownOfAnothersFileNamesThePathAndItsOwner) {
  Container container("chown(\"/data/f\", 7, 8);");
  std::ofstream(container.rootfs() + "/data/f") << "x";
  Bundle bundle;
  bundle.capabilities = {"CAP_CHOWN"};
  auto evidence = record_run(container, bundle);
  EXPECT_EQ(capability_names(evidence, true), (std::set<std::string>{"CHOWN"}));
  ASSERT_EQ(evidence.capabilities[0].uses.size(), 1U);
  EXPECT_EQ(evidence.capabilities[0].uses[0].object, "/data/f");
  EXPECT_EQ(evidence.capabilities[0].uses[0].owner, 7U);
  expect_file(evidence, "/data/f", "chown");
}

TEST_F(RecorderTest, PathsAreResolvedThroughLinksDirectoriesAndDescriptors) {
  Container container(R"(
    mkdir("/scratch/d", 0755);
    symlink("/scratch/d", "/scratch/link");
    int fd = open("/scratch/link/new", O_CREAT | O_WRONLY, 0644);
    fchown(fd, 0, 0);
    chdir("/scratch/d");
    rename("new", "../renamed");
    int dir = open("/scratch/link", O_PATH | O_DIRECTORY);
    mkdirat(dir, "sub", 0700);
    close(openat(dir, "sub/./deep", O_CREAT | O_RDWR, 0600));
    unlinkat(dir, "sub/deep", 0);
    link("/scratch/renamed", "/scratch/link/hard");
    chmod("/scratch/link/hard", 0600);
    truncate("/scratch/renamed", 4);
    utimensat(AT_FDCWD, "../link/hard", 0, 0);
    futimens(fd, 0);
    mknod("/scratch/fifo", S_IFIFO | 0600, 0);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = {AF_UNIX, "socket"};
    bind(s, (void*)&a, sizeof a);
    close(open("/scratch/renamed", O_RDONLY));
  )");
  auto evidence = record_run(container);
  expect_file(evidence, "/scratch/d", "mkdir");
  expect_file(evidence, "/scratch/link", "symlink");
  expect_file(evidence, "/scratch/d/new", "create");
  expect_file(evidence, "/scratch/d/new", "write");
  expect_file(evidence, "/scratch/d/new", "chown");
  expect_file(evidence, "/scratch/d/new", "rename");
  expect_file(evidence, "/scratch/renamed", "rename");
  expect_file(evidence, "/scratch/d/sub", "mkdir");
  expect_file(evidence, "/scratch/d/sub/deep", "create");
  expect_file(evidence, "/scratch/d/sub/deep", "unlink");
  expect_file(evidence, "/scratch/d/hard", "link");
  expect_file(evidence, "/scratch/d/hard", "chmod");
  expect_file(evidence, "/scratch/renamed", "truncate");
  expect_file(evidence, "/scratch/d/hard", "utime");
  expect_file(evidence, "/scratch/renamed", "utime");
  expect_file(evidence, "/scratch/fifo", "mknod");
  expect_file(evidence, "/scratch/d/socket", "create");
  EXPECT_EQ(evidence.files.size(), 9U) << list_files(evidence);
}

TEST_F(RecorderTest, RefusalsKeepThePathAndTheErrorAndPlainReadsLeaveNoTrace) {
  Container container(R"(
    open("/data/new", O_CREAT | O_WRONLY, 0644);
    open("/data/there", O_WRONLY);
    mkdir("/data/dir", 0755);
    unlink("/data/there");
    chdir("/data");
    rename("there", "elsewhere");
    open("/nowhere/file", O_CREAT | O_WRONLY, 0644);
    open("/data/missing", O_RDONLY);
    unlink("/data/missing");
    close(open("/data/there", O_RDONLY));
    open("secret", O_RDONLY);
    struct stat st;
    stat("/data/closed/x", &st);
  )");
  std::ofstream(container.rootfs() + "/data/there") << "x";
  chmod((container.rootfs() + "/data/there").c_str(), 0666);
  std::ofstream(container.rootfs() + "/data/secret") << "x";
  chmod((container.rootfs() + "/data/secret").c_str(), 0600);
  mkdir((container.rootfs() + "/data/closed").c_str(), 0700);
  Bundle bundle;
  bundle.read_only = true;
  bundle.uid = 1000;
  auto evidence = record_run(container, bundle);
  expect_file(evidence, "/data/new", "create", "EROFS");
  expect_file(evidence, "/data/there", "write", "EROFS");
  expect_file(evidence, "/data/dir", "mkdir", "EROFS");
  expect_file(evidence, "/data/there", "unlink", "EROFS");
  expect_file(evidence, "/data/elsewhere", "rename", "EROFS");
  expect_file(evidence, "/data/missing", "unlink", "EROFS");
  expect_file(evidence, "/nowhere/file", "create", "ENOENT");
  expect_file(evidence, "/data/secret", "open-read", "EACCES");
  expect_file(evidence, "/data/closed/x", "stat", "EACCES");
  EXPECT_EQ(evidence.files.size(), 8U) << list_files(evidence);
  const FileFact* secret = file_fact(evidence, "/data/secret", "open-read");
  EXPECT_EQ(secret->owner, 0U);
  EXPECT_EQ(secret->uid, 1000U);
  // What the bounding set lacks was asked for all the same.
  EXPECT_EQ(capability_names(evidence, true), std::set<std::string>{});
  EXPECT_TRUE(capability_names(evidence, false).count("DAC_READ_SEARCH"));
}

TEST_F(RecorderTest, TwoThousandShortLivedChildrenLeaveTwoThousandPaths) {
  Container container(R"(
    for (int i = 0; i < 2000; i++) {
      if (fork() == 0) {
        char name[64];
        snprintf(name, sizeof name, "/scratch/child-%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0600));
        _exit(0);
      }
      if (i % 16 == 0) while (waitpid(-1, 0, WNOHANG) > 0) {}
    }
    while (wait(0) > 0) {}
  )");
  auto evidence = record_run(container);
  std::set<std::string> paths;
  for (const FileFact& fact : evidence.files) paths.insert(fact.path);
  EXPECT_EQ(paths.size(), 2000U);
  EXPECT_TRUE(paths.count("/scratch/child-1999"));
}

TEST_F(RecorderTest, WhatTheRingCannotTakeIsCounted) {
  Container container(R"(
    for (int i = 0; i < 3000; i++) {
      char name[64];
      snprintf(name, sizeof name, "/scratch/%d", i);
      close(open(name, O_CREAT | O_WRONLY, 0600));
    }
  )");
  Options options;
  options.ring_bytes = 4096;
  auto recorder = testing::recorder_for(container, options);
  ASSERT_TRUE(recorder);
  EXPECT_EQ(container.run().code, 0);
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_GT(evidence->loss.events, 0U);
  EXPECT_TRUE(std::count(evidence->loss.maps.begin(), evidence->loss.maps.end(), "ring"));
  uint64_t paths = 0;
  for (const FileFact& fact : evidence->files) paths += fact.path.rfind("/scratch/", 0) == 0;
  EXPECT_LE(3000 - paths, evidence->loss.events);
}

TEST_F(RecorderTest, TwoContainersAtOnceShareNothing) {
  Container one(
      "for (int i = 0; i < 2000; i++) close(open(\"/scratch/one\", O_CREAT|O_RDWR, 0600));");
  Container two("for (int i = 0; i < 2000; i++) mkdir(\"/scratch/two\", 0700);");
  auto first = testing::recorder_for(one), second = testing::recorder_for(two);
  ASSERT_TRUE(first && second);
  std::thread other([&] { EXPECT_EQ(two.run().code, 0); });
  EXPECT_EQ(one.run().code, 0);
  other.join();
  auto a = first->finish(), b = second->finish();
  ASSERT_TRUE(a && b);
  ASSERT_EQ(a->files.size(), 1U) << list_files(*a);
  ASSERT_EQ(b->files.size(), 1U) << list_files(*b);
  EXPECT_EQ(a->files[0].path, "/scratch/one");
  EXPECT_EQ(a->files[0].count, 2000U);
  EXPECT_EQ(b->files[0].path, "/scratch/two");
  EXPECT_EQ(call_names(*a).count("mkdir"), 0U);
  EXPECT_EQ(call_names(*b).count("openat"), 0U);
}

TEST_F(RecorderTest, WhatIsExecutedFromOutsideIsNotTheServers) {
  Container container(R"(
    if (argc > 1) {
      mkdir("/scratch/from-outside", 0700);
      socket(AF_INET, SOCK_RAW, 1);
      return 0;
    }
    mkdir("/scratch/server", 0700);
    for (;;) pause();
  )");
  auto recorder = testing::recorder_for(container);
  ASSERT_TRUE(recorder);
  Bundle bundle;
  bundle.capabilities = {"CAP_NET_RAW"};
  container.start(bundle);
  auto done = container.runc({"exec", container.id(), "/program", "x"});
  EXPECT_EQ(done.code, 0) << done.err;
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->loss.events, 0U) << PrintToString(evidence->loss.maps);
  expect_file(*evidence, "/scratch/server", "mkdir");
  EXPECT_EQ(evidence->files.size(), 1U) << list_files(*evidence);
  EXPECT_EQ(call_names(*evidence).count("socket"), 0U);
  EXPECT_EQ(capability_names(*evidence, true).count("NET_RAW"), 0U);
  ASSERT_EQ(evidence->execs.size(), 1U);
  EXPECT_EQ(evidence->execs[0].count, 1U);
}

TEST_F(RecorderTest, CallsThatSeccompRefusesAreSeenAtExit) {
  Container container("for (int i = 0; i < 5; i++) getppid(); getpid(); getuid();");
  Bundle bundle;
  bundle.seccomp = {{"defaultAction", "SCMP_ACT_ALLOW"},
                    {"architectures", {"SCMP_ARCH_X86_64"}},
                    {"syscalls", {{{"names", {"getppid"}}, {"action", "SCMP_ACT_ERRNO"}}}}};
  Options options;
  options.seccomp_refusals = true;
  auto evidence = record_run(container, bundle, options);
  std::map<std::string, std::pair<uint64_t, uint64_t>> calls;
  for (const auto& fact : evidence.syscalls) calls[fact.name] = {fact.count, fact.refused};
  EXPECT_EQ(calls["getppid"], std::make_pair(uint64_t{0}, uint64_t{5}));
  EXPECT_EQ(calls["getuid"], std::make_pair(uint64_t{1}, uint64_t{0}));
  // The runtime's own calls between loading the filter and the execve, which a filter must allow.
  const auto& own = evidence.runtime_syscalls;
  EXPECT_EQ(std::count(own.begin(), own.end(), "execve"), 1);
  EXPECT_EQ(std::count(own.begin(), own.end(), "pivot_root"), 0);
}

TEST_F(RecorderTest, ReadinessPartsThePhases) {
  Container container(R"(
    getppid();
    mkdir("/data/before", 0700);
    while (access("/data/go", F_OK) != 0) usleep(1000);
    getuid(); getppid();
    mkdir("/data/after", 0700);
    for (;;) pause();
  )");
  auto recorder = testing::recorder_for(container);
  ASSERT_TRUE(recorder);
  container.start();
  container.wait_for("/data/before");
  ASSERT_TRUE(recorder->mark_ready());
  std::ofstream(container.rootfs() + "/data/go") << "go";
  container.wait_for("/data/after");
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_FALSE(evidence->ready.empty());
  EXPECT_EQ(file_fact(*evidence, "/data/before", "mkdir")->phase, evidence::Phase::kPull);
  EXPECT_EQ(file_fact(*evidence, "/data/after", "mkdir")->phase, evidence::Phase::kServe);
  std::map<std::string, evidence::SyscallFact> calls;
  for (const auto& fact : evidence->syscalls) calls[fact.name] = fact;
  EXPECT_EQ(calls["getuid"].phase, evidence::Phase::kServe);
  EXPECT_EQ(calls["getppid"].phase, evidence::Phase::kPull);
  EXPECT_TRUE(calls["getppid"].serve);
  EXPECT_EQ(calls["getppid"].count, 2U);
  EXPECT_FALSE(calls["execve"].serve);
}

TEST_F(RecorderTest, ProgramsAreFactsAlsoWhenTheyCannotBeExecuted) {
  Container container(R"(
    if (argc > 1) { mkdir("/scratch/by-child", 0700); return 0; }
    char* child[] = {"program", "x", 0};
    if (fork() == 0) { execv("/data/link", child); _exit(1); }
    wait(0);
    execv("/data/missing", child);
    execv("/data/plain", child);
  )");
  std::filesystem::create_symlink("/program", container.rootfs() + "/data/link");
  std::ofstream(container.rootfs() + "/data/plain") << "x";
  auto evidence = record_run(container);
  std::map<std::string, std::string> execs;
  for (const auto& fact : evidence.execs) execs[fact.path] = fact.error.value_or("ok");
  EXPECT_EQ(execs,
            (std::map<std::string, std::string>{
                {"/program", "ok"}, {"/data/missing", "ENOENT"}, {"/data/plain", "EACCES"}}));
  expect_file(evidence, "/scratch/by-child", "mkdir");
}

TEST_F(RecorderTest, CallsThroughTheThirtyTwoBitGateCarryItsName) {
  Container container(R"(
    long r;
    asm volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    syscall(600);
  )");
  auto names = call_names(record_run(container));
  EXPECT_TRUE(names.count("i386:getpid")) << PrintToString(names);
  EXPECT_TRUE(names.count("x86_64:600")) << PrintToString(names);
  EXPECT_FALSE(names.count("writev"));  // number 20 of x86_64
}

}  // namespace
}  // namespace pare::record
