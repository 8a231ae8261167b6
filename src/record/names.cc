#include "record/names.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <string.h>

#include <cstdlib>

#include "privilege/seccomp.h"

namespace pare::record {
namespace {

constexpr uint32_t kX32Bit = 0x40000000;

std::string foreign_name(uint32_t arch, const char* prefix, uint32_t number) {
  char* name = seccomp_syscall_resolve_num_arch(arch, static_cast<int>(number));
  std::string known = name != nullptr ? name : std::to_string(number);
  free(name);
  return fmt::format("{}:{}", prefix, known);
}

}  // namespace

std::string call_name(uint32_t number, bool i386) {
  if (i386) return foreign_name(SCMP_ARCH_X86, "i386", number);
  if ((number & kX32Bit) != 0 && number != UINT32_MAX)
    return foreign_name(SCMP_ARCH_X32, "x32", number);
  return privilege::syscall_name(static_cast<int>(number));
}

std::string_view ip_protocol_name(uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP:
      return "tcp";
    case IPPROTO_UDP:
      return "udp";
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      return "icmp";
    case IPPROTO_SCTP:
      return "sctp";
    default:
      return "";
  }
}

std::string error_name(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : fmt::format("errno {}", error);
}

}  // namespace pare::record
