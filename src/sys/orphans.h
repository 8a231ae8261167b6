// What a subreaper (process.h) inherits besides the processes that it waits for.
#pragma once

#include <sys/types.h>

#include <string>

namespace pare::sys {

// Reaps the dead children of this process whose cgroup is, or lies below, one named `cgroup_leaf`,
// but not `except`, which somebody waits for by pid. The first process of a pid namespace does not
// end while a dead one of it is not reaped (zap_pid_ns_processes of the kernel).
void reap_orphans(const std::string& cgroup_leaf, pid_t except);

}  // namespace pare::sys
