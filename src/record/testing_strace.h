// For tests: the recorder against strace, on the same run.
#pragma once

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include "base/text.h"
#include "record/recorder.h"
#include "record/testing_facts.h"

namespace pare::record::testing {

using Calls = std::map<std::string, uint64_t>;

// One line of `strace -f --decode-pids=pidns -o`: "PID  call(...) = 20 /* 6130 in strace's PID NS
// */".
struct Line {
  std::string pid, rest;
};

inline std::vector<Line> read_trace(const std::string& file) {
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
inline std::string made_by(const std::string& rest) {
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
inline Calls calls_in_strace(const std::string& file) {
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

class StraceTest : public KernelTest {
 protected:
  // Runs `body` (with a /usr at hand) under both, and compares; as often as PARE_STRACE_RUNS says.
  void compare(const std::string& body, const Bundle& with = {}, const Options& options = {}) {
    const char* times = std::getenv("PARE_STRACE_RUNS");
    for (int left = times != nullptr ? std::atoi(times) : 1; left > 0 && !HasFailure(); --left)
      compare_once(body, with, options);
  }
  // Runs `command` by the container's shell.
  void compare_shell(const std::string& command, const Bundle& with = {}) {
    compare("execl(\"/usr/bin/sh\", \"sh\", \"-c\", " + quoted(command) + ", (char*)0);\nreturn 9;",
            with);
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

 private:
  void compare_once(const std::string& body, const Bundle& with, const Options& options) {
    Container container(body);
    Bundle bundle = with;
    for (const char* dir : {"bin", "sbin", "lib", "lib64"})
      std::filesystem::create_symlink(std::string("usr/") + dir, container.rootfs() + "/" + dir);
    bundle.mounts.push_back({{"destination", "/usr"},
                             {"type", "bind"},
                             {"source", usr_},
                             {"options", {"rbind", "ro"}}});
    auto recorder = recorder_for(container, options);
    ASSERT_TRUE(recorder);
    const std::string trace = container.path("trace");
    auto done = container.run(bundle, {"strace", "-f", "--decode-pids=pidns", "-o", trace});
    EXPECT_EQ(done.code, 0) << done.out << done.err;
    auto evidence = recorder->finish();
    ASSERT_TRUE(evidence);
    EXPECT_EQ(evidence->coverage, evidence::Coverage::kEntry);
    EXPECT_EQ(evidence->loss.events, 0U) << ::testing::PrintToString(evidence->loss.maps);
    Calls seen;
    for (const auto& fact : evidence->syscalls) seen[fact.name] = fact.count + fact.refused;
    const Calls traced = calls_in_strace(trace);
    EXPECT_GT(traced.size(), 1U);
    EXPECT_EQ(names(seen), names(traced));
    if (exact_) {
      EXPECT_EQ(seen, traced);
    }
    uint64_t all = 0;
    for (const auto& [name, count] : traced) all += count;
    printf("%zu calls by name, %llu in all\n", traced.size(), static_cast<unsigned long long>(all));
  }

 protected:
  // Counts too; not where a thread may be killed between strace's stop and the call itself.
  bool exact_ = true;
  std::string usr_ = "/usr";  // what the container has there
};

}  // namespace pare::record::testing
