// RFC 4648 base64, as a Secret's `data` has it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pare::target {

// Blanks and line ends are passed over; nullopt for anything else that is not base64.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace pare::target
