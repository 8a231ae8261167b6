#include "base/time.h"

#include <ctime>

#include "base/text.h"

namespace pare::base {

std::string utc_timestamp(std::chrono::system_clock::time_point when) {
  std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char buffer[32];
  strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return buffer;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view suffix;
    uint64_t milliseconds;
  };
  static constexpr Unit kUnits[] = {
      {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"", 1000}};
  for (const Unit& unit : kUnits) {
    if (!ends_with(text, unit.suffix)) continue;
    auto number = parse_u64(text.substr(0, text.size() - unit.suffix.size()));
    if (!number || *number > 1'000'000'000) continue;
    return std::chrono::milliseconds(*number * unit.milliseconds);
  }
  return std::nullopt;
}

}  // namespace pare::base
