// Which system calls act on paths, addresses or telling values, and how a fact about them is named.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "record/wire.h"

namespace pare::record {

struct CallRow {
  int number;  // x86_64
  pare_shape shape;
  std::string_view op;  // evidence::FileFact's word for it; empty: not a file operation
  bool follows;         // acts on what a final symbolic link points to
};

// nullptr when the call acts on nothing that has a name.
const CallRow* call_row(int number);

// Fills shapes[PARE_SYSCALLS].
void fill_shapes(pare_shape* shapes);

// Does this call, with these arguments, follow a final symbolic link?
bool follows_link(const CallRow& row, const __u64 args[6]);

// The object of a call that names no path: "uid 1000", "process 17", "AF_INET SOCK_RAW"; empty:
// none.
std::string describe_values(int number, const __u64 args[6]);

// Is CAP_SYS_ADMIN during this call only the check whether memory may be overcommitted
// (security/commoncap.c, cap_vm_enough_memory)?
bool is_overcommit_site(int number, const __u64 args[6]);

}  // namespace pare::record
