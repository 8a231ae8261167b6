#include "privilege/platforms.h"

#include <algorithm>

#include "base/text.h"

namespace pare::privilege {

namespace {

const CapabilitySet& docker_capabilities() {
  static const CapabilitySet kSet{"CHOWN",   "DAC_OVERRIDE", "FSETID",           "FOWNER",
                                  "MKNOD",   "NET_RAW",      "SETGID",           "SETUID",
                                  "SETFCAP", "SETPCAP",      "NET_BIND_SERVICE", "SYS_CHROOT",
                                  "KILL",    "AUDIT_WRITE"};
  return kSet;
}

// moby daemon oci/defaults.go (20.10 to 28); containerd pkg/cri uses the same set.
std::vector<PlatformMount> default_mounts() {
  return {
      {"/proc", "proc", {"nosuid", "noexec", "nodev"}},
      {"/dev", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
      {"/dev/pts",
       "devpts",
       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
      {"/dev/shm", "tmpfs", {"nosuid", "noexec", "nodev", "mode=1777"}, 67108864},
      {"/dev/mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
      {"/sys", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
  };
}

std::vector<std::string> default_masked_paths() {
  return {"/proc/asound",        "/proc/acpi",       "/proc/kcore",       "/proc/keys",
          "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
          "/proc/scsi",          "/sys/firmware"};
}

std::vector<std::string> default_readonly_paths() {
  return {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
}

Platform kubernetes() {
  Platform p;
  p.name = "kubernetes";
  p.version = "strictest of containerd 1.x, containerd 2.x and CRI-O under Kubernetes 1.20 to 1.34";
  p.source =
      "containerd #9348 and #11502 (ip_unprivileged_port_start), pkg/cri/opts; Kubernetes "
      "PodSecurityContext API reference";
  p.default_capabilities = docker_capabilities();
  p.default_seccomp = "unconfined";  // seccompDefault is off unless the kubelet says so
  p.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "1024"}};
  p.tmpfs_exec = true;  // emptyDir is mounted exec
  p.mounts = default_mounts();
  p.masked_paths = default_masked_paths();
  p.readonly_paths = default_readonly_paths();
  p.assumptions = {
      "net.ipv4.ip_unprivileged_port_start=1024 (CRI-O and containerd 1.x; containerd "
      "2.x sets 0 by default)",
      "no ambient capabilities: one added to a non-root container is not effective",
      "emptyDir volumes are mounted exec"};
  return p;
}

Platform docker() {
  Platform p;
  p.name = "docker";
  p.version = "Docker Engine 20.10 and later";
  p.source = "moby daemon/oci_linux.go and oci/defaults.go; moby #41030 (sysctls of 20.10)";
  p.default_capabilities = docker_capabilities();
  p.default_seccomp = "docker";
  p.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "0"},
               {"net.ipv4.ping_group_range", "0 2147483647"}};
  p.tmpfs_exec = false;  // --tmpfs is noexec unless it says exec
  p.tmpfs_owned = true;  // --tmpfs PATH:uid=,gid= can say so; an emptyDir is root's, mode 0777
  p.can_set_pids = true;
  p.can_set_memlock = true;
  p.mounts = default_mounts();
  p.masked_paths = default_masked_paths();
  p.readonly_paths = default_readonly_paths();
  p.assumptions = {"net.ipv4.ip_unprivileged_port_start=0 (Docker Engine since 20.10)",
                   "no ambient capabilities: one added to a non-root container is not effective",
                   "--tmpfs mounts are noexec unless they say exec"};
  return p;
}

}  // namespace

const std::vector<Platform>& platform_table() {
  static const std::vector<Platform> kTable = {kubernetes(), docker()};
  return kTable;
}

Result<Platform> find_platform(std::string_view name) {
  std::vector<std::string> names;
  for (const Platform& platform : platform_table()) {
    if (platform.name == name) return platform;
    names.push_back(platform.name);
  }
  return fail(ErrorKind::kUsage, "unknown platform '" + std::string(name) + "' for --for: use " +
                                     base::join(names, " or "));
}

}  // namespace pare::privilege
