#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace pare::base {

// The whole file; `what` names it in the error ("proof", "env file"). kUsage when it does not
// exist.
Result<std::string> read_file(const std::string& path);

// Written whole or not at all: a temporary file in the same directory, fsync, rename(2).
Status write_file_atomic(const std::string& path, std::string_view content, unsigned mode = 0644);

// mkdir -p; an existing directory is fine.
Status make_directories(const std::string& path, unsigned mode = 0755);

}  // namespace pare::base
