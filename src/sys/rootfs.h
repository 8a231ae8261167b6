// Paths as a process inside a root directory sees them: symbolic links, absolute ones included,
// stay inside (openat2(2), RESOLVE_IN_ROOT; kernel 5.6).
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pare::sys {

// Opens `path` inside `root`. Errors carry sys_errno; ENOENT is kUsage, naming both.
Result<UniqueFd> open_in_root(const std::string& root, const std::string& path, int flags);

// The whole regular file.
Result<std::string> read_in_root(const std::string& root, const std::string& path);

// The program that execve(2) would run for `name` inside `root`: `name` itself (relative to
// `cwd`) when it has a slash, else the first executable in `path_variable` (colon-separated).
// kUsage, saying whether it is missing, a directory or not executable.
Result<std::string> find_program_in_root(const std::string& root, const std::string& name,
                                         const std::string& cwd, const std::string& path_variable);

// Removes a file, or a directory and all below it, and never follows a link or enters another
// mount: what is still mounted below stops it with an error. A path that does not exist is fine.
Status remove_tree(const std::string& path);

}  // namespace pare::sys
