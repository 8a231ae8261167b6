#include "privilege/seccomp.h"

#include <seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <set>
#include <string_view>
#include <utility>

#include "base/json.h"

namespace pare::privilege {

using base::Json;

namespace {

// The errno names that a profile may answer with.
constexpr std::array<std::pair<std::string_view, int>, 4> kErrnos = {{
    {"EPERM", EPERM},
    {"ENOSYS", ENOSYS},
    {"EACCES", EACCES},
    {"EINVAL", EINVAL},
}};

int errno_number(std::string_view name) {
  for (const auto& [known, number] : kErrnos) {
    if (known == name) return number;
  }
  return EPERM;
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kArchitectures = {{
    {"x86_64", "SCMP_ARCH_X86_64"},
    {"aarch64", "SCMP_ARCH_AARCH64"},
}};

std::string architecture(std::string_view arch) {
  for (const auto& [uname, name] : kArchitectures) {
    if (uname == arch) return std::string(name);
  }
  return "SCMP_ARCH_NATIVE";
}

// Calls of Linux 6.5 and later (include/uapi/asm-generic/unistd.h), which libseccomp 2.5 does not
// know. Runtimes with an older libseccomp skip such names.
constexpr int kFirstNewCall = 451;
constexpr std::array<std::string_view, 19> kNewCalls = {
    "cachestat",         "fchmodat2",         "map_shadow_stack", "futex_wake",
    "futex_wait",        "futex_requeue",     "statmount",        "listmount",
    "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules", "mseal",
    "setxattrat",        "getxattrat",        "listxattrat",      "removexattrat",
    "open_tree_attr",    "file_getattr",      "file_setattr",
};

// One rule for each way to satisfy every narrowed argument of a call.
void add_narrowed(const std::string& name, const std::vector<SeccompArgument>& all, Json& rules) {
  std::vector<Json> ways = {Json::array()};
  for (const SeccompArgument& narrowed : all) {
    if (narrowed.syscall != name) continue;
    std::vector<Json> longer;
    for (const Json& way : ways) {
      for (uint64_t value : narrowed.values) {
        Json condition = {{"index", narrowed.index}, {"op", "SCMP_CMP_EQ"}, {"value", value}};
        if (narrowed.mask != UINT64_MAX) {
          // Of MASKED_EQ the first value is the mask (seccomp_rule_add(3)).
          condition = {{"index", narrowed.index},
                       {"op", "SCMP_CMP_MASKED_EQ"},
                       {"value", narrowed.mask},
                       {"valueTwo", value & narrowed.mask}};
        }
        Json next = way;
        next.push_back(condition);
        longer.push_back(next);
      }
    }
    ways = longer;
  }
  for (const Json& way : ways) {
    rules.push_back({{"names", Json::array({name})}, {"action", "SCMP_ACT_ALLOW"}, {"args", way}});
  }
}

std::vector<std::string> merged(std::initializer_list<std::vector<std::string>> lists) {
  std::set<std::string> all;
  for (const auto& list : lists) all.insert(list.begin(), list.end());
  return {all.begin(), all.end()};
}

}  // namespace

// The two spellings agree for an allow-list: what Docker adds (archMap, includes, excludes) is for
// profiles that serve many architectures and capability sets at once.
Json docker_seccomp(const SeccompProfile& profile) {
  return oci_seccomp(profile);
}

Json oci_seccomp(const SeccompProfile& profile) {
  std::set<std::string> allowed(profile.syscalls.begin(), profile.syscalls.end());
  std::set<std::string> absent;
  for (const std::string& name : profile.enosys) {
    // What is allowed in part is refused with the default elsewhere.
    if (allowed.count(name) == 0) absent.insert(name);
  }
  Json rules = Json::array();
  std::set<std::string> narrowed;
  for (const SeccompArgument& argument : profile.arguments) {
    if (allowed.erase(argument.syscall) > 0) narrowed.insert(argument.syscall);
  }
  if (!allowed.empty()) rules.push_back({{"names", allowed}, {"action", "SCMP_ACT_ALLOW"}});
  for (const std::string& name : narrowed) add_narrowed(name, profile.arguments, rules);
  if (!absent.empty()) {
    rules.push_back({{"names", absent}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", ENOSYS}});
  }
  // One architecture alone: libseccomp then kills what enters the kernel through another (i386's
  // int 0x80, x32), whose call numbers mean something else.
  return {{"defaultAction", "SCMP_ACT_ERRNO"},
          {"defaultErrnoRet", errno_number(profile.default_action)},
          {"architectures", Json::array({architecture(profile.arch)})},
          {"syscalls", rules}};
}

const std::vector<std::string>& error_path_syscalls() {
  // abort(3) in glibc (tgkill) and musl (tkill) with its message (writev), fatal signals and their
  // handlers, exits, and calls that a stop and a continue restart.
  static const std::vector<std::string> kCalls = {
      "exit",         "exit_group",     "futex",        "getpid", "gettid", "restart_syscall",
      "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "tgkill", "tkill",  "write",
      "writev",
  };
  return kCalls;
}

const std::vector<std::string>& runtime_syscalls(bool no_new_privileges) {
  // With no_new_privs runc loads the filter last: it closes its pipes, opens, writes and closes
  // the exec fifo, closes every descriptor it has left (/proc/self/fd) and calls execve. The rest
  // is the Go runtime's on that thread: waking others (futex), growing its heap (mmap, munmap),
  // signals that preempt it (rt_sigreturn, rt_sigprocmask), a collection's netpoll (epoll_pwait:
  // its failure is fatal). What Go ignores the failure of (madvise, sched_yield, nanosleep,
  // epoll_ctl) is left out. statx, fstat, readlinkat and fcntl: how runc 1.3 reopens the fifo
  // through a /proc that it has verified; it does not start where statx answers ENOSYS.
  static const std::vector<std::string> kLate = {
      "close",      "epoll_pwait",    "execve",       "fcntl",  "fstat",
      "fstatfs",    "futex",          "getdents64",   "getpid", "gettid",
      "mmap",       "munmap",         "newfstatat",   "openat", "read",
      "readlinkat", "rt_sigprocmask", "rt_sigreturn", "statx",  "write",
  };
  // Without it loading a filter needs CAP_SYS_ADMIN, so it is loaded before the capabilities are
  // dropped: bounding set, user and groups (setuid in runc, setresuid in crun 1.8), working
  // directory and program look-up come after it.
  static const std::vector<std::string> kEarly =
      merged({kLate,
              {"capget", "capset", "chdir", "faccessat2", "fchown", "getcwd", "getegid", "geteuid",
               "getgid", "getgroups", "getppid", "getuid", "prctl", "setgid", "setgroups",
               "setresgid", "setresuid", "setuid", "tgkill"}});
  return no_new_privileges ? kLate : kEarly;
}

const std::vector<std::string>& fallback_syscalls() {
  // Only ENOSYS makes libc and language runtimes take the older way; EPERM is reported instead.
  static const std::vector<std::string> kCalls = {
      "cachestat",
      "clone3",
      "close_range",
      "copy_file_range",
      "epoll_pwait2",
      "faccessat2",
      "fchmodat2",
      "fsconfig",
      "fsmount",
      "fsopen",
      "fspick",
      "futex_requeue",
      "futex_wait",
      "futex_waitv",
      "futex_wake",
      "io_uring_enter",
      "io_uring_register",
      "io_uring_setup",
      "landlock_create_ruleset",
      "membarrier",
      "memfd_secret",
      "mlock2",
      "mount_setattr",
      "move_mount",
      "mseal",
      "open_tree",
      "openat2",
      "pidfd_getfd",
      "pidfd_open",
      "pidfd_send_signal",
      "preadv2",
      "process_madvise",
      "process_mrelease",
      "pwritev2",
      "renameat2",
      "rseq",
      "set_mempolicy_home_node",
      "statx",
  };
  return kCalls;
}

std::string syscall_name(int number) {
  if (number >= kFirstNewCall && number < kFirstNewCall + static_cast<int>(kNewCalls.size())) {
    return std::string(kNewCalls[static_cast<size_t>(number - kFirstNewCall)]);
  }
  char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, number);
  if (name == nullptr) return "x86_64:" + std::to_string(number);
  std::string known = name;
  free(name);
  return known;
}

}  // namespace pare::privilege
