// The spellings of a seccomp profile.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "privilege/policy.h"

namespace pare::privilege {

// Docker's seccomp.json (which is also what a node's Localhost profile looks like).
nlohmann::json docker_seccomp(const SeccompProfile& profile);
// linux.seccomp of an OCI config.json (runtime-spec 1.0.2).
nlohmann::json oci_seccomp(const SeccompProfile& profile);

// What every allow-list gets besides what was seen: the closure of error paths (fatal signals,
// exits, restarts), and what the runtime itself calls between loading the filter and the entry
// point's execve (runc 1.1 libcontainer/standard_init_linux.go, with a Go runtime's own calls).
const std::vector<std::string>& error_path_syscalls();
const std::vector<std::string>& runtime_syscalls(bool no_new_privileges);
// Calls for which libc has a fallback when they answer ENOSYS (clone3, openat2, ...).
const std::vector<std::string>& fallback_syscalls();

// x86_64 names by number, from libseccomp; "x86_64:N" where it knows none.
std::string syscall_name(int number);

}  // namespace pare::privilege
