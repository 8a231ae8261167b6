// The line that the user types today: `docker run ...`, or podman's and nerdctl's likes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "target/docker_values.h"
#include "target/target.h"

namespace pare::target {

// Whether the words begin like a line that parse_docker_run takes: docker, podman or nerdctl (as a
// path too, behind `sudo` with flags), then `run` or `container run`.
bool is_docker_run(const std::vector<std::string>& words);

// The words as the shell hands them over. Every option is either in the result (one that grants
// nothing in Target::kept) or refused by its name with a kUsage sentence. `-e NAME` and the names
// alone in an --env-file are looked up in `environment`. Reads the files of --env-file, no others.
Result<Target> parse_docker_run(const std::vector<std::string>& words,
                                const Environment& environment);

// This process's environ(7).
Environment caller_environment();

}  // namespace pare::target
