// One container's directories on the host: the OCI bundle and the overlay that is its root.
#pragma once

#include <string>

#include "base/result.h"
#include "engine/engine.h"
#include "sys/mounts.h"

namespace pare::engine {

// Where a container's directories are made, each below <place>/<id>.
struct BundlePlaces {
  std::string memory;  // on a tmpfs: config.json holds the values of secrets
  std::string disk;    // on a disk file system: what the container writes to its root
};

//   memory/ID/  config.json  hosts  hostname  resolv.conf     the bundle
//               rootfs/    the overlay's mount point
//               scaffold/  its middle layer, between the target's root and upper/
//               run/  init.pid  runtime.log                   the runtime's own state
//   disk/ID/    upper/  work/
class Bundle {
 public:
  // Makes both directories and mounts the overlay. kUsage names a volume source or device that
  // does not exist. On an error nothing is left.
  static Result<Bundle> make(const BundlePlaces& places, const target::Target& target,
                             const privilege::Policy& policy, const privilege::Platform& platform,
                             const CreateOptions& options);

  Bundle(Bundle&& other) noexcept;
  Bundle& operator=(Bundle&&) = delete;
  Bundle(const Bundle&) = delete;
  Bundle& operator=(const Bundle&) = delete;
  ~Bundle();

  const std::string& directory() const { return directory_; }  // the bundle
  std::string upper() const { return disk_ + "/upper"; }
  std::string rootfs() const { return directory_ + "/rootfs"; }
  // Unmounts and removes everything.
  Status remove();

 private:
  Bundle(std::string directory, std::string disk)
      : directory_(std::move(directory)), disk_(std::move(disk)) {}
  Status fill(const target::Target& target, const privilege::Policy& policy,
              const privilege::Platform& platform, const CreateOptions& options);
  Status mount_root(const std::string& root);

  std::string directory_, disk_;
  sys::Mount root_;
};

}  // namespace pare::engine
