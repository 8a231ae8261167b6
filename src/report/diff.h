// What changed from one proof to the next: drift.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "verdict/verdict.h"

namespace pare::report {

enum class Direction { kLooser, kTighter, kOther };
std::string_view to_string(Direction direction);

struct Change {
  Direction direction = Direction::kOther;
  std::string what;           // "capability/NET_RAW", "target image", "system calls"
  std::string before, after;  // as a person would say it; empty: it was not there
  std::string because;        // of the newer verdict, where there is one
};

struct Diff {
  std::vector<Change> changes;  // looser first, then tighter, then other
  bool looser() const;          // the newer proof grants something that the older did not
};

Diff compare(const verdict::Proof& older, const verdict::Proof& newer);

// "+ capability/NET_RAW: not granted -> granted (check infer failed: HTTP 500)"; + looser,
// - tighter, ~ other. One sentence when nothing changed.
std::string diff_text(const Diff& diff, bool colour);
// {"schema": "pare.diff/v1", "looser": bool, "changes": [...]}.
nlohmann::json to_json(const Diff& diff);

}  // namespace pare::report
