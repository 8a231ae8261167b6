// Linux capabilities (capabilities(7), include/uapi/linux/capability.h).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pare::privilege {

constexpr int kCapabilityCount = 41;  // CAP_CHECKPOINT_RESTORE is 40 (Linux 5.9)

struct CapabilityRow {
  int number;
  std::string_view name;  // without CAP_
  int danger;             // 0..100: what goes first when either of two would do
  std::string_view gain;  // what it gives an attacker inside the container, one clause
  std::string_view fix;   // how its need is usually removed; empty when no general way is known
};

// All 41, by number.
const CapabilityRow& capability_row(int number);
// "NET_RAW", "CAP_NET_RAW", any case. nullopt when unknown.
std::optional<int> capability_number(std::string_view name);

// A set of capabilities; ordered and printed by number.
class CapabilitySet {
 public:
  CapabilitySet() = default;
  CapabilitySet(std::initializer_list<std::string_view> names);
  static CapabilitySet from_mask(uint64_t mask) { return CapabilitySet(mask); }
  static CapabilitySet all() { return CapabilitySet((uint64_t{1} << kCapabilityCount) - 1); }
  // Names as users write them, "ALL" included.
  static Result<CapabilitySet> parse(const std::vector<std::string>& names);

  bool has(int number) const { return (mask_ >> number & 1) != 0; }
  void add(int number) { mask_ |= uint64_t{1} << number; }
  void remove(int number) { mask_ &= ~(uint64_t{1} << number); }
  bool empty() const { return mask_ == 0; }
  uint64_t mask() const { return mask_; }
  std::vector<std::string> names() const;  // without CAP_, by number
  CapabilitySet operator|(CapabilitySet o) const { return CapabilitySet(mask_ | o.mask_); }
  CapabilitySet operator-(CapabilitySet o) const { return CapabilitySet(mask_ & ~o.mask_); }
  bool operator==(const CapabilitySet&) const = default;

 private:
  explicit CapabilitySet(uint64_t mask) : mask_(mask) {}
  uint64_t mask_ = 0;
};

}  // namespace pare::privilege
