#include "engine/oci_config.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "privilege/seccomp.h"
#include "sys/cgroup.h"

namespace pare::engine {

using base::Json;
using privilege::Platform;
using privilege::Policy;
using target::Target;

namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// The kernel's own default since 5.16 (9dcc38e2813e), which a container gets where nothing is set.
constexpr uint64_t kDefaultMemlock = 8 << 20;
// What dockerd and containerd have given their containers since 2015 (LimitNOFILE of their units).
constexpr uint64_t kDefaultNofile = 1 << 20;

void set_variable(std::vector<std::string>& env, const std::string& name,
                  const std::string& value) {
  std::string prefix = name + "=";
  for (std::string& entry : env) {
    if (base::starts_with(entry, prefix)) {
      entry = prefix + value;
      return;
    }
  }
  env.push_back(prefix + value);
}

Json capabilities_json(const Policy& policy, const Platform& platform) {
  Json names = Json::array();
  for (const std::string& name : policy.capabilities.names()) names.push_back("CAP_" + name);
  Json json = {{"bounding", names}};
  if (policy.user.uid == 0) {
    json["effective"] = json["permitted"] = names;
  } else if (platform.ambient_capabilities) {
    for (const char* set : {"effective", "permitted", "inheritable", "ambient"}) json[set] = names;
  }
  // Another uid without the ambient set: execve(2) would clear the rest (capabilities(7)).
  return json;
}

uint64_t hard_limit(__rlimit_resource resource) {
  rlimit limit{};
  return getrlimit(resource, &limit) == 0 ? limit.rlim_max : RLIM_INFINITY;
}

Json rlimits_json(const Target& target, const Policy& policy) {
  auto entry = [](const std::string& name, uint64_t soft, uint64_t hard) {
    return Json{{"type", "RLIMIT_" + base::upper(name)}, {"soft", soft}, {"hard", hard}};
  };
  Json json = Json::array();
  std::set<std::string> given{"memlock"};
  // Above pare's own hard limit only with CAP_SYS_RESOURCE; a default must not need that.
  uint64_t memlock = policy.memlock_bytes.value_or(
      std::min<uint64_t>(kDefaultMemlock, hard_limit(RLIMIT_MEMLOCK)));
  json.push_back(entry("memlock", memlock, memlock));
  for (const target::Ulimit& limit : target.ulimits) {
    if (!given.insert(limit.name).second) continue;
    // -1 becomes RLIM_INFINITY.
    json.push_back(
        entry(limit.name, static_cast<uint64_t>(limit.soft), static_cast<uint64_t>(limit.hard)));
  }
  if (given.count("nofile") == 0) {
    uint64_t nofile = std::min<uint64_t>(kDefaultNofile, hard_limit(RLIMIT_NOFILE));
    json.push_back(entry("nofile", nofile, nofile));
  }
  return json;
}

Json process_json(const Target& target, const Policy& policy, const Platform& platform) {
  Json user = {{"uid", policy.user.uid}, {"gid", policy.user.gid}};
  if (!policy.user.groups.empty()) user["additionalGids"] = policy.user.groups;
  return {{"terminal", false},
          {"user", user},
          {"args", target::argv_of(target, policy.arguments)},
          {"env", effective_env(target, policy)},
          {"cwd", effective_workdir(target)},
          {"capabilities", capabilities_json(policy, platform)},
          {"rlimits", rlimits_json(target, policy)},
          {"noNewPrivileges", policy.no_new_privileges}};
}

Json mount_json(const std::string& path, const std::string& type, const std::string& source,
                const std::vector<std::string>& options) {
  return {{"destination", path}, {"type", type}, {"source", source}, {"options", options}};
}

Json bind_json(const std::string& path, const std::string& source, bool writable) {
  return mount_json(path, "bind", source, {"rbind", "rprivate", writable ? "rw" : "ro"});
}

Json platform_mount(const privilege::PlatformMount& mount, const Policy& policy,
                    const Platform& platform) {
  std::vector<std::string> options = mount.options;
  uint64_t bytes = mount.bytes;
  if (mount.path == "/dev/shm") {
    // Shared memory by name belongs to the IPC namespace in effect, as docker --ipc=host has it.
    if (shares_host(policy, "ipc")) return bind_json(mount.path, mount.path, true);
    bytes = policy.shm_bytes.value_or(platform.shm_bytes);
  }
  if (mount.type == "tmpfs" && bytes > 0) options.push_back("size=" + std::to_string(bytes));
  return mount_json(mount.path, mount.type, mount.type, options);
}

Json scratch_mount(const Target& target, const privilege::Writable& writable, const Policy& policy,
                   const Platform& platform) {
  std::vector<std::string> options = {"nosuid", "nodev", "mode=1777",
                                      writable.exec || platform.tmpfs_exec ? "exec" : "noexec"};
  if (platform.tmpfs_owned) {
    options.push_back("uid=" + std::to_string(policy.user.uid));
    options.push_back("gid=" + std::to_string(policy.user.gid));
  }
  if (uint64_t bytes = privilege::tmpfs_bytes(writable); bytes > 0) {
    options.push_back("size=" + std::to_string(bytes));
  }
  if (writable.copy_up) options.emplace_back("tmpcopyup");
  // As written with docker's --tmpfs; whether it is exec is the policy's choice.
  auto asked = target.tmpfs_options.find(writable.path);
  if (asked != target.tmpfs_options.end()) {
    for (const std::string& option : base::split(asked->second, ',')) {
      if (option != "exec" && option != "noexec" && !option.empty()) options.push_back(option);
    }
  }
  return mount_json(writable.path, "tmpfs", "tmpfs", options);
}

bool volume_writable(const Policy& policy, const std::string& path) {
  return std::any_of(
      policy.volumes.begin(), policy.volumes.end(),
      [&](const privilege::VolumeAccess& v) { return v.path == path && v.writable; });
}

// The first to claim a path has it: volumes, then the platform's own, then scratch space.
Json mounts_json(const Target& target, const Policy& policy, const Platform& platform,
                 const CreateOptions& options, const std::vector<ProvidedFile>& files) {
  std::vector<Json> mounts;
  std::set<std::string> taken;
  auto add = [&](const std::string& path, const Json& mount) {
    if (taken.insert(path).second) mounts.push_back(mount);
  };
  for (const VolumeMount& volume : options.volumes) {
    add(volume.path, bind_json(volume.path, volume.source, volume_writable(policy, volume.path)));
  }
  for (const privilege::PlatformMount& mount : platform.mounts) {
    add(mount.path, platform_mount(mount, policy, platform));
  }
  for (const privilege::Writable& writable : policy.writable) {
    add(writable.path, scratch_mount(target, writable, policy, platform));
  }
  for (const ProvidedFile& file : files) {
    add(file.path, bind_json(file.path, file.source, policy.rootfs_writable));
  }
  // What stands on another mount comes after it.
  std::stable_sort(mounts.begin(), mounts.end(), [](const Json& a, const Json& b) {
    auto depth = [](const Json& mount) {
      std::string path = mount.at("destination");
      return std::count(path.begin(), path.end(), '/');
    };
    return depth(a) < depth(b);
  });
  return mounts;
}

Json namespaces_json(const Policy& policy, const CreateOptions& options) {
  Json json = Json::array({{{"type", "mount"}}});
  for (const char* name : {"pid", "ipc", "uts"}) {
    if (!shares_host(policy, name)) json.push_back({{"type", name}});
  }
  if (!options.netns.empty()) {
    json.push_back({{"type", "network"}, {"path", options.netns}});
  } else if (!options.host_network && !shares_host(policy, "network")) {
    json.push_back({{"type", "network"}});
  }
  // Docker and Kubernetes give one on a host with v2 alone (moby daemon/config, KEP-2254).
  if (auto mode = sys::cgroup_mode(); mode && *mode == sys::CgroupMode::kUnified) {
    json.push_back({{"type", "cgroup"}});
  }
  return json;
}

// Only what the container's own namespaces hold; runc refuses the rest.
Json sysctls_json(const Policy& policy, const Platform& platform, const CreateOptions& options) {
  bool own_network =
      !options.netns.empty() || (!options.host_network && !shares_host(policy, "network"));
  std::map<std::string, std::string> all = platform.sysctls;
  for (const auto& [name, value] : policy.sysctls) all[name] = value;
  Json json = Json::object();
  for (const auto& [name, value] : all) {
    if (base::starts_with(name, "net.") && !own_network) continue;
    json[name] = value;
  }
  return json;
}

// linux.devices and the rules of linux.resources.devices; runc adds the default set itself.
void add_devices(const Policy& policy, Json& linux_json) {
  Json devices = Json::array();
  Json rules = Json::array({{{"allow", false}, {"access", "rwm"}}});
  for (const std::string& text : policy.devices) {
    DeviceSpec device = parse_device(text);
    struct stat st {};
    if (stat(device.host.c_str(), &st) != 0) continue;  // create() refuses it by name
    const char* type = S_ISBLK(st.st_mode) ? "b" : "c";
    devices.push_back({{"path", device.path},
                       {"type", type},
                       {"major", major(st.st_rdev)},
                       {"minor", minor(st.st_rdev)},
                       {"fileMode", st.st_mode & 07777},
                       {"uid", st.st_uid},
                       {"gid", st.st_gid}});
    rules.push_back({{"allow", true},
                     {"type", type},
                     {"major", major(st.st_rdev)},
                     {"minor", minor(st.st_rdev)},
                     {"access", device.access}});
  }
  linux_json["devices"] = devices;
  linux_json["resources"]["devices"] = rules;
}

Json linux_json(const Policy& policy, const Platform& platform, const CreateOptions& options) {
  Json json = {{"cgroupsPath", "/pare/" + options.id},
               {"namespaces", namespaces_json(policy, options)},
               {"maskedPaths", platform.masked_paths},
               {"readonlyPaths", platform.readonly_paths},
               {"sysctl", sysctls_json(policy, platform, options)},
               {"resources", Json::object()}};
  add_devices(policy, json);
  if (policy.pids_max) json["resources"]["pids"]["limit"] = *policy.pids_max;
  if (options.memory_bytes) {
    json["resources"]["memory"] = {{"limit", *options.memory_bytes}};
  }
  if (!options.seccomp.empty()) {
    json["seccomp"] = Json::parse(options.seccomp, nullptr, false);
  } else if (policy.seccomp) {
    json["seccomp"] = privilege::oci_seccomp(*policy.seccomp);
  }
  return json;
}

}  // namespace

bool shares_host(const Policy& policy, std::string_view name) {
  return std::find(policy.host_namespaces.begin(), policy.host_namespaces.end(), name) !=
         policy.host_namespaces.end();
}

std::vector<std::string> effective_env(const Target& target, const Policy& policy) {
  std::vector<std::string> env = {std::string("PATH=") + kDefaultPath,
                                  "HOSTNAME=" + effective_hostname(target)};
  for (const auto& list : {&target.facts.env, &target.env}) {
    for (const target::EnvVar& variable : *list) set_variable(env, variable.name, variable.value);
  }
  for (const auto& [name, value] : policy.environment) set_variable(env, name, value);
  return env;
}

std::string effective_workdir(const Target& target) {
  if (!target.workdir.empty()) return target.workdir;
  return target.facts.workdir.empty() ? "/" : target.facts.workdir;
}

std::string effective_hostname(const Target& target) {
  const std::string& name = target.name;
  bool valid = !name.empty() && name.size() <= 63 && name.front() != '-' && name.back() != '-' &&
               std::all_of(name.begin(), name.end(),
                           [](unsigned char c) { return isalnum(c) != 0 || c == '-'; });
  return valid ? name : "container";
}

DeviceSpec parse_device(const std::string& text) {
  std::vector<std::string> parts = base::split(text, ':');
  DeviceSpec device{parts[0], parts[0]};
  if (parts.size() > 1 && !parts[1].empty()) device.path = parts[1];
  if (parts.size() > 2) device.access = parts[2];
  return device;
}

Json oci_config(const Target& target, const Policy& policy, const Platform& platform,
                const CreateOptions& options, const std::string& rootfs,
                const std::vector<ProvidedFile>& files) {
  Json json = {{"ociVersion", "1.0.2"},
               {"process", process_json(target, policy, platform)},
               {"root", {{"path", rootfs}, {"readonly", !policy.rootfs_writable}}},
               {"mounts", mounts_json(target, policy, platform, options, files)},
               {"linux", linux_json(policy, platform, options)}};
  if (!shares_host(policy, "uts")) json["hostname"] = effective_hostname(target);
  return json;
}

std::string oci_config_json(const Target& target, const Policy& policy, const Platform& platform,
                            const CreateOptions& options, const std::string& rootfs) {
  Json json = oci_config(target, policy, platform, options, rootfs, {});
  return base::write_json(json, 2) + "\n";
}

}  // namespace pare::engine
