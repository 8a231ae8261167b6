// What the recorder cannot take is counted, map by map, and what it takes has every field.
#include <fcntl.h>

#include "base/text.h"
#include "record/recorder.h"
#include "record/testing_facts.h"
#include "sys/cgroup.h"

namespace pare::record {
namespace {

using evidence::Evidence;
using testing::Bundle;
using testing::Container;
using ::testing::PrintToString;
using LossTest = testing::KernelTest;

// Evidence of a run that may lose facts.
Evidence record_losing(Container& container, const Bundle& bundle = {}, Options options = {}) {
  auto recorder = testing::recorder_for(container, options);
  if (!recorder) return {};
  auto done = container.run(bundle);
  EXPECT_EQ(done.code, 0) << done.out << done.err;
  auto evidence = recorder->finish();
  EXPECT_TRUE(evidence);
  return evidence ? *evidence : Evidence{};
}

void expect_lost(const Evidence& evidence, const std::string& map, size_t kept, size_t all) {
  EXPECT_EQ(evidence.loss.maps, std::vector<std::string>{map});
  EXPECT_GT(kept, 0U);
  EXPECT_GT(evidence.loss.events, 0U);
  EXPECT_EQ(kept + evidence.loss.events, all);
}

TEST_F(LossTest, ListenersBeyondTheTable) {
  Container container(R"(
    struct sockaddr_in at = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
    for (int port = 2000; port < 3100; port++) {
      int s = socket(AF_INET, SOCK_DGRAM, 0);
      at.sin_port = htons(port);
      bind(s, (void*)&at, sizeof at);
      close(s);
    }
  )");
  const Evidence evidence = record_losing(container);
  expect_lost(evidence, "listeners", evidence.listeners.size(), 1100);
}

TEST_F(LossTest, DestinationsBeyondTheTable) {
  Container container(R"(
    struct sockaddr_in to = {AF_INET, htons(9)};
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < 4200; i++) {
      to.sin_addr.s_addr = htonl(0xcb007100 + i);  // 203.0.113.0 and up
      sendto(s, "x", 1, 0, (void*)&to, sizeof to);
    }
  )");
  const Evidence evidence = record_losing(container);
  expect_lost(evidence, "flows", evidence.egress.size(), 4200);
}

TEST_F(LossTest, CallsWithoutARowBeyondTheTable) {
  Container container("for (int i = 0; i < 600; i++) syscall(1000 + i);");
  const Evidence evidence = record_losing(container);
  size_t kept = 0;
  for (const auto& fact : evidence.syscalls) kept += base::starts_with(fact.name, "x86_64:");
  expect_lost(evidence, "foreign system calls", kept, 600);
}

TEST_F(LossTest, RefusalsBeyondTheTable) {
  Container container(R"(
    struct sock_filter code[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                                 {BPF_JMP | BPF_JGE | BPF_K, 0, 1, 1000},
                                 {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
                                 {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    struct sock_fprog filter = {4, code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) return 7;
    for (int i = 0; i < 1100; i++) syscall(1000 + i);
  )",
                      {"-include", "linux/filter.h", "-include", "linux/seccomp.h"});
  Options options;
  options.seccomp_refusals = true;
  const Evidence evidence = record_losing(container, {}, options);
  size_t kept = 0;
  for (const auto& fact : evidence.syscalls) kept += fact.refused;
  expect_lost(evidence, "refusals", kept, 1100);
}

TEST_F(LossTest, ProgramsBeyondTheTable) {
  Container container(R"(
    if (argc > 1) return 0;
    char name[32];
    char* child[] = {name, "x", 0};
    for (int i = 0; i < 1050; i++) {
      snprintf(name, sizeof name, "/data/%d", i);
      link("/program", name);
      if (fork() == 0) { execv(name, child); _exit(1); }
      wait(0);
    }
  )");
  const Evidence evidence = record_losing(container);
  // Each is executed all the same; its number is what is lost.
  EXPECT_EQ(evidence.loss.maps, std::vector<std::string>{"programs"});
  EXPECT_EQ(evidence.loss.events, 1051U - 1024U);
  EXPECT_EQ(evidence.execs.size(), 1051U);
}

TEST_F(LossTest, CgroupsBeyondTheTable) {
  Container container("mkdir(\"/data/up\", 0700); for (;;) pause();");
  auto recorder = testing::recorder_for(container);
  ASSERT_TRUE(recorder);
  container.start();
  container.wait_for("/data/up");
  auto hierarchies = sys::cgroup_hierarchies();
  ASSERT_TRUE(hierarchies);
  for (const auto& hierarchy : *hierarchies) {
    if (!hierarchy.v2) continue;
    const std::string at = hierarchy.mount + "/" + container.id() + "/";
    for (int i = 0; i < 300; ++i) EXPECT_EQ(mkdir((at + std::to_string(i)).c_str(), 0755), 0);
    for (int i = 0; i < 300; ++i) EXPECT_EQ(rmdir((at + std::to_string(i)).c_str()), 0);
  }
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  expect_lost(*evidence, "cgroups", 256, 300);
}

TEST_F(LossTest, FactsBeyondTheTableOfCountsCountForThemselves) {
  Container container(R"(
    char name[32];
    chdir("/scratch");
    for (int i = 0; i < 34000; i++) {
      snprintf(name, sizeof name, "%d", i);
      mkdir(name, 0700);
      if (i >= 33500) mkdir(name, 0700);  // EEXIST: no fact
      if (i >= 33500) chmod(name, 0700), chmod(name, 0700);
      rmdir(name);
    }
  )");
  Options options;
  options.ring_bytes = 64u << 20;
  const Evidence evidence = record_losing(container, {}, options);
  EXPECT_EQ(evidence.loss.events, 0U) << PrintToString(evidence.loss.maps);
  std::map<std::string, uint64_t> counts;
  for (const auto& fact : evidence.files) counts[fact.path] += fact.count;
  EXPECT_EQ(counts.size(), 34000U);
  EXPECT_EQ(counts["/scratch/0"], 2U);
  EXPECT_EQ(counts["/scratch/33999"], 4U);
}

TEST_F(LossTest, APathDeeperThanIsFollowedIsLost) {
  Container container(R"(
    chdir("/scratch");
    for (int i = 0; i < 253; i++) { mkdir("d", 0700); chdir("d"); }
    mkdir("too", 0700);
    mkdir("too/deep", 0700);
    chdir("too");
    mkdir("deep/below", 0700);
    chdir("deep");
    mkdir("lost", 0700);
  )");
  const Evidence evidence = record_losing(container);
  EXPECT_EQ(evidence.loss.maps, std::vector<std::string>{"memory"});
  EXPECT_GE(evidence.loss.events, 1U);
  testing::expect_file(evidence, "/scratch/d/d/d", "mkdir");
}

TEST_F(LossTest, ABadAddressIsNoLoss) {
  Container container(R"(
    char* child[] = {"x", 0};
    execve((char*)8, child, child);
    open((char*)8, O_CREAT | O_WRONLY, 0600);
    mkdir((char*)8, 0700);
    bind(socket(AF_INET, SOCK_STREAM, 0), (void*)8, 16);
  )");
  auto evidence = testing::record_run(container);  // expects no loss
  EXPECT_TRUE(evidence.files.empty()) << testing::list_files(evidence);
}

}  // namespace
}  // namespace pare::record
