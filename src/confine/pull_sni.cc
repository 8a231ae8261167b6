// RFC 8446 section 4.1.2 (ClientHello), RFC 6066 section 3 (server_name).
#include "base/text.h"
#include "confine/pull.h"

namespace pare::confine {

namespace {

constexpr size_t kMost = 32 << 10;  // of a ClientHello; real ones have a few KiB at most

// Reads big-endian numbers; once something is missing, all that follows is.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_(bytes) {}
  bool short_of() const { return short_; }
  size_t left() const { return rest_.size(); }

  size_t number(size_t width) {
    std::string_view bytes = take(width);
    size_t n = 0;
    for (unsigned char c : bytes) n = n << 8 | c;
    return n;
  }
  std::string_view take(size_t size) {
    if (size > rest_.size()) {
      short_ = true;
      rest_ = {};
      return {};
    }
    std::string_view part = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return part;
  }
  // A vector whose length has `width` bytes.
  std::string_view vector(size_t width) { return take(number(width)); }

 private:
  std::string_view rest_;
  bool short_ = false;
};

// The handshake's bytes out of their records. kNone: something else than a handshake.
ServerName::Kind gather(std::string_view bytes, std::string& handshake) {
  Cursor records(bytes);
  while (true) {
    if (handshake.size() >= 4) {
      Cursor head(handshake);
      bool hello = head.number(1) == 1;
      size_t length = head.number(3);
      if (!hello || length > kMost) return ServerName::Kind::kNone;
      if (handshake.size() >= 4 + length) return ServerName::Kind::kName;
    }
    if (records.left() > 0 && records.number(1) != 22) return ServerName::Kind::kNone;
    records.number(2);  // version
    std::string_view body = records.vector(2);
    if (records.short_of() || body.empty()) {
      return bytes.size() > kMost || (!records.short_of() && body.empty())
                 ? ServerName::Kind::kNone
                 : ServerName::Kind::kMore;
    }
    handshake += body;
  }
}

}  // namespace

ServerName server_name(std::string_view bytes) {
  if (bytes.empty()) return {ServerName::Kind::kMore, ""};
  std::string handshake;
  ServerName::Kind gathered = gather(bytes, handshake);
  if (gathered != ServerName::Kind::kName) return {gathered, ""};
  Cursor hello(handshake);
  hello.take(4 + 2 + 32);  // header, version, random
  hello.vector(1);         // session
  hello.vector(2);         // ciphers
  hello.vector(1);         // compression
  Cursor extensions(hello.vector(2));
  while (extensions.left() > 0) {
    size_t type = extensions.number(2);
    Cursor body(extensions.vector(2));
    if (type != 0) continue;
    Cursor names(body.vector(2));
    bool host = names.number(1) == 0;
    std::string name = base::lower(names.vector(2));
    if (names.short_of() || !host || name.empty()) return {};
    return {ServerName::Kind::kName, name};
  }
  return {};
}

}  // namespace pare::confine
