// Planted overflows: what a table or the ring cannot take is counted, exactly where it is facts.
#include "record/testing_facts.h"

namespace pare::record {
namespace {

using testing::Bundle;
using testing::Container;
using testing::list_files;
using ::testing::PrintToString;
using OverflowTest = testing::KernelTest;

evidence::Evidence record_small(Container& container, const Bundle& bundle, uint32_t entries) {
  Options options;
  options.map_entries = entries;
  options.seccomp_refusals = true;
  auto recorder = testing::recorder_for(container, options);
  if (!recorder) return {};
  EXPECT_EQ(container.run(bundle).code, 0);
  auto evidence = recorder->finish();
  EXPECT_TRUE(evidence);
  return evidence ? *evidence : evidence::Evidence{};
}

TEST_F(OverflowTest, EveryTableThatIsFullSaysSo) {
  Container container(R"c(
    if (argc > 1) return 0;
    for (int i = 0; i < 3; i++) {
      int s = socket(AF_INET, SOCK_STREAM, 0);
      listen(s, 1);
      struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80 + i)};
      to.sin_addr.s_addr = inet_addr("203.0.113.9");
      connect(socket(AF_INET, SOCK_STREAM, 0), (void*)&to, sizeof to);
    }
    getppid();
    sched_yield();
    for (int call = 20; call < 25; call += 4) {  // getpid, getuid16
      int ret;
      asm volatile("int $0x80" : "=a"(ret) : "0"(call) : "memory");
    }
    mkdir("/scratch/a", 0700);
    mkdir("/scratch/b", 0700);
    link("/program", "/tmp/other");
    char* again[] = {"other", "x", 0};
    execv("/tmp/other", again);
  )c");
  Bundle bundle;
  bundle.seccomp = {
      {"defaultAction", "SCMP_ACT_ALLOW"},
      {"architectures", {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"}},
      {"syscalls", {{{"names", {"getppid", "sched_yield"}}, {"action", "SCMP_ACT_ERRNO"}}}}};
  auto evidence = record_small(container, bundle, 1);
  const std::set<std::string> full(evidence.loss.maps.begin(), evidence.loss.maps.end());
  for (const char* table : {"listeners", "flows", "refusals", "foreign system calls", "programs"})
    EXPECT_EQ(full.count(table), 1U) << table << " not in " << PrintToString(full);
  EXPECT_EQ(evidence.listeners.size(), 1U);
  EXPECT_EQ(evidence.egress.size(), 1U);
  // The table of counts needs no room for a fact: it then comes each time.
  EXPECT_NE(testing::file_fact(evidence, "/scratch/a", "mkdir"), nullptr) << list_files(evidence);
  EXPECT_NE(testing::file_fact(evidence, "/scratch/b", "mkdir"), nullptr) << list_files(evidence);

  auto whole = record_small(container, bundle, 0);
  EXPECT_EQ(whole.loss.events, 0U) << PrintToString(whole.loss.maps);
  EXPECT_EQ(whole.listeners.size(), 3U);
  EXPECT_EQ(whole.egress.size(), 3U);
}

// Ten thousand children that live under a millisecond each: every path, or a count of those that
// are missing.
constexpr const char* kChildren = R"(
  for (int i = 0; i < 10000; i++) {
    if (fork() == 0) {
      char name[64];
      snprintf(name, sizeof name, "/scratch/child-%d", i);
      close(open(name, O_CREAT | O_WRONLY, 0600));
      _exit(0);
    }
    if (i % 16 == 0) while (waitpid(-1, 0, WNOHANG) > 0) {}
  }
  while (wait(0) > 0) {}
)";

TEST_F(OverflowTest, TenThousandChildrenLeaveTenThousandPathsOrTheirCount) {
  for (uint32_t ring : {4u << 20, 4096u}) {
    Container container(kChildren);
    Options options;
    options.ring_bytes = ring;
    auto recorder = testing::recorder_for(container, options);
    ASSERT_TRUE(recorder);
    EXPECT_EQ(container.run().code, 0);
    auto evidence = recorder->finish();
    ASSERT_TRUE(evidence);
    std::set<std::string> paths;
    for (const evidence::FileFact& fact : evidence->files) {
      paths.insert(fact.path);
      EXPECT_EQ(fact.count, 1U) << fact.path;
      EXPECT_EQ(fact.ops, (std::vector<std::string>{"create", "write"})) << fact.path;
    }
    EXPECT_EQ(paths.size() + evidence->loss.events, 10000U)
        << PrintToString(evidence->loss.maps) << ", ring of " << ring;
    printf("ring of %u bytes: %zu paths, %llu lost\n", ring, paths.size(),
           static_cast<unsigned long long>(evidence->loss.events));
    if (ring > 4096) {
      EXPECT_EQ(evidence->loss.events, 0U) << PrintToString(evidence->loss.maps);
    }
  }
}

}  // namespace
}  // namespace pare::record
