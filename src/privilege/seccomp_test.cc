#include "privilege/seccomp.h"

#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/json.h"
#include "privilege/seccomp_eval.h"

namespace pare::privilege {

using base::Json;
using Decision = SeccompDecision;
using Kind = SeccompDecision::Kind;

namespace {

const Decision kAllow{Kind::kAllow, 0};
const Decision kEperm{Kind::kErrno, EPERM};
const Decision kEnosys{Kind::kErrno, ENOSYS};
const Decision kKill{Kind::kKill, 0};

SeccompProfile small_profile() {
  SeccompProfile profile;
  profile.syscalls = {"exit_group", "read", "write"};
  profile.enosys = {"clone3", "openat2"};
  return profile;
}

SeccompFilter compiled(const Json& json) {
  auto filter = SeccompFilter::compile(json);
  EXPECT_TRUE(filter) << filter.error().message;
  return std::move(*filter);
}

std::set<std::string> as_set(const std::vector<std::string>& names) {
  return {names.begin(), names.end()};
}

}  // namespace

TEST(Seccomp, MeansWhatTheProfileSays) {
  for (const Json& json : {docker_seccomp(small_profile()), oci_seccomp(small_profile())}) {
    SeccompFilter filter = compiled(json);
    EXPECT_EQ(filter.evaluate("read"), kAllow);
    EXPECT_EQ(filter.evaluate("exit_group"), kAllow);
    EXPECT_EQ(filter.evaluate("clone3"), kEnosys);
    EXPECT_EQ(filter.evaluate("openat2"), kEnosys);
    EXPECT_EQ(filter.evaluate("openat"), kEperm);
    EXPECT_EQ(filter.evaluate("ptrace"), kEperm);
  }
}

TEST(Seccomp, OtherWaysIntoTheKernelAreKilled) {
  SeccompFilter filter = compiled(oci_seccomp(small_profile()));
  // Number 4 is write for i386 and stat for x86_64; neither may pass by the other's name.
  EXPECT_EQ(filter.evaluate(4, {}, kAuditI386), kKill);
  EXPECT_EQ(filter.evaluate(SYS_write, {}, kAuditI386), kKill);
  EXPECT_EQ(filter.evaluate(SYS_write | kX32Bit), kKill);
  EXPECT_EQ(filter.evaluate(SYS_write, {}, 0xC00000B7), kKill);  // AUDIT_ARCH_AARCH64
}

TEST(Seccomp, AnAllowedCallIsNotAnsweredWithEnosys) {
  SeccompProfile profile = small_profile();
  profile.syscalls.push_back("clone3");
  SeccompFilter filter = compiled(oci_seccomp(profile));
  EXPECT_EQ(filter.evaluate("clone3"), kAllow);
  EXPECT_EQ(filter.evaluate("openat2"), kEnosys);
}

TEST(Seccomp, TheDefaultErrorIsTheProfiles) {
  SeccompProfile profile = small_profile();
  profile.default_action = "EACCES";
  SeccompFilter filter = compiled(docker_seccomp(profile));
  EXPECT_EQ(filter.evaluate("ptrace"), (Decision{Kind::kErrno, EACCES}));
}

TEST(Seccomp, AnEmptyProfileAllowsNothing) {
  SeccompFilter filter = compiled(oci_seccomp(SeccompProfile{}));
  for (int number = 0; number < 450; ++number) {
    EXPECT_EQ(filter.evaluate(number), kEperm) << syscall_name(number);
  }
}

TEST(Seccomp, ArgumentsDecideWhereARuleHasThem) {
  Json json = oci_seccomp(small_profile());
  json["syscalls"].push_back({{"names", {"socket"}},
                              {"action", "SCMP_ACT_ALLOW"},
                              {"args", {{{"index", 0}, {"value", 2}, {"op", "SCMP_CMP_EQ"}}}}});
  json["syscalls"].push_back(
      {{"names", {"clone"}},
       {"action", "SCMP_ACT_ALLOW"},
       {"args",
        {{{"index", 0}, {"value", 0x7E020000}, {"valueTwo", 0}, {"op", "SCMP_CMP_MASKED_EQ"}}}}});
  SeccompFilter filter = compiled(json);
  EXPECT_EQ(filter.evaluate("socket", {2, 1, 0}), kAllow);
  EXPECT_EQ(filter.evaluate("socket", {17, 3, 0}), kEperm);           // AF_PACKET
  EXPECT_EQ(filter.evaluate("socket", {0x100000002, 1, 0}), kEperm);  // upper half counts
  EXPECT_EQ(filter.evaluate("clone", {0x3D0F00}), kAllow);            // a thread
  EXPECT_EQ(filter.evaluate("clone", {0x10000000 | 17}), kEperm);     // CLONE_NEWUSER
}

TEST(Seccomp, ACallIsNarrowedToItsArguments) {
  SeccompProfile profile = small_profile();
  profile.syscalls = {"clone", "read", "socket"};
  profile.enosys = {"clone3", "clone"};
  profile.arguments = {{"socket", 0, 0xffffffff, {1, 2}},
                       {"socket", 1, 0xf, {1, 2}},
                       {"clone", 0, 0x7E020000, {0}},
                       {"ptrace", 0, UINT64_MAX, {0}}};  // is not listed: stays refused
  for (const Json& json : {docker_seccomp(profile), oci_seccomp(profile)}) {
    SeccompFilter filter = compiled(json);
    EXPECT_EQ(filter.evaluate("read", {9}), kAllow);
    EXPECT_EQ(filter.evaluate("socket", {2, 1 | 02000000, 6}), kAllow);    // SOCK_CLOEXEC
    EXPECT_EQ(filter.evaluate("socket", {0xdead00000002, 2, 0}), kAllow);  // an int's upper half
    EXPECT_EQ(filter.evaluate("socket", {2, 3, 1}), kEperm);               // SOCK_RAW
    EXPECT_EQ(filter.evaluate("socket", {17, 1, 0}), kEperm);              // AF_PACKET
    EXPECT_EQ(filter.evaluate("clone", {0x3D0F00}), kAllow);
    EXPECT_EQ(filter.evaluate("clone", {0x10000011}), kEperm);  // CLONE_NEWUSER
    EXPECT_EQ(filter.evaluate("ptrace", {0}), kEperm);
    EXPECT_EQ(filter.evaluate("clone3"), kEnosys);
  }
}

TEST(Seccomp, AgreesWithTheProfileForEveryCall) {
  SeccompProfile profile;
  profile.syscalls = runtime_syscalls(true);
  profile.enosys = fallback_syscalls();
  SeccompFilter filter = compiled(oci_seccomp(profile));
  std::set<std::string> allowed = as_set(profile.syscalls);
  std::set<std::string> absent = as_set(profile.enosys);
  for (int number = 0; number <= 450; ++number) {
    std::string name = syscall_name(number);
    Decision expected = allowed.count(name) ? kAllow : absent.count(name) ? kEnosys : kEperm;
    EXPECT_EQ(filter.evaluate(number), expected) << name;
  }
}

TEST(Seccomp, BrokenProfilesAreNamedNotThrown) {
  for (const Json& json :
       {Json::object(), Json{{"defaultAction", "SCMP_ACT_MAYBE"}, {"syscalls", Json::array()}},
        Json{{"defaultAction", "SCMP_ACT_ERRNO"}, {"syscalls", {{{"names", 3}}}}}}) {
    auto filter = SeccompFilter::compile(json);
    ASSERT_FALSE(filter) << json.dump();
    EXPECT_EQ(filter.error().kind, ErrorKind::kUnread);
    EXPECT_NE(filter.error().message.find("seccomp profile"), std::string::npos);
  }
}

TEST(Seccomp, ListsHoldRealNamesOnce) {
  for (const auto* list : {&error_path_syscalls(), &runtime_syscalls(true),
                           &runtime_syscalls(false), &fallback_syscalls()}) {
    EXPECT_EQ(as_set(*list).size(), list->size());
    EXPECT_TRUE(std::is_sorted(list->begin(), list->end()));
    for (const std::string& name : *list) {
      bool known = seccomp_syscall_resolve_name(name.c_str()) >= 0;
      for (int number = 451; number < 470 && !known; ++number) known = syscall_name(number) == name;
      EXPECT_TRUE(known) << name;
    }
  }
}

TEST(Seccomp, LoadingLateNeedsLessAndEarlyCoversIt) {
  std::set<std::string> late = as_set(runtime_syscalls(true));
  std::set<std::string> early = as_set(runtime_syscalls(false));
  EXPECT_TRUE(std::includes(early.begin(), early.end(), late.begin(), late.end()));
  EXPECT_TRUE(early.count("setuid") && early.count("capset"));
  EXPECT_FALSE(late.count("setuid") || late.count("capset") || late.count("prctl"));
  // A server's own calls have to fit beside these into a list that a person can read.
  std::set<std::string> closure = late;
  closure.insert(error_path_syscalls().begin(), error_path_syscalls().end());
  EXPECT_LE(closure.size(), 32u);
}

TEST(Seccomp, NumbersHaveTheNamesOfTheKernel) {
  EXPECT_EQ(syscall_name(SYS_read), "read");
  EXPECT_EQ(syscall_name(SYS_openat2), "openat2");
  EXPECT_EQ(syscall_name(452), "fchmodat2");
  EXPECT_EQ(syscall_name(462), "mseal");
  EXPECT_EQ(syscall_name(9999), "x86_64:9999");
}

}  // namespace pare::privilege
