#include "prove/arguments.h"

#include <array>
#include <cstdint>

namespace pare::prove {

namespace {

struct Row {
  const char* syscall;
  unsigned index;
  uint64_t mask;
  bool all_clear;  // narrowed only while none of the bits was ever set
};

// CLONE_NEW*: time, mount, cgroup, uts, ipc, user, pid, net (linux/sched.h).
constexpr uint64_t kNewNamespaces = 0x7E020080;
constexpr std::array<Row, 3> kRows = {{
    {"socket", 0, 0xffffffff, false},       // the family
    {"personality", 0, 0xffffffff, false},  // ADDR_NO_RANDOMIZE and the like
    {"clone", 0, kNewNamespaces, true},
}};

uint64_t times_made(const evidence::Evidence& evidence, const std::string& name) {
  uint64_t count = 0;
  for (const evidence::SyscallFact& fact : evidence.syscalls) {
    if (fact.name == name) count += fact.count;
  }
  return count;
}

// False where a call was made whose arguments are not known.
bool collect(const Row& row, const evidence::Evidence& evidence, std::set<uint64_t>& values) {
  uint64_t known = 0;
  for (const evidence::ArgumentFact& fact : evidence.arguments) {
    if (fact.syscall != row.syscall || row.index >= fact.values.size()) continue;
    known += fact.count;
    values.insert(fact.values[row.index] & row.mask);
  }
  return known >= times_made(evidence, row.syscall);
}

}  // namespace

std::vector<privilege::SeccompArgument> seen_arguments(
    const std::vector<evidence::Evidence>& baselines, const std::set<std::string>& wide) {
  std::vector<privilege::SeccompArgument> arguments;
  for (const Row& row : kRows) {
    std::set<uint64_t> values;
    bool whole = wide.count(row.syscall) == 0;
    for (const evidence::Evidence& evidence : baselines) {
      whole = whole && !evidence.loss.any() && collect(row, evidence, values);
    }
    if (!whole || values.empty()) continue;
    if (row.all_clear && values != std::set<uint64_t>{0}) continue;
    arguments.push_back({row.syscall, row.index, row.mask, {values.begin(), values.end()}});
  }
  return arguments;
}

}  // namespace pare::prove
