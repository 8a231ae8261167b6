#include "confine/egress_opening.h"

#include <cstdint>
#include <optional>

#include "base/text.h"

namespace pare::confine {

namespace {

constexpr uint8_t kHandshake = 22, kClientHello = 1;
constexpr unsigned kServerName = 0;
constexpr size_t kRecordHeader = 5, kHelloHeader = 4, kVersionAndRandom = 34;

class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  std::optional<unsigned> number(size_t size) {
    if (left_.size() < size) return std::nullopt;
    unsigned value = 0;
    for (char c : left_.substr(0, size)) value = value << 8 | static_cast<uint8_t>(c);
    left_.remove_prefix(size);
    return value;
  }
  bool skip(size_t size) {
    if (left_.size() < size) return false;
    left_.remove_prefix(size);
    return true;
  }
  // A field behind its length.
  bool skip_sized(size_t size_bytes) {
    auto size = number(size_bytes);
    return size && skip(*size);
  }
  std::string_view rest() const { return left_; }

 private:
  std::string_view left_;
};

std::string printable(std::string_view name) {
  for (char c : name)
    if (c <= ' ' || c >= 127) return "";
  return base::lower(name);
}

std::string tls_name(std::string_view bytes) {
  Reader reader(bytes.substr(kRecordHeader));
  if (!reader.skip(kHelloHeader + kVersionAndRandom)) return "";
  // Session id, cipher suites, compression methods (RFC 8446, section 4.1.2).
  if (!reader.skip_sized(1) || !reader.skip_sized(2) || !reader.skip_sized(1)) return "";
  if (!reader.skip(2)) return "";
  while (true) {
    auto type = reader.number(2), size = reader.number(2);
    if (!type || !size) return "";
    if (*type == kServerName) {
      Reader name(reader.rest().substr(0, *size));
      auto length = name.skip(3) ? name.number(2) : std::nullopt;
      if (!length || name.rest().size() < *length) return "";
      return printable(name.rest().substr(0, *length));
    }
    if (!reader.skip(*size)) return "";
  }
}

std::string http_host(std::string_view bytes) {
  const std::string lower = base::lower(bytes);
  const size_t at = lower.find("\r\nhost:");
  if (at == std::string::npos || lower.find(" http/1.") > at) return "";
  const size_t end = lower.find("\r\n", at + 7);
  if (end == std::string::npos) return "";
  std::string_view host = base::trim(std::string_view(lower).substr(at + 7, end - at - 7));
  return printable(host.substr(
      0, host.rfind(']') == std::string_view::npos ? host.find(':') : host.rfind(']') + 1));
}

}  // namespace

std::string server_name(std::string_view bytes) {
  if (bytes.size() < kRecordHeader + 1) return "";
  const bool hello = static_cast<uint8_t>(bytes[0]) == kHandshake && bytes[1] == 3 &&
                     static_cast<uint8_t>(bytes[kRecordHeader]) == kClientHello;
  return hello ? tls_name(bytes) : http_host(bytes);
}

}  // namespace pare::confine
