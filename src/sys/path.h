#pragma once

#include <string>
#include <string_view>

namespace pare::sys {

// "directory/name".
inline std::string join_path(std::string directory, std::string_view name) {
  directory += '/';
  directory += name;
  return directory;
}

}  // namespace pare::sys
