// Phoning home, told from its rhythm: what repeats without being asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pare::confine {

enum class Rhythm {
  kPeriodic,   // at one interval
  kBackOff,    // at intervals that grow
  kIrregular,  // again and again, without a rhythm
};
std::string_view to_string(Rhythm rhythm);

struct Beacon {
  Rhythm rhythm = Rhythm::kIrregular;
  uint64_t period_ms = 0;  // the median interval; of a back-off, the last one
  double jitter = 0;       // spread of the intervals (scaled MAD) over their median
  double factor = 1;       // of a back-off: how much longer each interval is than the one before
  uint64_t rounds = 0;     // bursts of attempts: a round may try several addresses
  bool random_ports = false;
};

// `times_ns`: moments of attempts, ascending, on one clock. `ports`: the distinct ones. nullopt:
// fewer than four rounds, which show nothing.
std::optional<Beacon> find_beacon(const std::vector<uint64_t>& times_ns, size_t ports);

// "every 5.0 s (jitter 2 %)", "every 600 s, backing off x2.0".
std::string describe(const Beacon& beacon);

}  // namespace pare::confine
