// What the recorder cannot take is counted, map by map, and what it takes has every field.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <cstring>

#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
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

TEST_F(LossTest, APathLongerThanIsKeptIsLost) {
  // Of 201 bytes each: from the forty-first on their names have no room, with the one asked for.
  Container container(R"(
    char name[201];
    chdir("/scratch");
    for (int i = 0; i < 45; i++) {
      snprintf(name, sizeof name, "%0200d", i);
      mkdir(name, 0700);
      chdir(name);
    }
  )");
  const Evidence evidence = record_losing(container);
  EXPECT_EQ(evidence.loss.maps, std::vector<std::string>{"memory"});
  EXPECT_EQ(evidence.loss.events, 5U);
}

TEST_F(LossTest, APathThatIsNotReadIsLost) {
  // A filter refuses before the kernel looks at the address, which may hold anything later.
  Container container("mkdir((char*)8, 0700); rmdir((char*)8);");
  Bundle bundle;
  bundle.seccomp = {
      {"defaultAction", "SCMP_ACT_ALLOW"},
      {"architectures", {"SCMP_ARCH_X86_64"}},
      {"syscalls",
       {{{"names", {"mkdir", "rmdir"}}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", EACCES}}}}};
  const Evidence evidence = record_losing(container, bundle);
  EXPECT_EQ(evidence.loss.maps, std::vector<std::string>{"memory"});
  EXPECT_EQ(evidence.loss.events, 2U);
}

// A map of the recorder that this process holds, by its name.
UniqueFd own_map(const std::string& name) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    bpf_map_info info = {};
    uint32_t size = sizeof(info);
    const int fd = std::stoi(entry.path().filename());
    std::error_code gone;
    if (std::filesystem::read_symlink(entry, gone).string() == "anon_inode:bpf-map" &&
        bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.name == name)
      return UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  }
  return UniqueFd();
}

// What a program leaves that is interrupted while it builds a record.
void set_buffers_in_use(uint32_t busy) {
  UniqueFd buffers = own_map("scratches");
  bpf_map_info info = {};
  uint32_t size = sizeof(info), zero = 0;
  ASSERT_EQ(bpf_obj_get_info_by_fd(buffers.get(), &info, &size), 0);
  const size_t each = (info.value_size + 7) / 8 * 8;
  std::vector<char> values(each * static_cast<size_t>(libbpf_num_possible_cpus()));
  ASSERT_EQ(bpf_map_lookup_elem(buffers.get(), &zero, values.data()), 0);
  for (size_t at = 0; at < values.size(); at += each) std::memcpy(&values[at], &busy, sizeof(busy));
  ASSERT_EQ(bpf_map_update_elem(buffers.get(), &zero, values.data(), BPF_ANY), 0);
}

TEST_F(LossTest, AFactThatFindsRoomLaterIsCountedAsOftenAsItWasMet) {
  Container container(R"(
    mkdir("/data/up", 0700);
    while (access("/data/go", F_OK) != 0) usleep(1000);
    for (int i = 0; i < 3; i++) chmod("/scratch", 0755);
    mkdir("/data/met", 0700);
    while (access("/data/on", F_OK) != 0) usleep(1000);
    for (int i = 0; i < 5; i++) chmod("/scratch", 0755);
    mkdir("/data/end", 0700);
    for (;;) pause();
  )");
  Options options;
  options.map_entries = 1;  // which the first fact takes
  auto recorder = testing::recorder_for(container, options);
  ASSERT_TRUE(recorder);
  container.start();
  container.wait_for("/data/up");
  std::ofstream(container.rootfs() + "/data/go") << "";
  container.wait_for("/data/met");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // its mkdir has ended
  UniqueFd seen = own_map("seen");
  uint64_t first = 0;
  ASSERT_EQ(bpf_map_get_next_key(seen.get(), nullptr, &first), 0);
  ASSERT_EQ(bpf_map_delete_elem(seen.get(), &first), 0);
  std::ofstream(container.rootfs() + "/data/on") << "";
  container.wait_for("/data/end");
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->loss.events, 0U) << PrintToString(evidence->loss.maps);
  const evidence::FileFact* changed = testing::file_fact(*evidence, "/scratch", "chmod");
  ASSERT_NE(changed, nullptr) << testing::list_files(*evidence);
  EXPECT_EQ(changed->count, 8U);
}

TEST_F(LossTest, FactsMetWhileTheBufferIsInUse) {
  Container container(R"(
    char name[32];
    mkdir("/data/up", 0700);
    while (access("/data/go", F_OK) != 0) usleep(1000);
    for (int i = 0; i < 7; i++) {
      snprintf(name, sizeof name, "/scratch/lost-%d", i);
      mkdir(name, 0700);
    }
    mkdir("/data/lost", 0700);
    while (access("/data/on", F_OK) != 0) usleep(1000);
    mkdir("/scratch/kept", 0700);
    mkdir("/data/end", 0700);
    for (;;) pause();
  )");
  auto recorder = testing::recorder_for(container);
  ASSERT_TRUE(recorder);
  container.start();
  container.wait_for("/data/up");
  set_buffers_in_use(1);
  std::ofstream(container.rootfs() + "/data/go") << "";
  container.wait_for("/data/lost");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // its mkdir has ended
  set_buffers_in_use(0);
  std::ofstream(container.rootfs() + "/data/on") << "";
  container.wait_for("/data/end");
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->loss.maps, std::vector<std::string>{"record buffer"});
  EXPECT_EQ(evidence->loss.events, 8U);
  testing::expect_file(*evidence, "/scratch/kept", "mkdir");
  for (const auto& fact : evidence->files)
    EXPECT_EQ(fact.path.find("lost"), std::string::npos) << fact.path;
}

// A memory cgroup. Maps that are made inside it stay charged to it.
class MemoryGroup {
 public:
  MemoryGroup() {
    const auto hierarchies = sys::cgroup_hierarchies();
    if (!hierarchies) return;
    for (const auto& hierarchy : *hierarchies) {
      const auto& names = hierarchy.controllers;
      const bool memory = std::count(names.begin(), names.end(), "memory") > 0;
      if (!memory && (!hierarchy.v2 || !directory_.empty())) continue;
      directory_ = hierarchy.mount + "/pare-loss-" + std::to_string(getpid());
      home_ = hierarchy.mount + own_cgroup(memory ? ":memory:" : "0::");
      usage_ = memory ? "/memory.usage_in_bytes" : "/memory.current";
      limit_ = memory ? "/memory.limit_in_bytes" : "/memory.max";
    }
    mkdir(directory_.c_str(), 0755);
  }
  ~MemoryGroup() { rmdir(directory_.c_str()); }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;
  bool usable() const { return access((directory_ + limit_).c_str(), W_OK) == 0; }
  void enter() const { write(directory_ + "/cgroup.procs", std::to_string(getpid())); }
  void leave() const { write(home_ + "/cgroup.procs", std::to_string(getpid())); }
  // Not a byte more than now.
  void close() const { write(directory_ + limit_, base::read_file(directory_ + usage_).value()); }

 private:
  // proc(5): a line for each hierarchy, its number, controllers and this process's cgroup.
  static std::string own_cgroup(const std::string& which) {
    for (std::string_view line : base::split(base::read_file("/proc/self/cgroup").value(), '\n'))
      if (size_t at = line.find(which); at != line.npos)
        return std::string(line.substr(at + which.size()));
    return "";
  }
  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text << std::flush;
  }
  std::string directory_, home_, usage_, limit_;
};

TEST_F(LossTest, TasksWithoutState) {
  MemoryGroup group;
  if (!group.usable()) PARE_SKIP("this host has no memory cgroups");
  Container container(R"(
    int* up = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 1000; i++)
      if (fork() == 0) { getppid(); __atomic_add_fetch(up, 1, __ATOMIC_RELEASE); for (;;) pause(); }
    while (__atomic_load_n(up, __ATOMIC_ACQUIRE) < 1000) usleep(1000);
    mkdir("/data/up", 0700);
    for (;;) pause();
  )");
  group.enter();
  auto recorder = testing::recorder_for(container);
  group.leave();
  ASSERT_TRUE(recorder);
  group.close();
  container.start();
  container.wait_for("/data/up");
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  uint64_t kept = 0;
  for (const auto& fact : evidence->syscalls)
    if (fact.name == "getppid") kept = fact.count;
  EXPECT_EQ(evidence->loss.maps, std::vector<std::string>{"task state"});
  EXPECT_LT(kept, 1000U);
  EXPECT_GE(kept + evidence->loss.events, 1000U);
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
