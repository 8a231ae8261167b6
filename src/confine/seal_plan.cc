#include <sched.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "confine/seal.h"
#include "privilege/seccomp.h"

namespace pare::confine {

using base::Json;

namespace {

// New programs and listeners; what makes or joins namespaces and mounts; what reaches into other
// processes or the kernel. None is called while serving by a server that was not proved to.
constexpr std::array<std::string_view, 52> kNotified = {"execve",
                                                        "execveat",
                                                        "memfd_create",
                                                        "memfd_secret",
                                                        "listen",
                                                        "io_uring_setup",
                                                        "mount",
                                                        "umount2",
                                                        "mount_setattr",
                                                        "move_mount",
                                                        "open_tree",
                                                        "fsopen",
                                                        "fsmount",
                                                        "fsconfig",
                                                        "fspick",
                                                        "pivot_root",
                                                        "chroot",
                                                        "unshare",
                                                        "setns",
                                                        "ptrace",
                                                        "process_vm_readv",
                                                        "process_vm_writev",
                                                        "pidfd_getfd",
                                                        "kcmp",
                                                        "bpf",
                                                        "perf_event_open",
                                                        "userfaultfd",
                                                        "open_by_handle_at",
                                                        "name_to_handle_at",
                                                        "keyctl",
                                                        "add_key",
                                                        "request_key",
                                                        "init_module",
                                                        "finit_module",
                                                        "delete_module",
                                                        "kexec_load",
                                                        "kexec_file_load",
                                                        "swapon",
                                                        "swapoff",
                                                        "reboot",
                                                        "sethostname",
                                                        "setdomainname",
                                                        "acct",
                                                        "quotactl",
                                                        "quotactl_fd",
                                                        "syslog",
                                                        "iopl",
                                                        "ioperm",
                                                        "fanotify_init",
                                                        "lookup_dcookie",
                                                        "settimeofday",
                                                        "clock_settime"};

constexpr std::array<uint64_t, 8> kNamespaceFlags = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                                     CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                                     CLONE_NEWNET, CLONE_NEWTIME};

bool has_name(const Json& rule, std::string_view name) {
  const Json& names = rule.at("names");
  return std::find(names.begin(), names.end(), name) != names.end();
}

void remove_name(Json& rule, std::string_view name) {
  Json kept = Json::array();
  for (const Json& one : rule.at("names")) {
    if (one.get<std::string>() != name) kept.push_back(one);
  }
  rule["names"] = kept;
}

// Allowed with any flags, it becomes: allowed without namespaces, asked for with them.
void split_clone(Json& rules) {
  bool any = false;
  for (Json& rule : rules) {
    if (!has_name(rule, "clone") || rule.contains("args")) continue;
    remove_name(rule, "clone");
    any = true;
  }
  if (!any) return;
  uint64_t all = 0;
  for (uint64_t flag : kNamespaceFlags) all |= flag;
  // CLONE_NEWTIME (0x80) lies in what clone(2) takes for the exit signal: it is clone3's alone.
  all &= ~uint64_t{CLONE_NEWTIME};
  auto rule = [](const char* action, uint64_t mask, uint64_t value) {
    return Json{{"names", Json::array({"clone"})},
                {"action", action},
                {"args", Json::array({{{"index", 0},
                                       {"value", mask},
                                       {"valueTwo", value},
                                       {"op", "SCMP_CMP_MASKED_EQ"}}})}};
  };
  rules.push_back(rule("SCMP_ACT_ALLOW", all, 0));
  for (uint64_t flag : kNamespaceFlags) {
    if ((all & flag) != 0) rules.push_back(rule("SCMP_ACT_NOTIFY", flag, flag));
  }
}

}  // namespace

SealPlan plan_seal(const privilege::Policy& policy, const std::string& listener) {
  SealPlan plan;
  for (std::string_view name : kNotified) plan.notified.emplace(name);
  Json profile = {{"defaultAction", "SCMP_ACT_ALLOW"},
                  {"architectures", Json::array({"SCMP_ARCH_X86_64"})},
                  {"syscalls", Json::array()}};
  if (policy.seccomp) {
    profile = privilege::oci_seccomp(*policy.seccomp);
    const privilege::SeccompProfile& proved = *policy.seccomp;
    for (const std::string& name : proved.syscalls) {
      if (plan.notified.count(name) > 0) plan.before.insert(name);
    }
    for (const std::string& name : proved.serve) {
      if (plan.notified.count(name) > 0) plan.after.insert(name);
    }
    for (const std::string& name : proved.enosys) {
      if (plan.before.count(name) == 0) plan.as_absent.insert(name);
    }
  } else {
    plan.before = {"execve", "execveat", "memfd_create", "listen"};
    profile["syscalls"].push_back(
        {{"names", Json::array({"clone"})}, {"action", "SCMP_ACT_ALLOW"}});
  }
  Json& rules = profile["syscalls"];
  for (Json& rule : rules) {
    // Who has been seen to use clone3 gets clone in its place, which libc turns to.
    bool allows = rule.at("action") == "SCMP_ACT_ALLOW" && !rule.contains("args");
    if (allows && has_name(rule, "clone3") && !has_name(rule, "clone")) {
      rule["names"].push_back("clone");
    }
  }
  for (Json& rule : rules) {
    for (const std::string& name : plan.notified) remove_name(rule, name);
    remove_name(rule, "clone3");
  }
  split_clone(rules);
  if (!policy.seccomp) {
    // What is allowed by default needs no rule, and libseccomp refuses one.
    for (Json& rule : rules) {
      if (rule.at("action") == "SCMP_ACT_ALLOW") rule["names"] = Json::array();
    }
  }
  if (policy.seccomp) {
    // Under the filter crun waits for the process that hands its descriptor over (libcrun/seccomp.c
    // of 1.8).
    rules.push_back({{"names", Json::array({"wait4"})}, {"action", "SCMP_ACT_ALLOW"}});
  }
  rules.push_back(
      {{"names", Json::array({"clone3"})}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", 38}});
  rules.push_back({{"names", plan.notified}, {"action", "SCMP_ACT_NOTIFY"}});
  Json kept = Json::array();
  for (const Json& rule : rules) {
    if (!rule.at("names").empty()) kept.push_back(rule);
  }
  rules = kept;
  profile["listenerPath"] = listener;
  plan.profile = profile.dump();
  return plan;
}

}  // namespace pare::confine
