// Each kind of fact, triggered by one small program in a container of its own.
#include "record/recorder.h"

#include <algorithm>
#include <map>
#include <set>

#include "record/testing_facts.h"

namespace pare::record {
namespace {

using testing::Bundle;
using testing::call_names;
using testing::capability_names;
using testing::Container;
using testing::expect_file;
using testing::file_fact;
using testing::list_files;
using ::testing::PrintToString;
using testing::record_run;
using RecorderTest = testing::KernelTest;

TEST_F(RecorderTest, AProgramThatOnlyExitsUsesNoCapability) {
  Container container("");
  Bundle bundle;
  bundle.capabilities = {"CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_ADMIN"};
  auto evidence = record_run(container, bundle);
  for (const auto& fact : evidence.capabilities) EXPECT_TRUE(fact.advisory) << fact.name;
  EXPECT_TRUE(evidence.files.empty()) << list_files(evidence);
}

TEST_F(RecorderTest, WithoutALibraryNotEvenAnAdvisoryCheckIsLeft) {
  Container container("asm volatile(\"syscall\" ::\"a\"(SYS_exit_group), \"D\"(0));",
                      {"-nostdlib", "-nostartfiles", "-Wl,-e,main"});
  auto evidence = record_run(container);
  EXPECT_TRUE(evidence.capabilities.empty());
  EXPECT_EQ(call_names(evidence), (std::set<std::string>{"execve", "exit_group"}));
}

TEST_F(RecorderTest, ARawSocketIsAUseOfNetRawGrantedOrRefused) {
  const std::string body =
      "socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);"
      "socket(AF_INET, SOCK_RAW, IPPROTO_UDP);";
  for (bool granted : {true, false}) {
    Container container(body);
    Bundle bundle;
    if (granted) bundle.capabilities = {"CAP_NET_RAW"};
    auto evidence = record_run(container, bundle);
    const evidence::CapabilityFact* raw = nullptr;
    for (const auto& fact : evidence.capabilities)
      if (fact.name == "NET_RAW") raw = &fact;
    ASSERT_NE(raw, nullptr);
    EXPECT_EQ(raw->granted, granted ? 2U : 0U);
    EXPECT_EQ(raw->refused, granted ? 0U : 2U);
    EXPECT_FALSE(raw->advisory);
    ASSERT_EQ(raw->uses.size(), 2U);
    EXPECT_EQ(raw->uses[0].object, "AF_INET SOCK_RAW protocol 1");
    EXPECT_EQ(raw->uses[1].object, "AF_INET SOCK_RAW protocol 17");
    for (const auto& use : raw->uses) {
      EXPECT_EQ(use.syscall, "socket");
      EXPECT_EQ(use.exe, "/program");
      EXPECT_EQ(use.uid, 0U);
      EXPECT_EQ(use.granted, granted);
    }
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

TEST_F(RecorderTest, ANoisyNeighbourChangesNotOneCount) {
  const std::string quiet = R"(
    mkdir("/scratch/quiet", 0700);
    for (int i = 0; i < 50; i++) { usleep(10000); getppid(); }
  )";
  auto facts = [](const evidence::Evidence& evidence) {
    evidence::Evidence plain;
    plain.syscalls = evidence.syscalls;
    plain.arguments = evidence.arguments;
    plain.capabilities = evidence.capabilities;
    plain.files = evidence.files;
    plain.egress = evidence.egress;
    plain.execs = evidence.execs;
    plain.dns = evidence.dns;
    plain.listeners = evidence.listeners;
    return evidence::to_json(plain).dump(1);
  };
  Container alone(quiet), beside(quiet);
  Container noisy(R"c(
    close(open("/tmp/ready", O_CREAT | O_WRONLY, 0600));
    for (int i = 0;; i++) {
      char name[64];
      snprintf(name, sizeof name, "/scratch/noise-%d", i % 999);
      close(open(name, O_CREAT | O_RDWR, 0600));
      chmod(name, 0640);
      unlink(name);
      close(socket(AF_INET, SOCK_RAW, 1));
      if (i % 8 == 0) {
        if (fork() == 0) { execl("/nowhere", "nowhere", (char*)0); _exit(0); }
        wait(0);
      }
    }
  )c");
  Bundle bundle;
  bundle.capabilities = {"CAP_NET_RAW"};
  const std::string expected = facts(record_run(alone));
  noisy.start(bundle);
  noisy.wait_for("/tmp/ready");
  EXPECT_EQ(facts(record_run(beside)), expected);
  noisy.stop();
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
  Container container(testing::loopback(true) + R"(
    struct sockaddr_in out = {AF_INET, htons(443), {inet_addr("203.0.113.9")}};
    connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), (void*)&out, sizeof out);
    sendto(control, "x", 1, 0, (void*)&out, sizeof out);
    getppid();
    mkdir("/data/before", 0700);
    mkdir("/data/up", 0700);  // the call before has ended when this is there
    while (access("/data/go", F_OK) != 0) usleep(1000);
    out.sin_port = htons(444);
    connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), (void*)&out, sizeof out);
    sendto(control, "x", 1, 0, (void*)&out, sizeof out);
    getuid(); getppid();
    mkdir("/data/after", 0700);
    for (;;) pause();
  )");
  auto recorder = testing::recorder_for(container);
  ASSERT_TRUE(recorder);
  Bundle bundle;
  bundle.capabilities = {"CAP_NET_ADMIN"};
  container.start(bundle);
  container.wait_for("/data/up");
  ASSERT_TRUE(recorder->mark_ready());
  std::ofstream(container.rootfs() + "/data/go") << "go";
  container.wait_for("/data/after");
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_FALSE(evidence->ready.empty());
  EXPECT_EQ(file_fact(*evidence, "/data/before", "mkdir")->phase, evidence::Phase::kPull);
  EXPECT_EQ(file_fact(*evidence, "/data/after", "mkdir")->phase, evidence::Phase::kServe);
  EXPECT_EQ(evidence->egress.size(), 4U);  // TCP and UDP
  for (const auto& fact : evidence->egress)
    EXPECT_EQ(fact.phase, fact.port == 443 ? evidence::Phase::kPull : evidence::Phase::kServe);
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
    chdir("/data");
    for (int i = 0; i < 2; i++) {
      if (fork() == 0) { execv(i ? "/data/script" : "./second", child); _exit(1); }
      wait(0);
    }
    execv("/data/missing", child);
    execv("/data/plain", child);
  )");
  std::filesystem::create_symlink("/program", container.rootfs() + "/data/link");
  std::ofstream(container.rootfs() + "/data/plain") << "x";
  for (const char* script : {"/data/script", "/data/second"}) {
    std::ofstream(container.rootfs() + script) << "#!/program x\n";
    chmod((container.rootfs() + script).c_str(), 0755);
  }
  auto evidence = record_run(container);
  std::map<std::string, std::string> execs;
  for (const auto& fact : evidence.execs)
    execs[fact.path] = fact.error.value_or("x" + std::to_string(fact.count));
  EXPECT_EQ(execs, (std::map<std::string, std::string>{{"/program", "x4"},
                                                       {"/data/script", "x1"},
                                                       {"/data/second", "x1"},
                                                       {"/data/missing", "ENOENT"},
                                                       {"/data/plain", "EACCES"}}));
  expect_file(evidence, "/scratch/by-child", "mkdir");
}

TEST_F(RecorderTest, ArgumentsThatAProfileCanFilterAreFacts) {
  Container container(R"c(
    socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    syscall(SYS_socket, AF_INET | 1L << 40, SOCK_DGRAM, 0);  // an int: the rest is nothing
    socket(AF_PACKET, SOCK_RAW, 0);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_GET_DUMPABLE);
    syscall(SYS_personality, 0xffffffff);
    mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int size, tty = open("/scratch/null", O_RDWR), pipes[2];
    ioctl(tty, 0x5401, &size);
    pipe(pipes);
    ioctl(pipes[0], FIONREAD, &size);
    unshare(CLONE_NEWNS);
    if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0) _exit(0);
    wait(0);
    uint64_t clone3[8] = {CLONE_FILES, 0, 0, 0, SIGCHLD};
    if (syscall(SYS_clone3, clone3, sizeof clone3) == 0) _exit(0);
    wait(0);
    clone3[0] = CLONE_NEWNS;
    if (syscall(SYS_clone3, clone3, sizeof clone3) == 0) _exit(0);
    setresuid(-1, 7, -1);
  )c");
  Bundle bundle;
  bundle.capabilities = {"CAP_SETUID"};
  std::ofstream(container.rootfs() + "/scratch/null");
  bundle.mounts = {{{"destination", "/scratch/null"},
                    {"type", "bind"},
                    {"source", "/dev/null"},
                    {"options", {"bind"}}}};
  auto evidence = record_run(container, bundle);
  std::map<std::string, std::string> facts;
  for (const auto& fact : evidence.arguments) {
    std::string key = fact.syscall;
    for (uint64_t value : fact.values) key += " " + std::to_string(value);
    facts[key] = fact.object + " " + fact.error.value_or("") + " " + std::to_string(fact.count);
  }
  EXPECT_EQ(facts["socket 2 2 0"], "  3") << PrintToString(facts);
  EXPECT_EQ(facts["socket 17 3 0"], " EPERM 1");
  EXPECT_EQ(facts["prctl 4"], "  1");
  EXPECT_EQ(facts["prctl 3"], "  1");
  EXPECT_EQ(facts["personality 4294967295"], "  1");
  EXPECT_EQ(facts.count("mmap 1"), 0U);
  EXPECT_EQ(facts["mmap 5"], "  1");
  EXPECT_EQ(facts["ioctl 21505"], "/scratch/null  1");
  EXPECT_EQ(facts["ioctl 21531"], "  1");
  expect_file(evidence, "/scratch/null", "device");
  EXPECT_EQ(facts["unshare 131072"], " EPERM 1");
  EXPECT_EQ(facts["clone 0"], "  1");
  EXPECT_EQ(facts["clone3 1024"], "  1");
  EXPECT_EQ(facts["clone3 131072"], " EPERM 1");
  EXPECT_EQ(facts["setresuid 4294967295 7 4294967295"], "  1");
  std::set<std::string> uses;
  for (const auto& fact : evidence.capabilities)
    for (const auto& use : fact.uses)
      if (!fact.advisory) uses.insert(fact.name + " " + use.syscall + " " + use.object);
  for (const char* use : {"SETUID setresuid uid 7", "SYS_ADMIN clone3 flags 0x20000",
                          "SYS_ADMIN unshare flags 0x20000"})
    EXPECT_EQ(uses.count(use), 1U) << use << " not in " << PrintToString(uses);
}

TEST_F(RecorderTest, CallsThroughForeignGatesCarryTheirName) {
  Container container(R"(
    long r;
    for (int i = 0; i < 3; i++)
      asm volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    asm volatile("int $0x80" : "=a"(r) : "a"(39), "b"(0), "c"(0)  // mkdir
                 : "memory", "r8", "r9", "r10", "r11");
    syscall(0x40000000 + SYS_getpid);
    syscall(600);
  )");
  Bundle bundle;
  bundle.seccomp = {{"defaultAction", "SCMP_ACT_ALLOW"},
                    {"architectures", {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"}},
                    {"syscalls", {{{"names", {"mkdir"}}, {"action", "SCMP_ACT_ERRNO"}}}}};
  Options options;
  options.seccomp_refusals = true;
  auto evidence = record_run(container, bundle, options);
  std::map<std::string, evidence::SyscallFact> calls;
  for (const auto& fact : evidence.syscalls) calls[fact.name] = fact;
  EXPECT_EQ(calls["i386:getpid"].abi, "i386");
  EXPECT_EQ(calls["i386:getpid"].count, 3U);
  EXPECT_EQ(calls["i386:mkdir"].abi, "i386");
  EXPECT_EQ(calls["i386:mkdir"].refused, 1U);
  EXPECT_EQ(calls["x32:getpid"].abi, "x32") << PrintToString(call_names(evidence));
  EXPECT_EQ(calls["x86_64:600"].count, 1U);
  EXPECT_EQ(calls["x86_64:600"].abi, "");
  EXPECT_FALSE(calls.count("writev"));  // number 20 of x86_64
}

TEST_F(RecorderTest, EachProgramHasASetOfCallsOfItsOwn) {
  Container container(R"(
    if (argc > 1) {
      chmod("/tmp/other", 0755);
      if (argc == 2) execl("/tmp/other", "other", "x", "again", (char*)0);
      for (int i = 0; i < 5; i++) getppid();
      return 0;
    }
    link("/program", "/tmp/other");
    for (int i = 0; i < 2; i++) {
      getppid();
      if (fork() == 0) {
        getuid();
        execl("/tmp/other", "other", "x", (char*)0);
      }
      wait(0);
    }
  )");
  auto evidence = record_run(container);
  std::map<std::string, std::map<std::string, uint64_t>> calls;
  for (const auto& fact : evidence.syscalls)
    for (const auto& exe : fact.exes) calls[fact.name][exe.exe] = exe.count;
  using Counts = std::map<std::string, uint64_t>;
  EXPECT_EQ(calls["getppid"], (Counts{{"/program", 2}, {"/tmp/other", 10}}));
  EXPECT_EQ(calls["getuid"], (Counts{{"/program", 2}}));
  // A program's own execve is the doing of who executes it; the entry point's is its own.
  EXPECT_EQ(calls["execve"], (Counts{{"/program", 3}, {"/tmp/other", 2}}));
  // Executed four times, by two programs, it is one program, with one fact of it.
  ASSERT_EQ(evidence.files.size(), 2U) << testing::list_files(evidence);
  const evidence::FileFact* changed = file_fact(evidence, "/tmp/other", "chmod");
  ASSERT_NE(changed, nullptr);
  EXPECT_EQ(changed->exe, "/tmp/other");
  EXPECT_EQ(changed->count, 4U);
}

}  // namespace
}  // namespace pare::record
