// The first entry of a tar archive (POSIX.1-2017 pax, "ustar Interchange Format"): all that a
// look at one path of a container's archive needs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pare::engine {

struct TarEntry {
  char type = '0';  // '0' file, '5' directory, '2' symbolic link
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0;    // bytes of content
  uint64_t offset = 0;  // of the content in the archive
  bool operator==(const TarEntry&) const = default;
};

// nullopt: the archive is longer than `bytes` and the entry's head is not whole yet. kUnread when
// this is no such archive. Extended headers (x, g) are read for uid, gid and size.
Result<std::optional<TarEntry>> first_tar_entry(std::string_view bytes);

}  // namespace pare::engine
