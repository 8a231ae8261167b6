// The recorder against strace, on the same run: every call from the entry point's execve on.
#include "record/testing_strace.h"

namespace pare::record {
namespace {

using testing::Bundle;
using testing::StraceTest;

TEST_F(StraceTest, AProgramThatOnlyExits) {
  compare("");
}

TEST_F(StraceTest, BusyboxApplets) {
  compare_shell(
      "exec busybox sh -c 'busybox ls -lR /usr/share/doc | busybox head -n 300 | busybox sort | "
      "busybox md5sum; busybox find /usr/bin -name \"b*\" | busybox wc -l; busybox touch /tmp/x; "
      "busybox rm /tmp/x; busybox sleep 0.01'");
}

TEST_F(StraceTest, APerlAndAShellPipeline) {
  compare_shell(
      "for i in 1 2 3; do perl -e 'print join(\",\", map {$_ * 2} 1..9)' | tr , '+' | cat "
      ">/tmp/out; "
      "done; mkdir -p /tmp/a/b && cp /tmp/out /tmp/a/b/ && tar -cf /tmp/t.tar -C /tmp a && "
      "tar -tf /tmp/t.tar && rm -r /tmp/a && test -x /usr/bin/perl && kill -0 $$");
}

TEST_F(StraceTest, PythonWithThreadsSocketsAndChildren) {
  exact_ = false;
  compare_shell(
      "exec /usr/bin/python3 -c 'import json, os, select, socket, subprocess, tempfile, threading\n"
      "a, b = socket.socketpair()\n"
      "t = [threading.Thread(target=lambda: a.send(b\"x\")) for _ in range(8)]\n"
      "[x.start() for x in t]; [x.join() for x in t]\n"
      "p = select.epoll(); p.register(b, select.EPOLLIN); p.poll(1); b.recv(99)\n"
      "subprocess.run([\"/usr/bin/true\"])\n"
      "with tempfile.NamedTemporaryFile() as f: f.write(json.dumps([1]).encode()); f.flush(); "
      "os.fsync(f.fileno())\n"
      "if os.fork() == 0: os._exit(0)\n"
      "os.wait()'");
}

TEST_F(StraceTest, SixtyFourThreads) {
  exact_ = false;
  compare(R"c(
    char* stacks = mmap(0, 64 * 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 64; i++)
      clone(thread, stacks + (i + 1) * 65536,
            CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, 0);
    while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < 64) sched_yield();
  )c");
}

// 5,000 where runs are repeated: strace spends milliseconds on each.
TEST_F(StraceTest, ManyShortLivedChildren) {
  const char* children = std::getenv("PARE_STRACE_RUNS") != nullptr ? "5000" : "500";
  compare(std::string("const int children = ") + children + R"(;
    for (int i = 0; i < children; i++) {
      if (fork() == 0) { getppid(); _exit(0); }
      if (i % 32 == 0) while (waitpid(-1, 0, WNOHANG) > 0) {}
    }
    while (wait(0) > 0) {}
  )");
}

TEST_F(StraceTest, SignalsInterruptedCallsAndVfork) {
  compare(R"c(
    struct sigaction interrupts = {.sa_handler = on_signal};
    sigaction(SIGALRM, &interrupts, 0);
    struct timespec nap = {0, 30000000};
    ualarm(10000, 0);
    nanosleep(&nap, &nap);
    ualarm(10000, 0);
    int pipes[2];
    pipe(pipes);
    char c;
    read(pipes[0], &c, 1);
    char* child[] = {"true", 0};
    if (vfork() == 0) { execv("/usr/bin/true", child); _exit(1); }
    wait(0);
    signal(SIGUSR2, on_signal);
    raise(SIGUSR2);
  )c");
}

TEST_F(StraceTest, CallsThatAFilterRefuses) {
  Bundle bundle;
  bundle.seccomp = {
      {"defaultAction", "SCMP_ACT_ALLOW"},
      {"architectures", {"SCMP_ARCH_X86_64"}},
      {"syscalls", {{{"names", {"getppid", "mkdir"}}, {"action", "SCMP_ACT_ERRNO"}}}}};
  Options options;
  options.seccomp_refusals = true;
  compare(
      "for (int i = 0; i < 9; i++) { getppid(); if (fork() == 0) { mkdir(\"/tmp/x\", 0700); "
      "_exit(0); } wait(0); }",
      bundle, options);
}

}  // namespace
}  // namespace pare::record
