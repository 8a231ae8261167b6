// What each platform and runtime version gives a container by itself: versioned data. What is
// given is modelled in every trial and not counted as asked for.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "privilege/capability.h"

namespace pare::privilege {

struct PlatformMount {
  std::string path;
  std::string type;  // tmpfs, proc, sysfs, devpts, mqueue, cgroup
  std::vector<std::string> options;
  uint64_t bytes = 0;  // size of a tmpfs; 0: none set
};

struct Platform {
  std::string name;     // as given to --for: "kubernetes", "docker"
  std::string version;  // what the row describes, e.g. "containerd 1.x (strictest of CRI-O,
                        // containerd 1.x and 2.0)"
  std::string source;   // where it was read
  CapabilitySet default_capabilities;
  std::string default_seccomp;                 // "docker-20.10", "unconfined", ...
  std::map<std::string, std::string> sysctls;  // set in the container by the platform
  bool ambient_capabilities = false;           // whether a non-root process gets added capabilities
  bool tmpfs_exec = false;                     // its scratch volumes allow exec
  bool tmpfs_owned = false;                    // they belong to the container's user; else to root
  uint64_t shm_bytes = 67108864;
  bool can_set_pids = false;  // a Pod has no field for it
  bool can_set_memlock = false;
  bool can_set_shm = true;
  std::vector<PlatformMount> mounts;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::vector<std::string> assumptions;  // written into every proof
};

const std::vector<Platform>& platform_table();
// kUsage with the known names.
Result<Platform> find_platform(std::string_view name);

}  // namespace pare::privilege
