// What a failing run's own refusals say should be given back.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "evidence/evidence.h"
#include "prove/universe.h"

namespace pare::prove {

struct Hints {
  // Withheld, exercised by the baseline, refused here; and what stands in for a privilege (a tmpfs,
  // the port sysctl).
  std::set<Privilege> likely;
  // Withheld and refused here, although the baseline never exercised it or another uid may do: a
  // uid that is not root sees many such refusals.
  std::set<Privilege> possible;
  // Who owns what was refused, or is in its group; most refusals first.
  std::vector<privilege::User> users;
  std::set<std::string> copy_up;  // tmpfs paths in which something was missing
  std::set<std::string> exec;     // tmpfs paths in which something could not be executed
  std::set<std::string> calls;    // refused by the filter, not risky ones
  bool home = false;              // a home directory could not be written
  bool rootfs = false;            // a write that no tmpfs can serve

  bool empty() const;
  bool touches(const Privilege& privilege) const {
    return likely.count(privilege) > 0 || possible.count(privilege) > 0;
  }
};

// `failing`: of a run under universe.policy(choice). New writable paths and risky calls are added
// to the universe.
Hints read_refusals(Universe& universe, const Choice& choice, const evidence::Evidence& failing);

}  // namespace pare::prove
