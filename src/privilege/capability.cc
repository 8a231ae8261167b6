#include "privilege/capability.h"

#include <array>

#include "base/text.h"

namespace pare::privilege {

namespace {
// Danger orders what is taken away first; 100 is root on the host in one step.
constexpr std::array<CapabilityRow, kCapabilityCount> kRows = {{
    {0, "CHOWN", 70, "take ownership of any file it can reach",
     "start as the final owner, or settle ownership once in an init step"},
    {1, "DAC_OVERRIDE", 80, "read and write every file in its mounts whatever their modes",
     "run as the uid that owns the files"},
    {2, "DAC_READ_SEARCH", 78, "read every file in its mounts, and open host files by handle",
     "run as the uid that owns the files"},
    {3, "FOWNER", 68, "change modes and attributes of files it does not own",
     "run as the uid that owns the files"},
    {4, "FSETID", 40, "keep set-user-id bits on files it changes", "do not create set-id files"},
    {5, "KILL", 35, "signal processes of every user in its pid namespace",
     "run all processes under one uid"},
    {6, "SETGID", 62, "become any group", "start as the final gid"},
    {7, "SETUID", 66, "become any user", "start as the final uid"},
    {8, "SETPCAP", 45, "move capabilities between its own sets", "start with the final sets"},
    {9, "LINUX_IMMUTABLE", 50, "make files that nobody else can change or remove", ""},
    {10, "NET_BIND_SERVICE", 15, "listen on ports below 1024, posing as a system service",
     "listen on a port of 1024 or above, or lower net.ipv4.ip_unprivileged_port_start"},
    {11, "NET_BROADCAST", 10, "nothing in current kernels", ""},
    {12, "NET_ADMIN", 85, "rewrite routes, firewall rules and interfaces of its network namespace",
     ""},
    {13, "NET_RAW", 60, "forge packets and sniff its network (ARP and DNS spoofing of neighbours)",
     "use an unprivileged ICMP socket (net.ipv4.ping_group_range) or TCP"},
    {14, "IPC_LOCK", 25, "pin memory without limit", "raise RLIMIT_MEMLOCK"},
    {15, "IPC_OWNER", 30, "use every System V IPC object in its IPC namespace", ""},
    {16, "SYS_MODULE", 100, "load code into the host's kernel", ""},
    {17, "SYS_RAWIO", 98, "reach I/O ports and physical memory", ""},
    {18, "SYS_CHROOT", 42, "change its root directory, a step of known break-outs",
     "do not chroot inside a container"},
    {19, "SYS_PTRACE", 82, "read and change the memory of other processes",
     "allow pidfd_getfd in the seccomp profile instead"},
    {20, "SYS_PACCT", 30, "switch process accounting on and off", ""},
    {21, "SYS_ADMIN", 99, "mount file systems and much else: in practice root on the host", ""},
    {22, "SYS_BOOT", 90, "reboot the host or load another kernel", ""},
    {23, "SYS_NICE", 28, "raise its priority and move other processes' memory",
     "allow mbind, set_mempolicy and get_mempolicy in the seccomp profile instead"},
    {24, "SYS_RESOURCE", 48, "exceed its resource limits and quotas", "raise the limit it needs"},
    {25, "SYS_TIME", 55, "set the host's clock", ""},
    {26, "SYS_TTY_CONFIG", 30, "hang up and configure terminals", ""},
    {27, "MKNOD", 58, "create device nodes", "use the devices that the platform provides"},
    {28, "LEASE", 20, "place leases on files of others", ""},
    {29, "AUDIT_WRITE", 32, "write records into the host's audit log", "do not log in through PAM"},
    {30, "AUDIT_CONTROL", 75, "switch the host's auditing off", ""},
    {31, "SETFCAP", 64, "give capabilities to files",
     "set file capabilities when the image is built"},
    {32, "MAC_OVERRIDE", 76, "ignore mandatory access control", ""},
    {33, "MAC_ADMIN", 77, "change mandatory access control policy", ""},
    {34, "SYSLOG", 52, "read the host's kernel log and kernel addresses", ""},
    {35, "WAKE_ALARM", 12, "wake the host from suspend", ""},
    {36, "BLOCK_SUSPEND", 12, "keep the host from suspending", ""},
    {37, "AUDIT_READ", 53, "read the host's audit log", ""},
    {38, "PERFMON", 72, "observe other processes and the kernel through perf events", ""},
    {39, "BPF", 84, "load BPF programs into the host's kernel", ""},
    {40, "CHECKPOINT_RESTORE", 56, "restore processes with chosen ids and read others' mappings",
     ""},
}};
}  // namespace

const CapabilityRow& capability_row(int number) {
  return kRows.at(static_cast<size_t>(number));
}

std::optional<int> capability_number(std::string_view name) {
  std::string wanted = base::upper(name);
  if (base::starts_with(wanted, "CAP_")) wanted.erase(0, 4);
  for (const CapabilityRow& row : kRows) {
    if (row.name == wanted) return row.number;
  }
  return std::nullopt;
}

CapabilitySet::CapabilitySet(std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) add(capability_number(name).value());
}

Result<CapabilitySet> CapabilitySet::parse(const std::vector<std::string>& names) {
  CapabilitySet set;
  std::vector<std::string> known{"ALL"};
  for (const CapabilityRow& row : kRows) known.emplace_back(row.name);
  for (const std::string& name : names) {
    if (base::upper(name) == "ALL" || base::upper(name) == "CAP_ALL") {
      set = all();
      continue;
    }
    auto number = capability_number(name);
    if (!number) {
      std::string near = base::nearest(base::upper(name), known);
      return fail(ErrorKind::kUsage, "unknown capability '" + name + "'" +
                                         (near.empty() ? "" : ", did you mean " + near + "?"));
    }
    set.add(*number);
  }
  return set;
}

std::vector<std::string> CapabilitySet::names() const {
  std::vector<std::string> out;
  for (const CapabilityRow& row : kRows) {
    if (has(row.number)) out.emplace_back(row.name);
  }
  return out;
}

}  // namespace pare::privilege
