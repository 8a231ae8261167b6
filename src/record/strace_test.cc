// The recorder against strace, on the same run: every call from the entry point's execve on.
#include <fstream>
#include <map>
#include <set>

#include "base/text.h"
#include "record/recorder.h"
#include "record/testing_facts.h"

namespace pare::record {
namespace {

using testing::Bundle;
using testing::Container;
using ::testing::PrintToString;
using Calls = std::map<std::string, uint64_t>;

// One line of `strace -f --decode-pids=pidns -o`: "PID  call(...) = 20 /* 6130 in strace's PID NS
// */".
struct Line {
  std::string pid, rest;
};

std::vector<Line> read_trace(const std::string& file) {
  std::vector<Line> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const size_t blank = line.find(' ');
    const size_t rest = line.find_first_not_of(' ', blank);
    if (rest != std::string::npos) lines.push_back({line.substr(0, blank), line.substr(rest)});
  }
  return lines;
}

// The process or thread that this line says was made; empty: none.
std::string made_by(const std::string& rest) {
  static const std::string kForeign = " in strace's PID NS */";
  for (const char* call : {"clone(", "clone3(", "fork(", "vfork(", "<... clone resumed>",
                           "<... clone3 resumed>", "<... fork resumed>", "<... vfork resumed>"}) {
    if (!base::starts_with(rest, call) || !base::ends_with(rest, kForeign)) continue;
    const std::string head = rest.substr(0, rest.size() - kForeign.size());
    return head.substr(head.rfind(' ') + 1);
  }
  return "";
}

// What the tree of the process that executed /program called, from that execve on.
Calls calls_in_strace(const std::string& file) {
  const std::vector<Line> lines = read_trace(file);
  std::set<std::string> tree;
  size_t first = lines.size();
  for (size_t i = 0; i < lines.size(); ++i) {
    if (first == lines.size() && base::starts_with(lines[i].rest, "execve(\"/program\"")) {
      first = i;
      tree.insert(lines[i].pid);
    }
    if (tree.count(lines[i].pid) > 0) tree.insert(made_by(lines[i].rest));
  }
  Calls calls;
  for (size_t i = first; i < lines.size(); ++i) {
    const size_t name = lines[i].rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_");
    if (tree.count(lines[i].pid) > 0 && name > 0 && lines[i].rest[name] == '(')
      ++calls[lines[i].rest.substr(0, name)];
  }
  return calls;
}

class StraceTest : public testing::KernelTest {
 protected:
  // Runs `body` (with the host's /usr at hand) under both, and compares.
  void compare(const std::string& body, const Bundle& with = {}, const Options& options = {}) {
    Container container(body);
    Bundle bundle = with;
    for (const char* dir : {"bin", "sbin", "lib", "lib64"})
      std::filesystem::create_symlink(std::string("usr/") + dir, container.rootfs() + "/" + dir);
    bundle.mounts.push_back({{"destination", "/usr"},
                             {"type", "bind"},
                             {"source", "/usr"},
                             {"options", {"rbind", "ro"}}});
    auto recorder = testing::recorder_for(container, options);
    ASSERT_TRUE(recorder);
    const std::string trace = container.path("trace");
    auto done = container.run(bundle, {"strace", "-f", "--decode-pids=pidns", "-o", trace});
    EXPECT_EQ(done.code, 0) << done.out << done.err;
    auto evidence = recorder->finish();
    ASSERT_TRUE(evidence);
    EXPECT_EQ(evidence->coverage, evidence::Coverage::kEntry);
    EXPECT_EQ(evidence->loss.events, 0U) << PrintToString(evidence->loss.maps);
    Calls seen;
    for (const auto& fact : evidence->syscalls) seen[fact.name] = fact.count + fact.refused;
    const Calls traced = calls_in_strace(trace);
    EXPECT_GT(traced.size(), 1U);
    EXPECT_EQ(names(seen), names(traced));
    if (exact_) {
      EXPECT_EQ(seen, traced);
    }
  }
  // Runs `command` by the container's shell.
  void compare_shell(const std::string& command) {
    compare("execl(\"/usr/bin/sh\", \"sh\", \"-c\", " + quoted(command) +
            ", (char*)0);\nreturn 9;");
  }

  static std::set<std::string> names(const Calls& calls) {
    std::set<std::string> set;
    for (const auto& [name, count] : calls) set.insert(name);
    return set;
  }
  static std::string quoted(const std::string& text) {
    std::string c = "\"";
    for (char ch : text) {
      if (ch == '"' || ch == '\\') c += '\\';
      if (ch == '\n')
        c += "\\n";
      else
        c += ch;
    }
    return c + "\"";
  }

  // Counts too; not where a thread may be killed between strace's stop and the call itself.
  bool exact_ = true;
};

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

TEST_F(StraceTest, ThreeHundredShortLivedChildren) {
  compare(R"(
    for (int i = 0; i < 300; i++) {
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
