// What this process gives up before it touches a path.
#pragma once

#include <vector>

#include "base/result.h"
#include "prepare/spec.h"

namespace pare::prepare {

// Joins the groups that the specification names (only a member keeps a setgid bit, and reads a tree
// that its group may read), keeps of all capabilities CHOWN and FOWNER (and DAC_OVERRIDE for a
// foreign tree), sets no_new_privs, and lets seccomp(2) refuse every call but those that files,
// memory and threads need: no sockets, no execve, no mounts. For good, and before any thread.
Status lock_down(const Spec& spec);

}  // namespace pare::prepare
