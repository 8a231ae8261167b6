#include "engine/docker_tar.h"

#include <algorithm>

#include "base/text.h"

namespace pare::engine {

namespace {

constexpr size_t kBlock = 512;

// Octal with blanks around it, or base 256 when the first bit is set (GNU, Go's archive/tar).
std::optional<uint64_t> number(std::string_view field) {
  uint64_t value = 0;
  if (!field.empty() && (field[0] & 0x80) != 0) {
    for (size_t i = 0; i < field.size(); ++i) {
      uint64_t byte = static_cast<unsigned char>(field[i]);
      if (i == 0) byte &= 0x7f;
      if (value >> 56 != 0) return std::nullopt;
      value = value << 8 | byte;
    }
    return value;
  }
  for (char c : field) {
    if (c == '\0' || c == ' ') continue;
    if (c < '0' || c > '7' || value >> 60 != 0) return std::nullopt;
    value = value * 8 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

struct Overrides {
  std::optional<uint64_t> uid, gid, size;
};

// "LENGTH KEY=VALUE\n" records, LENGTH counting itself.
void read_pax(std::string_view records, Overrides& overrides) {
  while (!records.empty()) {
    size_t blank = records.find(' ');
    auto length = base::parse_u64(records.substr(0, blank));
    if (blank == std::string_view::npos || !length || *length <= blank + 1 ||
        *length > records.size()) {
      return;
    }
    std::string_view record = records.substr(blank + 1, *length - blank - 2);
    size_t equals = std::min(record.find('='), record.size());
    std::string_view value = record.substr(std::min(equals + 1, record.size()));
    if (record.substr(0, equals) == "uid") overrides.uid = base::parse_u64(value);
    if (record.substr(0, equals) == "gid") overrides.gid = base::parse_u64(value);
    if (record.substr(0, equals) == "size") overrides.size = base::parse_u64(value);
    records.remove_prefix(*length);
  }
}

}  // namespace

Result<std::optional<TarEntry>> first_tar_entry(std::string_view bytes) {
  Overrides overrides;
  uint64_t at = 0;
  while (true) {
    if (bytes.size() < at + kBlock) return std::nullopt;
    std::string_view header = bytes.substr(at, kBlock);
    auto uid = number(header.substr(108, 8));
    auto gid = number(header.substr(116, 8));
    auto size = number(header.substr(124, 12));
    if (header.substr(257, 5) != "ustar" || !uid || !gid || !size || *size >> 40 != 0) {
      return fail(ErrorKind::kUnread, "the daemon's archive is no tar archive");
    }
    TarEntry entry;
    entry.type = header[156] == '\0' ? '0' : header[156];
    entry.offset = at + kBlock;
    if (entry.type == 'x' || entry.type == 'g' || entry.type == 'L' || entry.type == 'K') {
      if (bytes.size() < entry.offset + *size) return std::nullopt;
      if (entry.type == 'x') read_pax(bytes.substr(entry.offset, *size), overrides);
      at = entry.offset + (*size + kBlock - 1) / kBlock * kBlock;
      continue;
    }
    entry.uid = static_cast<uint32_t>(overrides.uid.value_or(*uid));
    entry.gid = static_cast<uint32_t>(overrides.gid.value_or(*gid));
    entry.size = overrides.size.value_or(*size);
    return entry;
  }
}

}  // namespace pare::engine
