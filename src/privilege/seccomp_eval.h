// What a seccomp profile means, without a kernel: the JSON form is compiled by libseccomp, as a
// container runtime does it, and the resulting classic BPF is interpreted over seccomp_data
// (include/uapi/linux/seccomp.h).
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace pare::privilege {

// The audit architectures that a process on x86_64 can enter the kernel with (linux/audit.h).
constexpr uint32_t kAuditX86_64 = 0xC000003E;
constexpr uint32_t kAuditI386 = 0x40000003;
constexpr int kX32Bit = 0x40000000;  // or'ed to the number of an x32 call (asm/unistd.h)

struct SeccompDecision {
  enum class Kind { kAllow, kErrno, kKill, kOther };
  Kind kind = Kind::kKill;
  int error = 0;  // the errno of kErrno
  bool operator==(const SeccompDecision&) const = default;
};

class SeccompFilter {
 public:
  // linux.seccomp of an OCI config.json, or Docker's seccomp.json without its own additions.
  // Names that the host's libseccomp does not know are skipped, as runc does
  // (libcontainer/seccomp/seccomp_linux.go). kUnread names the field that is wrong.
  static Result<SeccompFilter> compile(const nlohmann::json& profile);

  SeccompDecision evaluate(int number, const std::array<uint64_t, 6>& arguments = {},
                           uint32_t arch = kAuditX86_64) const;
  // By name, on x86_64. An unknown name is kKill.
  SeccompDecision evaluate(const std::string& name,
                           const std::array<uint64_t, 6>& arguments = {}) const;

  size_t instructions() const { return program_.size(); }

 private:
  explicit SeccompFilter(std::vector<sock_filter> program) : program_(std::move(program)) {}
  std::vector<sock_filter> program_;
};

}  // namespace pare::privilege
