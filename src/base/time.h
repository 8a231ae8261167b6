#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace pare::base {

// "2026-01-01T00:00:00Z" (RFC 3339, UTC, whole seconds).
std::string utc_timestamp(std::chrono::system_clock::time_point when);

// "250ms", "30s", "10m", "2h"; a bare number is seconds. nullopt when it is none of these.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace pare::base
