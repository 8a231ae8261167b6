// One row an axis, and the spelling of privileges.
#include <algorithm>

#include "base/text.h"
#include "privilege/capability.h"
#include "privilege/privilege.h"

namespace pare::privilege {

const std::vector<AxisRow>& axis_table() {
  static const std::vector<AxisRow> kTable = {
      {Axis::kUser, "user", 74, "started as another uid and gid", "securityContext.runAsUser",
       "--user",
       "root in the container: every file of uid 0, and the host's uid 0 after a break-out",
       "run as a uid that owns what it must read and write"},
      {Axis::kGroup, "group", 24, "left out of the supplementary groups",
       "securityContext.supplementalGroups", "--group-add",
       "every file, socket and device that the group may use",
       "give what it reads and writes to the server's uid"},
      {Axis::kEscalation, "escalation", 54, "no_new_privs (prctl(2))",
       "securityContext.allowPrivilegeEscalation", "--security-opt no-new-privileges",
       "set-user-id programs and file capabilities raise privileges again",
       "do not call sudo, su or ping inside the container"},
      {Axis::kCapability, "capability", 60, "left out of every capability set",
       "securityContext.capabilities", "--cap-drop/--cap-add", "see the capability", ""},
      {Axis::kNamespace, "namespace", 92, "a namespace of its own", "hostNetwork, hostPID, hostIPC",
       "--network/--pid/--ipc host",
       "the host's processes, shared memory or network are within reach", ""},
      {Axis::kDevice, "device", 65, "node absent and device cgroup refuses it", "", "--device",
       "the driver behind the node is attack surface in the host's kernel", ""},
      {Axis::kRootfs, "rootfs", 44, "root file system mounted read-only",
       "securityContext.readOnlyRootFilesystem", "--read-only",
       "change the server's own programs and persist in the container",
       "mount a tmpfs at the directories that it writes"},
      {Axis::kWrite, "write", 12, "no writable mount at the path", "emptyDir volume", "--tmpfs",
       "a place to drop files", "point the server elsewhere with its cache variables"},
      {Axis::kVolumeWrite, "volume-write", 46, "volume mounted read-only",
       "volumeMounts[].readOnly", "-v ...:ro", "poison the model that every later start loads",
       "fill the volume in a pull phase of its own and mount it read-only"},
      {Axis::kPort, "port", 38, "not reachable from outside", "NetworkPolicy ingress", "-p",
       "an endpoint to talk to from the network", "switch the listener off"},
      {Axis::kEndpoint, "endpoint", 32, "the server's own switch, where one is known",
       "HTTPRoute path match, in front", "a proxy in front",
       "metrics, prompts of other callers, or control of the model, without a login",
       "switch it off, or allow only the paths that clients need in front of it"},
      {Axis::kEgress, "egress", 56, "no interface but loopback", "NetworkPolicy egress",
       "--network none or an internal network",
       "send data out, fetch tools, reach the cloud metadata service and neighbours",
       "pull the model in a phase of its own"},
      {Axis::kSyscall, "syscall", 36, "refused by a seccomp filter (EPERM, newer calls ENOSYS)",
       "securityContext.seccompProfile", "--security-opt seccomp=", "kernel attack surface", ""},
      {Axis::kIoctl, "ioctl", 26, "request refused by a seccomp filter",
       "securityContext.seccompProfile", "--security-opt seccomp=", "driver attack surface", ""},
      {Axis::kPids, "pids", 8, "pids cgroup limit", "", "--pids-limit",
       "exhaust the host's process table", ""},
      {Axis::kMemlock, "memlock", 6, "RLIMIT_MEMLOCK at the platform's default", "",
       "--ulimit memlock=", "pin the host's memory", ""},
      {Axis::kShm, "shm", 4, "/dev/shm at the platform's default size", "emptyDir medium Memory",
       "--shm-size", "use more of the host's memory", ""},
      {Axis::kSysctl, "sysctl", 16, "left at the platform's default", "securityContext.sysctls",
       "--sysctl", "looser kernel limits in its namespaces", ""},
  };
  return kTable;
}

const AxisRow& axis_row(Axis axis) {
  const auto& table = axis_table();
  return *std::find_if(table.begin(), table.end(),
                       [&](const AxisRow& r) { return r.axis == axis; });
}

std::string_view axis_name(Axis axis) {
  return axis_row(axis).name;
}

std::string to_string(const Privilege& privilege) {
  bool path = base::starts_with(privilege.value, "/");
  return std::string(axis_name(privilege.axis)) + (path ? ":" : "/") + privilege.value;
}

Result<Privilege> parse_privilege(std::string_view text) {
  size_t end = text.find_first_of("/:");
  std::string_view name = text.substr(0, end);
  for (const AxisRow& row : axis_table()) {
    if (row.name != name || end == std::string_view::npos) continue;
    Privilege privilege{row.axis, std::string(text.substr(end + 1))};
    if (!privilege.value.empty() && to_string(privilege) == text) return privilege;
  }
  return fail(ErrorKind::kUsage, "'" + std::string(text) +
                                     "' is not a privilege: write axis/value, e.g. "
                                     "capability/NET_RAW or write:/cache");
}

static const CapabilityRow* capability_of(const Privilege& privilege) {
  if (privilege.axis != Axis::kCapability) return nullptr;
  auto number = capability_number(privilege.value);
  return number ? &capability_row(*number) : nullptr;
}

int danger(const Privilege& privilege) {
  const CapabilityRow* row = capability_of(privilege);
  return row != nullptr ? row->danger : axis_row(privilege.axis).danger;
}

std::string_view gain(const Privilege& privilege) {
  const CapabilityRow* row = capability_of(privilege);
  return row != nullptr ? row->gain : axis_row(privilege.axis).gain;
}

}  // namespace pare::privilege
