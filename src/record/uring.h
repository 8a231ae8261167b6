#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pare::record {

// "OPENAT"; "opcode 99" where it has no name (include/uapi/linux/io_uring.h).
std::string uring_name(int opcode);

// What the operation does to the path that it names, in FileFact's words; empty: nothing.
// `open_flags` of OPENAT and OPENAT2.
std::vector<std::string> uring_file_ops(int opcode, uint64_t open_flags);

}  // namespace pare::record
