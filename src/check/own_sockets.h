#pragma once

#include <cstdint>
#include <set>

namespace pare::check {

// Inodes of the sockets that a process or one of its descendants has open (proc(5)): what is the
// container's own where it shares the host's network. What ends meanwhile is passed over.
std::set<uint64_t> socket_inodes_of(int pid);

}  // namespace pare::check
