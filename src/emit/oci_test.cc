// Seccomp compiled and evaluated, and the bundle run by runc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/testing.h"
#include "emit/testing.h"
#include "emit/testing_run.h"
#include "privilege/seccomp.h"
#include "privilege/seccomp_eval.h"

namespace pare::emit {

using base::Json;
using ::testing::HasSubstr;

TEST(SeccompFile, MeansThePolicyWithItsCommentInside) {
  verdict::Proof proof = llama_proof();
  Json json = Json::parse(emitted(proof, "seccomp").at(0).content);
  auto filter = privilege::SeccompFilter::compile(json);
  ASSERT_TRUE(filter) << filter.error().message;
  using Kind = privilege::SeccompDecision::Kind;
  EXPECT_EQ(filter->evaluate("read").kind, Kind::kAllow);
  EXPECT_EQ(filter->evaluate("ptrace"), (privilege::SeccompDecision{Kind::kErrno, 1}));
  EXPECT_EQ(filter->evaluate("clone3"), (privilege::SeccompDecision{Kind::kErrno, 38}));
}

TEST(Oci, RuncRunsTheBundleAsProved) {
  if (geteuid() != 0) PARE_SKIP("runc needs root");
  if (run("runc --version").code != 0) PARE_SKIP("runc is not installed");
  if (run("test -x /bin/busybox").code != 0) PARE_SKIP("busybox-static is not installed");
  Directory dir;
  std::string root = dir.path() + "/root";
  for (const char* sub : {"bin", "proc", "dev", "sys", "tmp", "etc", "models"}) {
    std::filesystem::create_directories(root + "/" + sub);
  }
  std::filesystem::create_directories(dir.path() + "/models");
  std::filesystem::copy("/bin/busybox", root + "/bin/busybox");
  for (bool no_new_privileges : {true, false}) {
    verdict::Proof proof = llama_proof();
    proof.target.rootfs = root;
    proof.target.name = std::filesystem::path(dir.path()).filename();
    proof.target.volumes[0].source = dir.path() + "/models";
    proof.target.argv = {"/bin/busybox", "sh", "-c",
                         "busybox cat /proc/self/status; for f in /x /models/x /tmp/x; do echo y "
                         ">$f && echo wrote $f; "
                         "done; busybox hostname; echo done"};
    proof.policy.no_new_privileges = no_new_privileges;
    std::set<std::string> calls = {"arch_prctl", "brk",      "clone",           "dup2",
                                   "getegid",    "geteuid",  "getgid",          "getppid",
                                   "getrandom",  "getuid",   "ioctl",           "mprotect",
                                   "open",       "prctl",    "prlimit64",       "readlink",
                                   "rseq",       "sendfile", "set_robust_list", "set_tid_address",
                                   "stat",       "uname",    "vfork",           "wait4"};
    for (const auto* list :
         {&privilege::error_path_syscalls(), &privilege::runtime_syscalls(no_new_privileges)}) {
      calls.insert(list->begin(), list->end());
    }
    proof.policy.seccomp->syscalls.assign(calls.begin(), calls.end());
    proof.policy.seccomp->enosys = privilege::fallback_syscalls();
    proof.policy.seccomp->arguments = {{"clone", 0, 0x7E020000, {0}}};  // no new namespaces
    Directory bundle;
    bundle.write(emitted(proof, "oci"));
    Ran ran = run("timeout 60 sh '" + bundle.path() + "/run.sh' </dev/null");
    EXPECT_EQ(ran.code, 0) << ran.output;
    EXPECT_THAT(ran.output, HasSubstr("Uid:\t65532\t65532\t65532\t65532"));
    EXPECT_THAT(ran.output, HasSubstr("CapEff:\t0000000000000000"));
    EXPECT_THAT(ran.output, HasSubstr("CapBnd:\t0000000000000000"));
    EXPECT_THAT(ran.output, HasSubstr("Seccomp:\t2"));
    EXPECT_THAT(ran.output, HasSubstr(no_new_privileges ? "NoNewPrivs:\t1" : "NoNewPrivs:\t0"));
    EXPECT_THAT(ran.output, HasSubstr("wrote /tmp/x"));
    EXPECT_THAT(ran.output, ::testing::Not(HasSubstr("wrote /x")));
    EXPECT_THAT(ran.output, ::testing::Not(HasSubstr("wrote /models/x")));
    EXPECT_THAT(ran.output, HasSubstr("done"));
  }
}

TEST(Oci, RefusesWhatABundleCannotSay) {
  verdict::Proof proof = image_proof("docker");
  auto named_volume = emit(proof, "oci", {});
  ASSERT_FALSE(named_volume);
  EXPECT_THAT(named_volume.error().message, HasSubstr("/models"));
  proof.target.volumes.clear();
  proof.policy.devices = {"/dev/fuse"};
  auto device = emit(proof, "oci", {});
  ASSERT_FALSE(device);
  EXPECT_THAT(device.error().message, HasSubstr("/dev/fuse"));
}

}  // namespace pare::emit
