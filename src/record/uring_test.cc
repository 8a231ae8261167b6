// io_uring: what is done without system calls.
#include <algorithm>
#include <map>

#include "record/testing_facts.h"

namespace pare::record {
namespace {

using testing::Bundle;
using testing::Container;
using testing::expect_file;
using testing::list_files;
using UringTest = testing::KernelTest;
using Operations = std::multimap<std::string, std::string>;

// C: opens a ring with `flags`; submit() hands one operation in, act() waits for its result.
std::string ring(const std::string& flags) {
  return "struct io_uring_params p = {.flags = " + flags + R"c(};
    int ring = syscall(SYS_io_uring_setup, 8, &p);
    char* sq = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    char* cq = p.features & IORING_FEAT_SINGLE_MMAP
        ? sq : mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
    struct io_uring_sqe* sqes =
        mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    void submit(struct io_uring_sqe sqe, int wait) {
      unsigned* tail = (void*)(sq + p.sq_off.tail);
      unsigned at = *tail & (p.sq_entries - 1);
      sqes[at] = sqe;
      ((unsigned*)(sq + p.sq_off.array))[at] = at;
      __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
      syscall(SYS_io_uring_enter, ring, 1, wait,
              (wait ? IORING_ENTER_GETEVENTS : 0) |
              (p.flags & IORING_SETUP_SQPOLL ? IORING_ENTER_SQ_WAKEUP : 0), 0, 0);
    }
    int act(struct io_uring_sqe sqe) {
      unsigned* head = (void*)(cq + p.cq_off.head);
      submit(sqe, 1);
      struct io_uring_cqe* cqes = (void*)(cq + p.cq_off.cqes);
      int result = cqes[*head & (p.cq_entries - 1)].res;
      __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
      return result;
    }
    #define ACT(op, ...) act((struct io_uring_sqe){.opcode = IORING_OP_##op, __VA_ARGS__})
    #define TEXT(text) (unsigned long)(text)
  )c";
}

Operations operations(const evidence::Evidence& evidence) {
  Operations all;
  for (const auto& fact : evidence.io_uring) all.emplace(fact.opcode, fact.object);
  all.erase("CLOSE");
  all.erase("BIND");
  return all;
}

TEST_F(UringTest, WhatIsDoneThroughARingAloneIsSeen) {
  Container container(testing::loopback(true) + ring("0") + R"c(
    struct sockaddr_in out = {AF_INET, htons(4433), {inet_addr("203.0.113.9")}};
    struct open_how { uint64_t flags, mode, resolve; } how = {O_CREAT | O_RDWR, 0600, 0};
    int dir = open("/scratch", O_PATH | O_DIRECTORY);
    int f = ACT(OPENAT, .fd = AT_FDCWD, .addr = TEXT("scratch/by-ring"),
                .open_flags = O_CREAT | O_WRONLY, .len = 0600);
    if (ACT(WRITE, .fd = f, .addr = TEXT("four"), .len = 4) != 4) return 7;
    ACT(OPENAT2, .fd = dir, .addr = TEXT("how"), .off = TEXT(&how), .len = sizeof how);
    ACT(MKDIRAT, .fd = dir, .addr = TEXT("ring-dir"), .len = 0700);
    char status[256];
    ACT(STATX, .fd = dir, .addr = TEXT("by-ring"), .off = TEXT(status), .len = 0x7ff);
    ACT(LINKAT, .fd = dir, .addr = TEXT("by-ring"), .len = dir, .off = TEXT("hard"));
    ACT(SYMLINKAT, .fd = dir, .addr = TEXT("nowhere"), .off = TEXT("soft"));
    ACT(RENAMEAT, .fd = dir, .addr = TEXT("soft"), .len = dir, .off = TEXT("softer"));
    ACT(UNLINKAT, .fd = dir, .addr = TEXT("hard"));
    int s = ACT(SOCKET, .fd = AF_INET, .off = SOCK_RAW, .len = IPPROTO_ICMP);
    if (s >= 0) ACT(CLOSE, .fd = s);
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);  // so that the connect ends at once
    submit((struct io_uring_sqe){.opcode = IORING_OP_CONNECT, .fd = s, .addr = TEXT(&out),
                                 .off = sizeof out}, 0);
    usleep(5000);
    // Linux 6.11 and later.
    struct sockaddr_in own = {AF_INET, htons(8125), {htonl(INADDR_LOOPBACK)}};
    s = socket(AF_INET, SOCK_STREAM, 0);
    act((struct io_uring_sqe){.opcode = 56, .fd = s, .addr = TEXT(&own), .off = sizeof own});
    act((struct io_uring_sqe){.opcode = 57, .fd = s, .len = 5});
    chroot("/scratch/ring-dir");
    submit((struct io_uring_sqe){.opcode = IORING_OP_MKDIRAT, .fd = AT_FDCWD,
                                 .addr = TEXT("/inside"), .len = 0700}, 0);
    usleep(5000);
  )c");
  Bundle bundle;
  bundle.capabilities = {"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_CHROOT"};
  auto evidence = testing::record_run(container, bundle);
  Operations done = operations(evidence);
  if (done.erase("LISTEN") > 0) {
    ASSERT_EQ(evidence.listeners.size(), 1U);
    EXPECT_EQ(evidence.listeners[0].port, 8125);
  }
  EXPECT_EQ(done, (Operations{{"OPENAT", "/scratch/by-ring"},
                              {"WRITE", ""},
                              {"OPENAT2", "/scratch/how"},
                              {"MKDIRAT", "/scratch/ring-dir"},
                              {"STATX", "/scratch/by-ring"},
                              {"LINKAT", "/scratch/hard"},
                              {"SYMLINKAT", "/scratch/soft"},
                              {"RENAMEAT", "/scratch/softer"},
                              {"UNLINKAT", "/scratch/hard"},
                              {"SOCKET", "AF_INET SOCK_RAW protocol 1"},
                              {"CONNECT", "203.0.113.9:4433"},
                              {"MKDIRAT", "/scratch/ring-dir/inside"}}));
  for (const char* call : {"openat2", "write", "mkdir", "mkdirat", "connect", "unlink", "rename"})
    EXPECT_EQ(testing::call_names(evidence).count(call), 0U) << call;
  ASSERT_EQ(evidence.egress.size(), 1U);
  EXPECT_EQ(evidence.egress[0].port, 4433);
  std::map<std::string, std::vector<std::string>> files;
  for (const auto& fact : evidence.files) files[fact.path] = fact.ops;
  for (auto& [path, ops] : files) std::sort(ops.begin(), ops.end());
  using Ops = std::vector<std::string>;
  EXPECT_EQ(files, (std::map<std::string, Ops>{{"/scratch/by-ring", {"create", "write"}},
                                               {"/scratch/how", {"create", "write"}},
                                               {"/scratch/ring-dir", {"mkdir"}},
                                               {"/scratch/ring-dir/inside", {"mkdir"}},
                                               {"/scratch/hard", {"link", "unlink"}},
                                               {"/scratch/soft", {"symlink"}},
                                               {"/scratch/softer", {"rename"}}}))
      << list_files(evidence);
}

// Threads of the kernel's own act for the process: one that reads the ring, and workers.
TEST_F(UringTest, KernelThreadsActForTheProcess) {
  Container container(ring("IORING_SETUP_SQPOLL") + R"c(
    ACT(MKDIRAT, .fd = AT_FDCWD, .addr = TEXT("/scratch/polled"), .len = 0700);
    ACT(OPENAT, .fd = AT_FDCWD, .addr = TEXT("/data/other"), .open_flags = O_WRONLY,
        .flags = IOSQE_ASYNC);
  )c");
  std::ofstream(container.rootfs() + "/data/other") << "x";
  chmod((container.rootfs() + "/data/other").c_str(), 0600);
  EXPECT_EQ(chown((container.rootfs() + "/data/other").c_str(), 7, 7), 0);
  Bundle bundle;
  bundle.capabilities = {"CAP_DAC_OVERRIDE"};
  auto evidence = testing::record_run(container, bundle);
  EXPECT_EQ(operations(evidence),
            (Operations{{"MKDIRAT", "/scratch/polled"}, {"OPENAT", "/data/other"}}));
  expect_file(evidence, "/scratch/polled", "mkdir");
  expect_file(evidence, "/data/other", "write");
  EXPECT_EQ(testing::capability_names(evidence, true).count("DAC_OVERRIDE"), 1U);
}

}  // namespace
}  // namespace pare::record
