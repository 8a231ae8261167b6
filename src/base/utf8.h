#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pare::base {

// The length of the well-formed sequence (RFC 3629, section 4) that `bytes` begins with; 0: none.
size_t utf8_length(std::string_view bytes);

// Bytes that are no part of well-formed UTF-8 (RFC 3629) become "\xNN"; other text is kept.
std::string valid_utf8(std::string_view bytes);

}  // namespace pare::base
