#pragma once

namespace pare::cli {
inline constexpr const char* kVersion = "0.1.0";
}
