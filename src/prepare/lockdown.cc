#include "prepare/lockdown.h"

#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <set>

namespace pare::prepare {

namespace {

constexpr std::array kCalls = {
    SCMP_SYS(openat2), SCMP_SYS(openat), SCMP_SYS(statx), SCMP_SYS(newfstatat), SCMP_SYS(fstat),
    SCMP_SYS(fstatfs), SCMP_SYS(getdents64), SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(write),
    SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(lseek), SCMP_SYS(fcntl), SCMP_SYS(readlinkat),
    SCMP_SYS(readlink), SCMP_SYS(fadvise64),
    // What it is for.
    SCMP_SYS(fchownat), SCMP_SYS(fchown), SCMP_SYS(fchmod), SCMP_SYS(mkdirat), SCMP_SYS(fsetxattr),
    SCMP_SYS(fgetxattr), SCMP_SYS(fremovexattr), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(unlinkat), SCMP_SYS(fsync),
    // Memory, threads, time, signals, the end.
    SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mprotect), SCMP_SYS(mremap), SCMP_SYS(madvise),
    SCMP_SYS(brk), SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
    SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler), SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(tgkill),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(restart_syscall),
    SCMP_SYS(getrandom), SCMP_SYS(prlimit64), SCMP_SYS(sysinfo), SCMP_SYS(geteuid),
    SCMP_SYS(getuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(ioctl), SCMP_SYS(exit),
    SCMP_SYS(exit_group)};

Status keep_capabilities(bool foreign) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct held[2]{};
  if (syscall(SYS_capget, &header, held) != 0) return fail_errno("cannot read capabilities", errno);
  uint32_t keep = 1U << CAP_CHOWN | 1U << CAP_FOWNER;
  if (foreign) keep |= 1U << CAP_DAC_OVERRIDE;
  for (int number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number) {
    if (number < 32 && (keep >> number & 1) != 0) continue;
    // Without CAP_SETPCAP the bounding set stays; nothing can be executed any more anyway.
    (void)prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
  }
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  held[0].permitted &= keep;
  held[0].effective = held[0].permitted;
  held[1] = {};
  held[0].inheritable = 0;
  if (syscall(SYS_capset, &header, held) == 0) return {};
  return fail_errno("cannot give capabilities up", errno);
}

Status join_groups(const Spec& spec) {
  std::set<gid_t> groups;
  if (spec.own) groups.insert(spec.own->gid);
  for (const Directory& directory : spec.directories) {
    if (directory.owner) groups.insert(directory.owner->gid);
  }
  if (groups.empty()) return {};
  std::vector<gid_t> list(groups.begin(), groups.end());
  // Without CAP_SETGID the groups that it has must do; what they do not allow is reported then.
  if (setgroups(list.size(), list.data()) == 0 || errno == EPERM) return {};
  return fail_errno("cannot join the groups of the specification", errno);
}

Status confine_calls() {
  std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)),
                                                           seccomp_release);
  if (!filter) return fail(ErrorKind::kHost, "cannot make a seccomp filter");
  for (int call : kCalls) {
    int error = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
    if (error != 0) return fail_errno("cannot make a seccomp filter", -error);
  }
  int error = seccomp_load(filter.get());
  return error == 0 ? Status() : fail_errno("cannot load a seccomp filter", -error);
}

}  // namespace

Status lock_down(const Spec& spec) {
  PARE_CHECK_OK(join_groups(spec));
  PARE_CHECK_OK(keep_capabilities(spec.foreign));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail_errno("cannot set no_new_privs", errno);
  }
  return confine_calls();
}

}  // namespace pare::prepare
