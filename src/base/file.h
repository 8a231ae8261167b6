#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pare::base {

// The whole file. kUsage when it does not exist, or does not end within 256 MiB (a device).
Result<std::string> read_file(const std::string& path);

// What is left to read of an open file; reading stops once there are more than `most` bytes. `path`
// is for the error.
Result<std::string> read_all(int fd, const std::string& path, size_t most = SIZE_MAX);
// Every byte, whatever write(2) takes at once.
Status write_all(int fd, std::string_view content, const std::string& path);

// Written whole or not at all: a temporary file in the same directory, fsync, rename(2).
Status write_file_atomic(const std::string& path, std::string_view content, unsigned mode = 0644);

// mkdir -p; an existing directory is fine.
Status make_directories(const std::string& path, unsigned mode = 0755);

// As many open files as this process may have (the hard limit of RLIMIT_NOFILE).
void raise_descriptor_limit();

}  // namespace pare::base
