#include "base/utf8.h"

#include <algorithm>
#include <cstdint>

namespace pare::base {

size_t utf8_length(std::string_view bytes) {
  if (bytes.empty()) return 0;
  auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first < 0xc2   ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  if (length == 0 || bytes.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool surrogate = first == 0xed && byte(1) > 0x9f;
  const bool beyond = first == 0xf4 && byte(1) > 0x8f;
  return overlong || surrogate || beyond ? 0 : length;
}

std::string valid_utf8(std::string_view bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = utf8_length(bytes.substr(at));
    text.append(bytes.substr(at, length));
    if (length == 0) {
      const auto byte = static_cast<uint8_t>(bytes[at]);
      text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
    at += std::max<size_t>(length, 1);
  }
  return text;
}

}  // namespace pare::base
