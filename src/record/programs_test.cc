// Each of the recorder's kernel programs runs, and each way to see a capability check tells the
// same.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <map>
#include <set>

#include "base/unique_fd.h"
#include "record/host.h"
#include "record/recorder.h"
#include "record/testing_facts.h"
#include "record/wire.h"
// After wire.h, whose types it names.
#include "record/bpf/recorder.skel.h"

namespace pare::record {
namespace {

using testing::Bundle;
using testing::Container;
using ::testing::PrintToString;
using ProgramsTest = testing::KernelTest;

// The best first, as one list; what a kernel that is known must offer stands in the environment.
constexpr const char* kWays[] = {"tracepoint", "fexit", "kprobe"};

TEST_F(ProgramsTest, EveryWayToSeeCapabilityChecksTellsTheSame) {
  std::string ways;
  for (const char* way : kWays) {
    Container container("setresuid(-1, 7, -1); socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);");
    Options options;
    options.capability_hook = way;
    auto recorder = Recorder::open(options);
    if (!recorder) continue;
    ways += (ways.empty() ? "" : ",") + std::string(way);
    ASSERT_TRUE((*recorder)->arm(container.id()));
    Bundle bundle;
    bundle.capabilities = {"CAP_SETUID", "CAP_NET_RAW"};
    EXPECT_EQ(container.run(bundle).code, 0);
    auto evidence = (*recorder)->finish();
    ASSERT_TRUE(evidence);
    EXPECT_EQ(evidence->capability_hook, way);
    EXPECT_EQ(evidence->loss.events, 0U) << way << PrintToString(evidence->loss.maps);
    std::set<std::string> uses;
    for (const auto& fact : evidence->capabilities)
      for (const auto& use : fact.uses)
        if (!fact.advisory)
          uses.insert(fact.name + " " + use.syscall + " " + use.object + " " + use.exe + " " +
                      std::to_string(use.uid) + (use.granted ? " granted" : " refused"));
    EXPECT_EQ(uses, (std::set<std::string>{
                        "SETUID setresuid uid 7 /program 0 granted",
                        "NET_RAW socket AF_INET SOCK_RAW protocol 1 /program 7 refused"}))
        << way;
  }
  EXPECT_EQ(probe().capability_hook, ways.substr(0, ways.find(',')));
  if (const char* expected = getenv("PARE_EXPECT_HOOKS")) {
    EXPECT_EQ(ways, expected);
  }
}

// Programs of this process by name (the kernel keeps 15 bytes of it), and how often they ran.
std::map<std::string, uint64_t> runs_of_own_programs() {
  std::map<std::string, uint64_t> runs;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    bpf_prog_info info = {};
    uint32_t size = sizeof(info);
    const int fd = std::stoi(entry.path().filename());
    std::error_code gone;
    if (std::filesystem::read_symlink(entry, gone).string() == "anon_inode:bpf-prog" &&
        bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
      runs[info.name] += info.run_cnt;
  }
  return runs;
}

// One program that gives every kernel program of the recorder something to do. A new kernel program
// fails this test until it is met here (and its facts are asserted by a test of their own).
TEST_F(ProgramsTest, EveryProgramIsMet) {
  Container container(R"c(
    struct ifreq lo = {0};
    int control = socket(AF_INET, SOCK_DGRAM, 0);
    strcpy(lo.ifr_name, "lo");
    lo.ifr_flags = IFF_UP;
    ioctl(control, SIOCSIFFLAGS, &lo);
    if (fork() == 0) _exit(0);
    wait(0);
    struct sockaddr_in own = {AF_INET, htons(8123), {inet_addr("127.0.0.1")}};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    bind(s, (void*)&own, sizeof own);
    listen(s, 5);
    int receiver = socket(AF_INET, SOCK_DGRAM, 0);
    bind(receiver, (void*)&own, sizeof own);
    sendto(control, "x", 1, 0, (void*)&own, sizeof own);
    recv(receiver, &own, 1, 0);
    struct io_uring_params p = {0};
    int ring = syscall(SYS_io_uring_setup, 8, &p);
    char* sq = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    char* sqes = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    memset(sqes, 0, sizeof(struct io_uring_sqe));  // IORING_OP_NOP
    *(unsigned*)(sq + p.sq_off.array) = 0;
    __atomic_add_fetch((unsigned*)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0);
  )c");
  std::unique_ptr<recorder_bpf, void (*)(recorder_bpf*)> object(recorder_bpf__open(),
                                                                recorder_bpf__destroy);
  ASSERT_TRUE(object);
  std::set<std::string> programs;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object->obj)
      programs.insert(std::string(bpf_program__name(program)).substr(0, BPF_OBJ_NAME_LEN - 1));
  object.reset();
  EXPECT_GE(programs.size(), 10U);
  // Those that another one stands for on this kernel.
  ASSERT_TRUE(hooks());
  const std::string& way = hooks()->capability;
  if (way != "tracepoint") programs.erase("capable_tracepo");
  if (way != "fexit") programs.erase("capable_fexit");
  if (way != "kprobe") programs.erase("capable_kprobe"), programs.erase("capable_kretpro");
  programs.erase(hooks()->uring_request ? "uring_submit_sq" : "uring_submit_re");

  UniqueFd counting(bpf_enable_stats(BPF_STATS_RUN_TIME));
  ASSERT_TRUE(counting.valid());
  auto recorder = testing::recorder_for(container);
  ASSERT_TRUE(recorder);
  Bundle bundle;
  bundle.capabilities = {"CAP_NET_ADMIN"};
  EXPECT_EQ(container.run(bundle).code, 0);
  auto runs = runs_of_own_programs();
  ASSERT_TRUE(recorder->finish());
  for (const std::string& name : programs) EXPECT_GT(runs[name], 0U) << name;
}

}  // namespace
}  // namespace pare::record
