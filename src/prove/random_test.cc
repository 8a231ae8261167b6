// Thousands of random servers, each a truth table over privileges: the proof is minimal and keeps
// the less dangerous, within a bounded number of trials, or it says unproven. Never wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <random>
#include <set>

#include "prove/fake_runner.h"

namespace pare::prove {
namespace {

using privilege::Axis;
using privilege::Privilege;
using Set = std::set<Privilege>;

const Privilege kRoot{Axis::kUser, "root"};
const Privilege kRootfs{Axis::kRootfs, "write"};
const Privilege kEscalation{Axis::kEscalation, "new-privileges"};

constexpr std::array<uint32_t, 3> kGroups = {44, 2000, 3000};

// A privilege that must not be held unless another is.
struct Poison {
  Privilege held, unless;
};

// Passes when each clause has an alternative of which every privilege is there.
struct Table {
  std::vector<std::vector<std::vector<Privilege>>> clauses;
  std::vector<Poison> poisons;
  double flaky = 0;
  bool ambient = false;

  Set mentioned() const {
    Set set;
    for (const auto& clause : clauses) {
      for (const auto& alternative : clause) set.insert(alternative.begin(), alternative.end());
    }
    for (const Poison& poison : poisons) set.insert({poison.held, poison.unless});
    return set;
  }

  bool overrides(const Set& granted) const {
    return has(granted, {Axis::kCapability, "DAC_OVERRIDE"});
  }

  bool has(const Set& granted, const Privilege& p) const {
    if (p.axis == Axis::kWrite && granted.count(kRootfs) > 0) return true;
    // A file of root's that the group may read.
    bool root_reads = p.axis == Axis::kGroup && (granted.count(kRoot) > 0 || overrides(granted));
    if (root_reads) return true;
    bool reaches = p.axis != Axis::kCapability || ambient || granted.count(kRoot) > 0;
    return reaches && granted.count(p) > 0;
  }

  bool passes(const Set& granted) const {
    for (const Poison& poison : poisons) {
      if (has(granted, poison.held) && !has(granted, poison.unless)) return false;
    }
    return std::all_of(clauses.begin(), clauses.end(), [&](const auto& clause) {
      return std::any_of(clause.begin(), clause.end(), [&](const auto& alternative) {
        return std::all_of(alternative.begin(), alternative.end(),
                           [&](const Privilege& p) { return has(granted, p); });
      });
    });
  }
};

// Exercises one privilege, and says whether it was there.
bool act(World& world, const Privilege& p) {
  switch (p.axis) {
    case Axis::kUser:
      return world.uid() == 0;
    case Axis::kGroup:
      return world.read_as_member("/models/" + p.value, static_cast<uint32_t>(std::stoul(p.value)));
    case Axis::kEscalation:
      return !world.policy().no_new_privileges;
    case Axis::kCapability:
      return world.use(p.value, "act");
    case Axis::kEgress:
      return world.connect("backend.test");
    case Axis::kVolumeWrite:
    case Axis::kWrite:
      return world.write(p.value + "/x", world.uid());
    case Axis::kSyscall:
      return world.call(p.value);
    default:
      return false;
  }
}

Server server_of(const Table& table, std::mt19937& random) {
  return [&table, &random](World& world) -> std::string {
    world.ready();
    auto poisoned = [&](const Poison& p) {
      return world.holds(p.held.value) && !world.holds(p.unless.value);
    };
    if (std::any_of(table.poisons.begin(), table.poisons.end(), poisoned)) return "poisoned";
    for (const auto& clause : table.clauses) {
      bool fine = std::any_of(clause.begin(), clause.end(), [&](const auto& alternative) {
        return std::all_of(alternative.begin(), alternative.end(),
                           [&](const Privilege& p) { return act(world, p); });
      });
      if (!fine) return "HTTP 500";
    }
    bool unlucky = std::uniform_real_distribution<>(0, 1)(random) < table.flaky;
    return unlucky ? "HTTP 502" : "";
  };
}

struct Shape {
  bool recording = true;
  bool poisons = false;
  double flaky = 0;
};

class Generator {
 public:
  Generator(unsigned seed, const Shape& shape) : random_(seed), shape_(shape) {}

  Table table() {
    Table table;
    table.ambient = chance(0.3);
    table.flaky = shape_.flaky;
    int clauses = number(0, 3);
    for (int i = 0; i < clauses; ++i) {
      std::vector<std::vector<Privilege>> clause;
      int alternatives = chance(0.35) ? 2 : 1;
      for (int j = 0; j < alternatives; ++j) {
        std::vector<Privilege> alternative;
        int size = chance(0.3) ? 2 : 1;
        alternative.reserve(2);
        for (int k = 0; k < size; ++k) alternative.push_back(privilege(alternatives == 1));
        clause.push_back(alternative);
      }
      table.clauses.push_back(clause);
    }
    if (shape_.poisons) table.poisons.push_back({capability(), capability()});
    return table;
  }

  std::mt19937& random() { return random_; }

 private:
  bool chance(double p) { return std::uniform_real_distribution<>(0, 1)(random_) < p; }
  int number(int low, int high) { return std::uniform_int_distribution<>(low, high)(random_); }

  Privilege capability() {
    static const std::vector<std::string> kNames =
        privilege::find_platform("kubernetes")->default_capabilities.names();
    return {Axis::kCapability, kNames[static_cast<size_t>(number(0, 13))]};
  }

  // What leaves no trace cannot be found as a mere alternative by its refusals; it is one without a
  // recorder, where nothing else is known either.
  Privilege privilege(bool alone) {
    int pick = number(0, 10);
    if (pick == 0) return {Axis::kEgress, "any"};
    if (pick == 1) return {Axis::kVolumeWrite, "/data"};
    if (pick == 2) return {Axis::kWrite, "/tmp"};
    if (pick == 3) return {Axis::kWrite, "/run"};
    if (pick == 4 && (alone || !shape_.recording)) return kRoot;
    if (pick == 5 && (alone || !shape_.recording)) return kEscalation;
    if (pick == 6 && shape_.recording) return {Axis::kSyscall, "ptrace"};
    if (pick == 7) return group_privilege(kGroups[static_cast<size_t>(number(0, 2))]);
    return capability();
  }

  std::mt19937 random_;
  Shape shape_;
};

Question question_of(const Table& table, const Shape& shape) {
  Question question = default_question();
  question.platform.ambient_capabilities = table.ambient;
  question.asked.volumes = {{"/data", true}};
  question.asked.user.groups = {kGroups.begin(), kGroups.end()};
  question.options.recording = shape.recording;
  return question;
}

// What the proof's policy grants, as a set of privileges.
Set granted_by(const verdict::Proof& proof) {
  const privilege::Policy& policy = proof.policy;
  Set set;
  if (policy.user.uid == 0) set.insert(kRoot);
  for (uint32_t gid : policy.user.groups) set.insert(group_privilege(gid));
  if (!policy.no_new_privileges) set.insert(kEscalation);
  for (const std::string& name : policy.capabilities.names()) {
    set.insert({Axis::kCapability, name});
  }
  if (policy.rootfs_writable) set.insert(kRootfs);
  for (const auto& w : policy.writable) set.insert({Axis::kWrite, w.path});
  for (const auto& v : policy.volumes) {
    if (v.writable) set.insert({Axis::kVolumeWrite, v.path});
  }
  if (policy.egress_any) set.insert({Axis::kEgress, "any"});
  const char* kPtrace = "ptrace";
  if (policy.seccomp) {
    const auto& calls = policy.seccomp->syscalls;
    if (std::find(calls.begin(), calls.end(), kPtrace) != calls.end()) {
      set.insert({Axis::kSyscall, kPtrace});
    }
  } else {
    set.insert({Axis::kSyscall, kPtrace});
  }
  return set;
}

// The most dangerous goes first: for a monotone table this is the one preferred minimal set.
Set preferred(const Table& table) {
  Set set = table.mentioned();
  set.insert(kRoot);
  std::vector<Privilege> order(set.begin(), set.end());
  std::stable_sort(order.begin(), order.end(), [](const Privilege& a, const Privilege& b) {
    return danger(a) != danger(b) ? danger(a) > danger(b) : b < a;
  });
  for (const Privilege& p : order) {
    set.erase(p);
    if (!table.passes(set)) set.insert(p);
  }
  return set;
}

// Most dangerous first; of equals either may stay.
std::vector<int> dangers(const Set& set) {
  std::vector<int> list;
  for (const Privilege& p : set) list.push_back(danger(p));
  std::sort(list.rbegin(), list.rend());
  return list;
}

std::string text(const Set& set) {
  std::string text;
  for (const Privilege& p : set) text += " " + to_string(p);
  return text;
}

// "(NET_RAW & user/root | ...) ..."
std::string text(const Table& table) {
  std::string text = table.ambient ? "ambient" : "no ambient";
  for (const auto& clause : table.clauses) {
    text += " (";
    for (const auto& alternative : clause) {
      for (const Privilege& p : alternative) text += to_string(p) + " ";
      text += "| ";
    }
    text += ")";
  }
  for (const Poison& p : table.poisons) {
    text += " poison " + to_string(p.held) + " unless " + to_string(p.unless);
  }
  return text;
}

struct Proved {
  Table table;
  verdict::Proof proof;
  bool proved = false;
  size_t trials = 0;
};

Proved run(unsigned seed, const Shape& shape) {
  Generator generator(seed, shape);
  Proved run;
  run.table = generator.table();
  Question question = question_of(run.table, shape);
  FakeRunner runner(question, server_of(run.table, generator.random()));
  auto proof = prove(question, runner);
  run.proved = proof.has_value();
  if (proof) run.proof = *proof;
  run.trials = runner.requests().size();
  return run;
}

// Privileges that the proof calls needed although a policy without them passes, or the reverse.
std::string wrong(const Proved& run) {
  Set granted = granted_by(run.proof);
  std::string text;
  for (const verdict::Verdict& v : run.proof.verdicts) {
    bool searched = v.privilege.axis != Axis::kPort && v.privilege.axis != Axis::kPids &&
                    v.privilege.value != "any" && v.phase == evidence::Phase::kServe;
    searched |= v.privilege.axis == Axis::kEgress;
    if (!searched) continue;
    Set less = granted;
    less.erase(v.privilege);
    bool needed = v.kind == verdict::Kind::kNeeded;
    bool away = v.kind == verdict::Kind::kUnneeded || v.kind == verdict::Kind::kFixable;
    if (needed && run.table.passes(less)) text += " needed:" + to_string(v.privilege);
    if (away && !run.table.passes(less)) text += " away:" + to_string(v.privilege);
  }
  if (run.proof.confirmed && !run.table.passes(granted)) text += " confirmed";
  return text;
}

bool one_minimal(const Table& table, const Set& granted) {
  return std::none_of(granted.begin(), granted.end(), [&](const Privilege& p) {
    Set less = granted;
    less.erase(p);
    return table.passes(less);
  });
}

// Trials of the algorithm for k needed of n asked: baselines, confirmations, repeated failures, and
// a bisection for each needed one and each alternative that it has.
double bound(const Proved& run, const Shape& shape) {
  double k = static_cast<double>(granted_by(run.proof).size());
  double n = static_cast<double>(run.proof.verdicts.size());
  double repeats = shape.recording ? 3 : 4;
  return 2 + 3 + 4 + repeats * k + 2 * (k + 1) * std::log2(n);
}

void expect_minimal(const Shape& shape, unsigned first, unsigned count, bool by_preference) {
  double worst = 0;
  size_t most = 0;
  for (unsigned seed = first; seed < first + count; ++seed) {
    Proved r = run(seed, shape);
    ASSERT_TRUE(r.proved) << "seed " << seed;
    Set granted = granted_by(r.proof);
    if (!shape.recording) granted.erase({Axis::kSyscall, "ptrace"});
    EXPECT_TRUE(r.proof.confirmed) << "seed " << seed << ": " << text(r.table);
    EXPECT_TRUE(r.table.passes(granted)) << "seed " << seed << ": " << text(r.table);
    EXPECT_TRUE(one_minimal(r.table, granted))
        << "seed " << seed << ": " << text(r.table) << " gave" << text(granted);
    EXPECT_EQ(wrong(r), "") << "seed " << seed << ": " << text(r.table);
    if (by_preference) {
      EXPECT_EQ(dangers(granted), dangers(preferred(r.table)))
          << "seed " << seed << ": " << text(r.table) << " gave" << text(granted);
    }
    worst = std::max(worst, static_cast<double>(r.trials) / bound(r, shape));
    most = std::max(most, r.trials);
  }
  std::printf("%u servers: at most %zu trials, %.2f of the bound\n", count, most, worst);
  EXPECT_LE(worst, 1.0);
}

TEST(RandomServers, MinimalAndPreferredWithARecorder) {
  expect_minimal({}, 1, 2000, true);
}

TEST(RandomServers, MinimalAndPreferredByAblationAlone) {
  expect_minimal({false, false, 0}, 10'000, 1000, true);
}

TEST(RandomServers, NotMonotone) {
  expect_minimal({true, true, 0}, 20'000, 500, false);
  expect_minimal({false, true, 0}, 21'000, 300, false);
}

TEST(RandomServers, FlakyIsRightOrUnproven) {
  int proved = 0, unproven = 0, failed = 0;
  for (unsigned seed = 30'000; seed < 30'600; ++seed) {
    Shape shape{seed % 2 == 0, false, 0.05 + 0.3 * (seed % 7) / 7.0};
    Proved r = run(seed, shape);
    if (!r.proved) {
      ++failed;
      continue;
    }
    (r.proof.minimal ? proved : unproven)++;
    EXPECT_EQ(wrong(r), "") << "seed " << seed << ": " << text(r.table);
    EXPECT_LE(r.trials, 150U);
  }
  std::printf("flaky: %d proved, %d not minimal, %d baselines failed\n", proved, unproven, failed);
}

}  // namespace
}  // namespace pare::prove
