#include "engine/oci_bundle.h"

#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "engine/oci_config.h"
#include "engine/oci_files.h"
#include "engine/oci_scaffold.h"
#include "sys/rootfs.h"

namespace pare::engine {

using base::Json;

namespace {

Status check_inputs(const privilege::Policy& policy, const CreateOptions& options) {
  struct stat st {};
  for (const VolumeMount& volume : options.volumes) {
    if (stat(volume.source.c_str(), &st) != 0) {
      return fail(ErrorKind::kUsage,
                  "volume " + volume.source + " (for " + volume.path + ") does not exist", errno);
    }
  }
  for (const std::string& text : policy.devices) {
    DeviceSpec device = parse_device(text);
    if (stat(device.host.c_str(), &st) != 0) {
      return fail(ErrorKind::kUsage, "device " + device.host + " does not exist on this host",
                  errno);
    }
    if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) {
      return fail(ErrorKind::kUsage, device.host + " is not a device");
    }
  }
  for (const privilege::Writable& writable : policy.writable) {
    if (writable.as != "tmpfs") {
      return fail(ErrorKind::kUsage, "the oci engine cannot make " + writable.path +
                                         " writable as '" + writable.as + "', only as tmpfs");
    }
  }
  return {};
}

PathKind kind_of(const Json& mount) {
  // runc 1.1 gives a tmpfs the mode of the directory that it covers, whatever its mode= says
  // (libcontainer/rootfs_linux.go, mountToRootfs).
  if (mount.at("type") == "tmpfs" && mount.at("destination") != "/dev") return PathKind::kScratch;
  struct stat st {};
  std::string source = mount.at("source");
  bool file = mount.at("type") == "bind" && stat(source.c_str(), &st) == 0 && !S_ISDIR(st.st_mode);
  return file ? PathKind::kFile : PathKind::kDirectory;
}

// The mount points that lie in the root itself, and the working directory. What lies on a tmpfs
// or volume is made there by the runtime.
Status make_mount_points(const std::string& root, const std::string& layer, const Json& config) {
  std::vector<std::string> covered;
  auto is_covered = [&](const std::string& path) {
    for (const std::string& point : covered) {
      if (path.rfind(point + "/", 0) == 0) return true;
    }
    return false;
  };
  for (const Json& mount : config.at("mounts")) {  // in order of depth
    std::string path = mount.at("destination");
    if (!is_covered(path)) PARE_CHECK_OK(scaffold(root, layer, path, kind_of(mount)));
    covered.push_back(path);
  }
  std::string workdir = config.at("process").at("cwd");
  if (is_covered(workdir)) return {};
  return scaffold(root, layer, workdir, PathKind::kDirectory);
}

Result<std::string> text_of(const Json& config) {
  try {
    return config.dump();
  } catch (const Json::exception&) {
    return fail(ErrorKind::kUsage,
                "an argument or environment variable of the target is not valid UTF-8, which an "
                "OCI config.json cannot hold");
  }
}

}  // namespace

Result<Bundle> Bundle::make(const BundlePlaces& places, const target::Target& target,
                            const privilege::Policy& policy, const privilege::Platform& platform,
                            const CreateOptions& options) {
  PARE_CHECK_OK(check_inputs(policy, options));
  std::string directory = places.memory + "/" + options.id, disk = places.disk + "/" + options.id;
  if (mkdir(directory.c_str(), 0700) != 0) return fail_errno("cannot create " + directory, errno);
  Bundle bundle(directory, disk);
  if (mkdir(disk.c_str(), 0700) != 0) return fail_errno("cannot create " + disk, errno);
  PARE_CHECK_OK(bundle.fill(target, policy, platform, options));
  return bundle;
}

Status Bundle::fill(const target::Target& target, const privilege::Policy& policy,
                    const privilege::Platform& platform, const CreateOptions& options) {
  for (const std::string& made : {rootfs(), directory_ + "/run", disk_ + "/work"}) {
    if (mkdir(made.c_str(), 0700) != 0) return fail_errno("cannot create " + made, errno);
  }
  std::string layer = directory_ + "/scaffold";
  PARE_CHECK_OK(stand_in(target.rootfs, upper()));
  PARE_CHECK_OK(stand_in(target.rootfs, layer));
  PARE_TRY(auto files, provide_files(directory_, target, policy, options));
  Json config = oci_config(target, policy, platform, options, rootfs(), files);
  PARE_CHECK_OK(make_mount_points(target.rootfs, layer, config));
  PARE_TRY(std::string text, text_of(config));
  PARE_CHECK_OK(write_quickly(directory_ + "/config.json", text));
  return mount_root(target.rootfs);
}

Status Bundle::mount_root(const std::string& root) {
  sys::OverlayLayers layers{{directory_ + "/scaffold", root}, upper(), disk_ + "/work", true};
  PARE_TRY(root_, sys::Mount::overlay(layers, rootfs()));
  return {};
}

Bundle::Bundle(Bundle&& other) noexcept
    : directory_(std::exchange(other.directory_, {})),
      disk_(std::exchange(other.disk_, {})),
      root_(std::move(other.root_)) {}

Bundle::~Bundle() {
  (void)remove();
}

Status Bundle::remove() {
  if (directory_.empty()) return {};
  PARE_CHECK_OK(root_.unmount());
  PARE_CHECK_OK(sys::remove_tree(directory_));
  PARE_CHECK_OK(sys::remove_tree(disk_));
  directory_.clear();
  return {};
}

}  // namespace pare::engine
