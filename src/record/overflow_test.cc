// Planted overflows: what a table or the ring cannot take is counted, exactly where it is facts.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "record/testing_facts.h"
#include "record/wire.h"

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

TEST_F(OverflowTest, ConnectionsInProgressHaveRoomAgainWhenTheyEnd) {
  // Two fit. Refused ones make room; of three that stay open one is lost.
  Container container(testing::loopback(true) + R"c(
    struct sockaddr_in own = {AF_INET, htons(9), {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in out = {AF_INET, htons(9), {inet_addr("203.0.113.9")}};
    for (int i = 0; i < 3; i++)
      connect(socket(AF_INET, SOCK_STREAM, 0), (void*)&own, sizeof own);
    for (int i = 0; i < 3; i++)
      connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), (void*)&out, sizeof out);
  )c");
  Bundle bundle;
  bundle.capabilities = {"CAP_NET_ADMIN"};
  auto evidence = record_small(container, bundle, 2);
  EXPECT_EQ(evidence.loss.maps, std::vector<std::string>{"flows"});
  EXPECT_EQ(evidence.loss.events, 1U);
  ASSERT_EQ(evidence.egress.size(), 1U);
  EXPECT_EQ(evidence.egress[0].attempts, 3U);
}

// Keeps the recorder's thread from its ring while it lives: a signal's handler holds it.
class Hold {
 public:
  Hold() {
    EXPECT_EQ(pipe2(release_, O_CLOEXEC), 0);
    entered_ = false;
    signal(SIGUSR1, [](int) {
      char end;
      entered_ = true;
      while (read(release_[0], &end, 1) < 0) {
      }
    });
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task"))
      if (const int thread = std::stoi(entry.path().filename()); thread != gettid())
        tgkill(getpid(), thread, SIGUSR1);
    while (!entered_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ~Hold() {
    close(release_[1]);
    signal(SIGUSR1, SIG_IGN);  // its handler may still be on its way out, and sees the end
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  static inline int release_[2] = {-1, -1};
  static inline std::atomic<bool> entered_ = false;
};

TEST_F(OverflowTest, QuestionsThatTheRingCannotTakeAreCounted) {
  Container container(testing::loopback(true) + R"c(
    struct sockaddr_in ns = {AF_INET, htons(53), {htonl(INADDR_LOOPBACK)}};
    char question[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\4name\4test\0\0\1\0\1";
    for (int i = 0; i < 60; i++) chmod("/scratch", i), usleep(1000);  // what the ring held before
    mkdir("/tmp/up", 0700);
    while (access("/tmp/go", F_OK) != 0) usleep(1000);
    for (int i = 0; i < 100; i++)
      sendto(control, question, sizeof question - 1, 0, (void*)&ns, sizeof ns);
    mkdir("/tmp/done", 0700);
    for (;;) pause();
  )c");
  Bundle bundle;
  bundle.capabilities = {"CAP_NET_ADMIN"};
  Options options;
  options.ring_bytes = 4096;
  auto recorder = testing::recorder_for(container, options);
  ASSERT_TRUE(recorder);
  container.start(bundle);
  container.wait_for("/tmp/up");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // its fact is read
  {
    Hold hold;
    std::ofstream(container.rootfs() + "/tmp/go") << "";
    container.wait_for("/tmp/done");
  }
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->loss.maps, std::vector<std::string>{"ring"});
  ASSERT_EQ(evidence->dns.size(), 1U);
  EXPECT_EQ(evidence->dns[0].count, 4096 / (8 + sizeof(pare_record) + PARE_PACKET_MAX));
  EXPECT_EQ(evidence->dns[0].count + evidence->loss.events, 100U);
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
