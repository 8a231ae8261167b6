// Names of numbers: system calls of every ABI, errors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pare::record {

// "openat", "i386:socketcall", "x32:ioctl"; "x86_64:600" where there is no name. `i386`: entered
// through the 32-bit gate; x32 calls carry bit 30.
std::string call_name(uint32_t number, bool i386);

// "tcp", "udp", "icmp" (of both families), "sctp"; empty for other IP protocols.
std::string_view ip_protocol_name(uint8_t protocol);

// "EROFS"; "errno 4000" where there is no name.
std::string error_name(int error);

}  // namespace pare::record
