// Rules about the host's own things: namespaces, paths, sockets, devices, sysctls.
#include <algorithm>
#include <array>

#include "audit/remedies.h"
#include "audit/rule_functions.h"
#include "base/text.h"

namespace pare::audit {
namespace {

void host_namespace(Scope& scope, const Field<bool>& field, std::string_view option,
                    const std::string& message, const std::string& breaks) {
  if (!field.is(true)) return;
  const Workload& w = scope.workload();
  const Container* c = scope.docker() && !w.containers.empty() ? &w.containers[0] : nullptr;
  Finding& f = scope.add(c, field.place, message);
  if (scope.kubernetes()) {
    f.remedy = remedy_set_at(scope, field.place, false);
  } else if (c != nullptr) {
    f.remedy = remedy_remove(scope, *c, {"host", field.place}, option);
  }
  f.remedy.breaks = breaks;
}

// Host paths that give the host away, with what they give.
struct HostPath {
  std::string_view path;
  std::string_view gain;
  bool tree;  // paths below it too
};
constexpr std::array<HostPath, 14> kHostPaths = {{
    {"/", "the host's whole file system", false},
    {"/etc", "the host's users, keys and start-up", true},
    {"/root", "root's keys on the host", true},
    {"/proc", "the host's processes and kernel settings", true},
    {"/sys", "the host's kernel settings and devices", true},
    {"/dev", "the host's devices", false},
    {"/boot", "the host's kernel", true},
    {"/usr", "the host's programs", true},
    {"/lib", "the host's libraries", true},
    {"/var/lib/kubelet", "every Pod's secrets on the node", true},
    {"/var/lib/docker", "every container's files", true},
    {"/var/lib/containerd", "every container's files", true},
    {"/var/log", "the node's logs, and files read through links in them", true},
    {"/home", "the users' files and keys", false},
}};

std::string clean(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

const HostPath* sensitive(const std::string& written) {
  std::string path = clean(written);
  for (const HostPath& row : kHostPaths) {
    bool below = row.tree && base::starts_with(path, std::string(row.path) + "/");
    if (path == row.path || below) return &row;
  }
  return nullptr;
}

bool is_runtime_socket(std::string_view path) {
  for (std::string_view name : {"docker.sock", "containerd.sock", "crio.sock", "podman.sock"}) {
    if (path.find(name) != std::string_view::npos) return true;
  }
  std::string whole = clean(std::string(path));
  return whole == "/run" || whole == "/var/run" || whole == "/run/docker" ||
         whole == "/run/containerd";
}

const Container* only_container(Scope& scope) {
  const Workload& w = scope.workload();
  return scope.kubernetes() || w.containers.empty() ? nullptr : &w.containers[0];
}
}  // namespace

void check_host_network(Scope& scope) {
  host_namespace(scope, scope.workload().host_network, "--network",
                 "shares the host's network: every port of the node, loopback services, and packet "
                 "capture with NET_RAW",
                 "ports are then its own: clients reach it through what is published; RDMA and "
                 "host discovery");
  const Workload& w = scope.workload();
  if (!w.host_network.is(true) || !scope.docker() || w.containers.empty()) return;
  const Container& c = w.containers[0];
  // A network of its own needs the endpoint published, or nobody reaches the server.
  scope.last().remedy = remedy_own_network(scope, c, std::move(scope.last().remedy));
}

void check_host_pid(Scope& scope) {
  host_namespace(scope, scope.workload().host_pid, "--pid",
                 "sees every process of the host, their arguments and environments",
                 "tools that look at other processes");
}

void check_host_ipc(Scope& scope) {
  host_namespace(scope, scope.workload().host_ipc, "--ipc",
                 "shares the host's shared memory; it is asked for /dev/shm, which shm_size or a "
                 "memory emptyDir gives",
                 "CUDA IPC between containers; give /dev/shm the size it needs");
}

void check_host_other(Scope& scope) {
  const Workload& w = scope.workload();
  if (!w.host_other.value || w.containers.empty()) return;
  Finding& f = scope.add(&w.containers[0], w.host_other.place,
                         "shares the host's " + *w.host_other.value + " namespace");
  f.remedy = remedy_remove(scope, w.containers[0], {"host", w.host_other.place},
                           "--" + *w.host_other.value);
}

void check_host_path(Scope& scope) {
  for (const VolumeEntry& volume : scope.workload().volumes) {
    bool host_path = volume.type == "hostPath";
    if (!host_path && volume.type != "bind") continue;
    if (is_runtime_socket(volume.host_path)) continue;  // PARE015
    const HostPath* row = sensitive(volume.host_path);
    if (!host_path && row == nullptr) continue;
    std::string message = "mounts " + volume.host_path + " of the host";
    if (row != nullptr) message += ": " + std::string(row->gain);
    Finding& f = scope.add(only_container(scope), volume.place, message);
    if (row != nullptr) f.severity = Severity::kHigh;
    f.remedy = no_remedy(
        "what is to be read there is not known: use a volume claim, or keep the "
        "line and accept that Pod Security stops here");
  }
}

void check_runtime_socket(Scope& scope) {
  for (const VolumeEntry& volume : scope.workload().volumes) {
    if (!is_runtime_socket(volume.host_path)) continue;
    Finding& f = scope.add(only_container(scope), volume.place,
                           "mounts " + volume.host_path +
                               ": whoever speaks to the runtime's socket is root on the host");
    f.remedy = no_remedy("what uses the socket must change first");
  }
}

void check_devices(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    for (const Named& device : c.devices) {
      std::string path = base::split(device.name, ':').front();
      bool gpu = base::starts_with(path, "/dev/nvidia");
      Finding& f = scope.add(&c, device.place,
                             "gives the device " + path +
                                 (gpu ? ": for compute /dev/nvidiactl, "
                                        "/dev/nvidia-uvm and the card's own "
                                        "node suffice"
                                      : ": its driver is attack surface in "
                                        "the host's kernel"));
      f.severity = gpu ? Severity::kLow : Severity::kMedium;
      f.remedy = no_remedy("whether the device is used shows only at run time: pare prove");
    }
    for (const MountEntry& mount : c.mounts) {
      if (!mount.host || !base::starts_with(mount.source, "/dev/")) continue;
      if (base::starts_with(mount.source, "/dev/shm")) continue;
      Finding& f = scope.add(&c, mount.place, "mounts the device path " + mount.source);
      f.remedy = no_remedy("whether the device is used shows only at run time: pare prove");
    }
  }
}

void check_volume_types(Scope& scope) {
  static constexpr std::array<std::string_view, 10> kAllowed = {
      "configMap", "csi",    "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
      "projected", "secret", "image",       "hostPath"};  // hostPath: PARE014
  for (const VolumeEntry& volume : scope.workload().volumes) {
    if (std::find(kAllowed.begin(), kAllowed.end(), volume.type) != kAllowed.end()) continue;
    Finding& f = scope.add(nullptr, volume.place,
                           "volume " + volume.name + " is of type " + volume.type +
                               ", which Pod Security restricted refuses");
    f.remedy = no_remedy("use a volume claim for it");
  }
}

void check_sysctls(Scope& scope) {
  for (const Named& sysctl : scope.workload().sysctls) {
    static constexpr std::array<std::string_view, 12> kSafe = {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem"};
    if (std::find(kSafe.begin(), kSafe.end(), sysctl.name) != kSafe.end()) continue;
    Finding& f =
        scope.add(nullptr, sysctl.place, "sets " + sysctl.name + ", which is not in the safe set");
    f.remedy = no_remedy("whether the server needs it shows only at run time: pare prove");
  }
}

}  // namespace pare::audit
