// What of a window outlives the process: pins on a bpf file system, and filters on the host's end
// of a container's veth (tc-bpf(8)).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pare::confine {

// libbpf's own messages would reach the user's terminal.
void silence_libbpf();

// Of a window's filters, so that they are told from those of others.
uint32_t guard_handle(const std::string& pins);
// `ifindex`: in the caller's network namespace.
Status attach_guard(int ifindex, uint32_t handle, int out_program, int in_program);
Status remove_guard(int ifindex, uint32_t handle);  // gone already is fine

// The lock on a window's pins (flock(2)); kHost when another process has it.
Result<UniqueFd> hold_pins(const std::string& pins);
// Removes what is pinned there, with the guards' filters.
Status clear_pins(const std::string& pins);
// And the directory; unmounts the root when it was the last one.
Status remove_pins(const std::string& pins);

}  // namespace pare::confine
