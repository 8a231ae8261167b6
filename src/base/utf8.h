#pragma once

#include <string>
#include <string_view>

namespace pare::base {

// Bytes that are no part of well-formed UTF-8 (RFC 3629) become "\xNN"; other text is kept.
std::string valid_utf8(std::string_view bytes);

}  // namespace pare::base
