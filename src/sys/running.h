// What runs already, found by its v2 cgroup (cgroups(7)); made by whatever runtime.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pare::sys {

// The directory that cgroup v2 is mounted at; kHost when it is not.
Result<std::string> v2_mount();

// `directory` and everything below it, parents first. What goes meanwhile is passed over.
std::vector<std::string> directories(const std::string& directory);

// The v2 cgroup of a process, as a path below that hierarchy's root: "/docker/ID". kUsage when
// there is no such process; kHost without a v2 hierarchy.
Result<std::string> cgroup_of(int pid);

// The v2 cgroup of the container with this id (a whole name, or a prefix of the 64 hexadecimal
// digits that Docker, containerd and Podman use), in cgroupfs' or systemd's spelling. kUsage when
// there is none, or several, naming them.
Result<std::string> container_cgroup(const std::string& id);
// All of them; empty: there is none.
Result<std::vector<std::string>> container_cgroups(const std::string& id);

// Does a cgroup's directory with this name belong to the container `id`?
bool is_container_directory(std::string_view name, std::string_view id);

// kernfs ids of the v2 cgroup at `path` and of every one below it, its own first. kUsage when it
// is gone.
Result<std::vector<uint64_t>> cgroup_ids(const std::string& path);

}  // namespace pare::sys
