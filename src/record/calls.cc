#include "record/calls.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace pare::record {
namespace {

constexpr int kFchmodat2 = 452;  // Linux 6.6; not in Debian 12's headers

constexpr pare_shape shape(int kind, int how, int dirfd, int path, int flags = -1) {
  pare_shape s = {};
  s.kind = static_cast<__u8>(kind);
  s.how = static_cast<__u16>(how);
  s.dirfd = static_cast<__s8>(dirfd);
  s.path = static_cast<__s8>(path);
  s.flags = static_cast<__s8>(flags);
  s.dirfd2 = s.path2 = s.fd = -1;
  return s;
}
constexpr pare_shape opens(int dirfd, int path, int flags, int how = 0) {
  return shape(PARE_SHAPE_OPEN, how, dirfd, path, flags);
}
constexpr pare_shape changes(int dirfd, int path, int flags = -1) {
  return shape(PARE_SHAPE_CHANGE, 0, dirfd, path, flags);
}
constexpr pare_shape makes(int dirfd, int path, int flags = -1) {
  return shape(PARE_SHAPE_CHANGE, PARE_MAKES, dirfd, path, flags);
}
constexpr pare_shape moves(int dirfd, int path, int dirfd2, int path2) {
  pare_shape s = makes(dirfd, path);
  s.dirfd2 = static_cast<__s8>(dirfd2);
  s.path2 = static_cast<__s8>(path2);
  return s;
}
constexpr pare_shape by_fd(int fd) {
  pare_shape s = changes(-1, -1);
  s.fd = static_cast<__s8>(fd);
  return s;
}
constexpr pare_shape looks(int dirfd, int path, int flags = -1) {
  return shape(PARE_SHAPE_LOOK, 0, dirfd, path, flags);
}
// Looked at when the call checks a capability.
constexpr pare_shape values(int mask, int how = 0) {
  pare_shape s = shape(PARE_SHAPE_VALUES, how, -1, -1);
  s.values = static_cast<__u8>(mask);
  return s;
}
// A fact by themselves as well.
constexpr pare_shape argued(int mask, int how = 0) {
  return values(mask, PARE_ARGUED | how);
}

constexpr CallRow kRows[] = {
    {SYS_open, opens(-1, 0, 1), "open", true},
    {SYS_openat, opens(0, 1, 2), "open", true},
    {SYS_openat2, opens(0, 1, 2, PARE_OPEN_HOW), "open", true},
    {SYS_creat, opens(-1, 0, -1, PARE_OPEN_MAKES), "open", true},
    {SYS_mkdir, makes(-1, 0), "mkdir", false},
    {SYS_mkdirat, makes(0, 1), "mkdir", false},
    {SYS_mknod, makes(-1, 0), "mknod", false},
    {SYS_mknodat, makes(0, 1), "mknod", false},
    {SYS_rmdir, changes(-1, 0), "unlink", false},
    {SYS_unlink, changes(-1, 0), "unlink", false},
    {SYS_unlinkat, changes(0, 1), "unlink", false},
    {SYS_rename, moves(-1, 0, -1, 1), "rename", false},
    {SYS_renameat, moves(0, 1, 2, 3), "rename", false},
    {SYS_renameat2, moves(0, 1, 2, 3), "rename", false},
    {SYS_link, makes(-1, 1), "link", false},
    {SYS_linkat, makes(2, 3), "link", false},
    {SYS_symlink, makes(-1, 1), "symlink", false},
    {SYS_symlinkat, makes(1, 2), "symlink", false},
    {SYS_chmod, changes(-1, 0), "chmod", true},
    {SYS_fchmod, by_fd(0), "chmod", true},
    {SYS_fchmodat, changes(0, 1), "chmod", true},
    {kFchmodat2, changes(0, 1, 3), "chmod", true},
    {SYS_chown, changes(-1, 0), "chown", true},
    {SYS_lchown, changes(-1, 0), "chown", false},
    {SYS_fchown, by_fd(0), "chown", true},
    {SYS_fchownat, changes(0, 1, 4), "chown", true},
    {SYS_truncate, changes(-1, 0), "truncate", true},
    {SYS_ftruncate, by_fd(0), "truncate", true},
    {SYS_utime, changes(-1, 0), "utime", true},
    {SYS_utimes, changes(-1, 0), "utime", true},
    {SYS_futimesat, changes(0, 1), "utime", true},
    {SYS_utimensat, changes(0, 1, 3), "utime", true},
    {SYS_setxattr, changes(-1, 0), "setxattr", true},
    {SYS_lsetxattr, changes(-1, 0), "setxattr", false},
    {SYS_fsetxattr, by_fd(0), "setxattr", true},
    {SYS_removexattr, changes(-1, 0), "setxattr", true},
    {SYS_lremovexattr, changes(-1, 0), "setxattr", false},
    {SYS_fremovexattr, by_fd(0), "setxattr", true},
    {SYS_stat, looks(-1, 0), "stat", true},
    {SYS_lstat, looks(-1, 0), "stat", false},
    {SYS_newfstatat, looks(0, 1, 3), "stat", true},
    {SYS_statx, looks(0, 1, 2), "stat", true},
    {SYS_access, looks(-1, 0), "stat", true},
    {SYS_faccessat, looks(0, 1), "stat", true},
    {SYS_faccessat2, looks(0, 1, 3), "stat", true},
    {SYS_readlink, looks(-1, 0), "stat", false},
    {SYS_readlinkat, looks(0, 1), "stat", false},
    {SYS_chdir, looks(-1, 0), "stat", true},
    {SYS_statfs, looks(-1, 0), "stat", true},
    {SYS_execve, shape(PARE_SHAPE_EXEC, 0, -1, 0), "", true},
    {SYS_execveat, shape(PARE_SHAPE_EXEC, 0, 0, 1, 4), "", true},
    {SYS_bind, shape(PARE_SHAPE_ADDRESS, PARE_LISTENS, -1, 1), "create", false},
    {SYS_connect, shape(PARE_SHAPE_ADDRESS, 0, -1, 1), "connect", true},
    {SYS_sendto, shape(PARE_SHAPE_SEND, PARE_TO, -1, 4), "", false},
    {SYS_sendmsg, shape(PARE_SHAPE_SEND, 0, -1, 1), "", false},
    {SYS_sendmmsg, shape(PARE_SHAPE_SEND, 0, -1, 1), "", false},
    {SYS_listen, shape(PARE_SHAPE_LISTEN, 0, -1, -1), "", false},
    {SYS_socket, argued(0b111), "", false},
    {SYS_socketpair, argued(0b111), "", false},
    {SYS_clone, argued(0b1, PARE_WIDE | PARE_FORKS), "", false},
    // The kernel side puts the flags there.
    {SYS_clone3, argued(0b1, PARE_WIDE | PARE_FORKS), "", false},
    {SYS_unshare, argued(0b1), "", false},
    {SYS_setns, argued(0b10), "", false},
    {SYS_personality, argued(0b1), "", false},
    {SYS_prctl, argued(0b1), "", false},
    {SYS_ioctl, argued(0b10), "", false},
    {SYS_mmap, argued(0b100, PARE_IF_EXEC), "", false},
    {SYS_mprotect, argued(0b100, PARE_IF_EXEC), "", false},
    {SYS_pkey_mprotect, argued(0b100, PARE_IF_EXEC), "", false},
    {SYS_keyctl, argued(0b1), "", false},
    {SYS_ptrace, argued(0b1), "", false},
    {SYS_bpf, argued(0b1), "", false},
    {SYS_setuid, argued(0b1), "", false},
    {SYS_setgid, argued(0b1), "", false},
    {SYS_setreuid, argued(0b11), "", false},
    {SYS_setregid, argued(0b11), "", false},
    {SYS_setresuid, argued(0b111), "", false},
    {SYS_setresgid, argued(0b111), "", false},
    {SYS_setfsuid, argued(0b1), "", false},
    {SYS_setfsgid, argued(0b1), "", false},
    {SYS_setgroups, values(0b1), "", false},
    {SYS_kill, values(0b11), "", false},
    {SYS_tkill, values(0b11), "", false},
    {SYS_tgkill, values(0b111), "", false},
    {SYS_setpriority, values(0b101), "", false},
    {SYS_sched_setscheduler, values(0b10), "", false},
    {SYS_setrlimit, values(0b1), "", false},
    {SYS_prlimit64, values(0b10), "", false},
    {SYS_setsockopt, values(0b110), "", false},
};

struct Name {
  uint64_t value;
  const char* name;
};
constexpr Name kFamilies[] = {{AF_UNIX, "AF_UNIX"},     {AF_INET, "AF_INET"},
                              {AF_INET6, "AF_INET6"},   {AF_NETLINK, "AF_NETLINK"},
                              {AF_PACKET, "AF_PACKET"}, {AF_VSOCK, "AF_VSOCK"},
                              {AF_ALG, "AF_ALG"},       {AF_BLUETOOTH, "AF_BLUETOOTH"},
                              {AF_TIPC, "AF_TIPC"},     {44, "AF_XDP"}};
constexpr Name kTypes[] = {{SOCK_STREAM, "SOCK_STREAM"},
                           {SOCK_DGRAM, "SOCK_DGRAM"},
                           {SOCK_RAW, "SOCK_RAW"},
                           {SOCK_SEQPACKET, "SOCK_SEQPACKET"}};

template <size_t N>
std::string name_of(const Name (&names)[N], uint64_t value, const char* what) {
  for (const Name& n : names)
    if (n.value == value) return n.name;
  return fmt::format("{} {}", what, value);
}

// "uid 1000": the first id that is not -1, which keeps what there is.
std::string changed_id(const char* what, const __u64 args[6], int count) {
  for (int i = 0; i < count; ++i)
    if (static_cast<uint32_t>(args[i]) != UINT32_MAX)
      return fmt::format("{} {}", what, static_cast<uint32_t>(args[i]));
  return "";
}

}  // namespace

const CallRow* call_row(int number) {
  static const auto index = [] {
    std::array<const CallRow*, PARE_SYSCALLS> rows{};
    for (const CallRow& row : kRows) rows[static_cast<size_t>(row.number)] = &row;
    return rows;
  }();
  return number >= 0 && number < PARE_SYSCALLS ? index[static_cast<size_t>(number)] : nullptr;
}

void fill_shapes(pare_shape* shapes) {
  for (const CallRow& row : kRows) shapes[row.number] = row.shape;
}

bool follows_link(const CallRow& row, const __u64 args[6]) {
  if (row.shape.flags < 0 || row.shape.kind == PARE_SHAPE_OPEN) return row.follows;
  return row.follows && !(args[row.shape.flags] & AT_SYMLINK_NOFOLLOW);
}

std::string describe_values(int number, const __u64 args[6]) {
  switch (number) {
    case SYS_socket:
      return name_of(kFamilies, args[0], "family") + " " + name_of(kTypes, args[1] & 0xf, "type") +
             (args[2] ? fmt::format(" protocol {}", args[2]) : "");
    case SYS_setuid:
    case SYS_setfsuid:
      return changed_id("uid", args, 1);
    case SYS_setreuid:
      return changed_id("uid", args, 2);
    case SYS_setresuid:
      return changed_id("uid", args, 3);
    case SYS_setgid:
    case SYS_setfsgid:
      return changed_id("gid", args, 1);
    case SYS_setregid:
      return changed_id("gid", args, 2);
    case SYS_setresgid:
      return changed_id("gid", args, 3);
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
      return fmt::format("process {}", static_cast<int32_t>(args[0]));
    case SYS_prctl:
      return fmt::format("option {}", args[0]);
    case SYS_unshare:
    case SYS_clone:
    case SYS_clone3:
      return fmt::format("flags {:#x}", args[0]);
    case SYS_setsockopt:
      return fmt::format("level {} option {}", args[1], args[2]);
    case SYS_ioctl:
      return fmt::format("request {:#x}", args[1]);
    case SYS_setrlimit:
      return fmt::format("resource {}", args[0]);
    case SYS_prlimit64:
      return fmt::format("resource {}", args[1]);
    default:
      return "";
  }
}

bool is_overcommit_site(int number, const __u64 args[6]) {
  constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                   CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  if (number == SYS_clone || number == SYS_clone3) return (args[0] & kNamespaces) == 0;
  // 0xffff: no call at all, the stack grew.
  constexpr int kSites[] = {SYS_brk,    SYS_mmap,     SYS_mremap, SYS_mprotect, SYS_fork, SYS_vfork,
                            SYS_execve, SYS_execveat, SYS_shmget, SYS_shmat,    0xffff};
  return std::find(std::begin(kSites), std::end(kSites), number) != std::end(kSites);
}

}  // namespace pare::record
