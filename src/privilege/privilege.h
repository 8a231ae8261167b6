// The vocabulary: a Privilege is one thing that a platform grants and could withhold.
#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pare::privilege {

enum class Axis {
  kUser,         // user/root
  kGroup,        // group/2000             a supplementary group, by number
  kEscalation,   // escalation/new-privileges
  kCapability,   // capability/NET_RAW
  kNamespace,    // namespace/host-ipc, host-pid, host-network
  kDevice,       // device:/dev/nvidia0, device/nvidia-graphics (a driver capability)
  kRootfs,       // rootfs/write
  kWrite,        // write:/cache           a writable path in the root file system
  kVolumeWrite,  // volume-write:/models   a volume mounted read-write
  kPort,         // port/8080/tcp          reachable from outside the container
  kEndpoint,     // endpoint/GET /slots    a path that answers on a port that is reachable
  kEgress,       // egress/any, egress/huggingface.co:443
  kSyscall,      // syscall/any (no filter), syscall/io_uring_setup
  kIoctl,        // ioctl:/dev/nvidiactl
  kPids,         // pids/max
  kMemlock,      // memlock/unlimited
  kShm,          // shm/size
  kSysctl,       // sysctl/net.ipv4.ip_unprivileged_port_start
};

struct Privilege {
  Axis axis = Axis::kUser;
  std::string value;
  auto operator<=>(const Privilege&) const = default;
};

// "axis/value", or "axis:value" where the value is a path. parse_privilege is the inverse.
std::string to_string(const Privilege& privilege);
Result<Privilege> parse_privilege(std::string_view text);

// One row an axis: the only place that says what withholding means on each platform.
struct AxisRow {
  Axis axis;
  std::string_view name;        // as written in privileges and proofs
  int danger;                   // 0..100, as for capabilities (which have their own rows)
  std::string_view withheld;    // how an engine takes it away
  std::string_view kubernetes;  // the field that spells it; empty: cannot be expressed
  std::string_view docker;      // the option that spells it
  std::string_view gain;        // what it would give an attacker
  std::string_view fix;         // how its need can be removed
};
const std::vector<AxisRow>& axis_table();
const AxisRow& axis_row(Axis axis);
std::string_view axis_name(Axis axis);

// 0..100; for capabilities from their own table. Higher goes first when either of two would do.
int danger(const Privilege& privilege);
// What holding it gives an attacker, one clause.
std::string_view gain(const Privilege& privilege);

}  // namespace pare::privilege
