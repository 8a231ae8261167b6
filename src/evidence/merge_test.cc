// merge() is a join: order, grouping and repetition of its inputs do not matter.
#include "evidence/merge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/json.h"

namespace pare::evidence {
namespace {

using base::Json;

// Random evidence from few words, so that facts of different replicas often meet.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}

  Evidence evidence() {
    Evidence e;
    e.coverage = flip() ? Coverage::kEntry : Coverage::kAttached;
    e.capability_hook = flip() ? "tracepoint" : "kprobe";
    e.ready = flip() ? "" : "2026-01-0" + std::to_string(1 + number(9)) + "T00:00:00Z";
    fill(e.syscalls, [&] {
      SyscallFact f{word(), number(5), number(2), phase(), flip(), flip() ? "" : "i386", {}, {}};
      fill(f.exes, [&] { return ExeCalls{word(), number(9)}; });
      return f;
    });
    fill(e.arguments, [&] {
      return ArgumentFact{word(), {number(3)}, word(), error(), number(5), phase(), {}};
    });
    fill(e.capabilities, [&] {
      CapabilityFact f{word(), number(5), number(3), flip(), phase(), flip(), {}, {}};
      fill(f.uses, [&] {
        return CapabilityUse{"", word(), word(), word(), uid(), flip(), owner(), owner(), {}};
      });
      return f;
    });
    fill(e.files, [&] {
      FileFact f;
      f.path = word();
      fill(f.ops, [&] { return word(); });
      f.error = error();
      f.exe = word();
      f.phase = phase();
      f.owner = owner();
      f.count = number(7);
      return f;
    });
    fill(e.listeners, [&] {
      ListenerFact f{static_cast<uint16_t>(number(3)), "tcp", word(), word(), "unknown", {}, {}};
      fill(f.endpoints, [&] { return EndpointFact{word(), "GET", 200, word()}; });
      return f;
    });
    fill(e.egress, [&] {
      return EgressFact{"", word(), 443, "tcp", word(), number(9), word(), phase(), owner(), {}};
    });
    fill(e.dns, [&] { return DnsFact{word(), "A", number(5), {}}; });
    fill(e.io_uring, [&] { return IoUringFact{word(), word(), number(5), {}}; });
    fill(e.execs, [&] { return ExecFact{word(), number(5), error(), {}}; });
    fill(e.runtime_syscalls, [&] { return word(); });
    fill(e.areas, [&] { return AreaFact{word(), number(99)}; });
    e.peaks = {number(9), number(9), number(9), number(9)};
    e.log.bytes_per_second = static_cast<double>(number(9));
    fill(e.log.repeated, [&] { return LogFact::Line{word(), number(9)}; });
    e.loss.events = number(2);
    fill(e.loss.maps, [&] { return word(); });
    return e;
  }

  uint64_t number(uint64_t below) { return engine_() % below; }

 private:
  bool flip() { return number(2) == 0; }
  std::string word() { return std::string(1, static_cast<char>('a' + number(3))); }
  Phase phase() { return flip() ? Phase::kPull : Phase::kServe; }
  uint32_t uid() { return static_cast<uint32_t>(number(2)); }
  std::optional<std::string> error() {
    return flip() ? std::nullopt : std::optional<std::string>("EPERM");
  }
  std::optional<uint32_t> owner() { return flip() ? std::nullopt : std::optional(uid()); }
  template <typename T, typename F>
  void fill(std::vector<T>& into, F&& one) {
    for (uint64_t n = number(5); n > 0; --n) into.push_back(one());
  }

  std::mt19937 engine_;
};

std::string text(const Evidence& e) {
  return to_json(e).dump();
}

TEST(Merge, OrderGroupingAndRepetitionDoNotMatter) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    Random random(seed);
    std::vector<Evidence> inputs;
    for (uint64_t n = 1 + random.number(4); n > 0; --n) inputs.push_back(random.evidence());
    const Evidence all = merge(inputs);
    const std::string expected = text(all);
    std::vector<Evidence> reversed(inputs.rbegin(), inputs.rend());
    ASSERT_EQ(text(merge(reversed)), expected) << "commutative, seed " << seed;
    Evidence folded = inputs[0];
    for (size_t i = 1; i < inputs.size(); ++i) folded = merge({folded, inputs[i]});
    ASSERT_EQ(text(merge({folded})), expected) << "associative, seed " << seed;
    Evidence other = inputs.back();
    for (size_t i = inputs.size() - 1; i-- > 0;) other = merge({inputs[i], other});
    ASSERT_EQ(text(merge({other})), expected) << "associative, seed " << seed;
    ASSERT_EQ(text(merge({all})), expected) << "idempotent, seed " << seed;
    ASSERT_EQ(text(merge({all, all, inputs[0]})), expected) << "idempotent, seed " << seed;
    auto back = evidence_from_json(to_json(all), "merged");
    ASSERT_TRUE(back) << back.error().message;
    ASSERT_EQ(text(merge({*back, inputs[0]})), expected) << "through a file, seed " << seed;
  }
}

TEST(Merge, NothingIsLostAndEachFactSaysWhoShowedIt) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    Random random(1000 + seed);
    const std::vector<Evidence> inputs = {random.evidence(), random.evidence(), random.evidence()};
    const Evidence all = merge(inputs);
    ASSERT_EQ(all.replicas.size(), 3U);
    for (const Evidence& input : inputs) {
      const auto place = static_cast<uint32_t>(
          std::find(all.replicas.begin(), all.replicas.end(), replica_id(input)) -
          all.replicas.begin());
      ASSERT_LT(place, 3U);
      for (const FileFact& file : input.files) {
        auto found = std::find_if(all.files.begin(), all.files.end(), [&](const FileFact& f) {
          return f.path == file.path && f.error == file.error && f.exe == file.exe &&
                 f.uid == file.uid && f.phase == file.phase && f.owner == file.owner;
        });
        ASSERT_NE(found, all.files.end());
        EXPECT_EQ(std::count(found->replicas.begin(), found->replicas.end(), place), 1);
        EXPECT_GE(found->count, file.count);
        for (const std::string& op : file.ops)
          EXPECT_EQ(std::count(found->ops.begin(), found->ops.end(), op), 1);
      }
      for (const SyscallFact& call : input.syscalls) {
        auto found = std::find_if(all.syscalls.begin(), all.syscalls.end(), [&](const auto& f) {
          return f.name == call.name && f.abi == call.abi;
        });
        ASSERT_NE(found, all.syscalls.end());
        EXPECT_EQ(std::count(found->replicas.begin(), found->replicas.end(), place), 1);
      }
    }
    for (const FileFact& file : all.files) EXPECT_LE(file.replicas.size(), 3U);
  }
}

TEST(Merge, TheWeakestCoverageAndEveryLossStay) {
  Evidence whole, attached, lossy;
  attached.coverage = Coverage::kAttached;
  lossy.loss = {3, {"ring"}};
  EXPECT_EQ(merge({whole, whole}).coverage, Coverage::kEntry);
  EXPECT_EQ(merge({whole, attached}).coverage, Coverage::kAttached);
  EXPECT_TRUE(merge({lossy, whole}).loss.any());
  EXPECT_EQ(merge({whole, whole}).replicas.size(), 1U) << "one and the same run";
  EXPECT_EQ(merge({whole, attached, lossy}).replicas.size(), 3U);
}

}  // namespace
}  // namespace pare::evidence
