// Exceptions from "nothing leaves": what people write, and the rows that the kernel side reads.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "confine/egress_wire.h"

namespace pare::confine {

using Address = std::array<uint8_t, 16>;  // IPv6; IPv4 as ::ffff:a.b.c.d

std::optional<Address> parse_address(std::string_view text);
std::string to_string(const Address& address);
// Ranges that a public name has no business in: private, link-local, metadata, multicast, loopback.
bool is_private(const Address& address);
// 127/8, ::1 and the unspecified addresses.
bool is_loopback(const Address& address);

// What may leave. Exactly one of name and prefix.
struct Exception {
  std::string name;  // DNS, lower case, exact; empty: `address`/`prefix`
  Address address = {};
  int prefix = 128;                                // bits of the IPv6 form
  uint16_t port = 0;                               // 0: any
  uint8_t protocol = 0;                            // IPPROTO_TCP, IPPROTO_UDP; 0: any
  std::string process;                             // the executable's file name; empty: any
  bool private_addresses = false;                  // a name's answers may be private addresses
  std::optional<std::chrono::milliseconds> lasts;  // nullopt: for good
  bool operator==(const Exception&) const = default;
  Exception without_time() const {
    Exception bare = *this;
    bare.lasts.reset();
    return bare;
  }
};

// Whether an address is one of an exception's range (not of a name's).
bool lies_in(const Address& address, const Exception& exception);

// NAME:443, 203.0.113.0/24:443, [2001:db8::1]:443/udp; then, behind commas: process=FILE,
// private, for=30m. Without a port: every port. kUsage says which part is wrong. A name in forms
// that no resolver asks for (wildcards, more than 126 bytes) is refused.
Result<Exception> parse_exception(std::string_view text);
// One a line, as above; # begins a comment. kUsage with FILE:LINE.
Result<std::vector<Exception>> parse_exceptions(std::string_view text, const std::string& file);
// The inverse of parse_exception.
std::string to_string(const Exception& exception);

// As DNS writes it on the wire, for the kernel's table; nullopt: too long or no name.
std::optional<pare_egress_name> wire_name(std::string_view name);
std::string name_text(const pare_egress_name& name);  // the inverse; what was cut off is "..."

// The kernel's row. Whether it covers private addresses is said only by a range that lies in one of
// theirs, or by `private_addresses`: 0.0.0.0/0 does not open 169.254.169.254.
pare_egress_rule rule_of(const Exception& exception, uint32_t name_id, uint32_t serial,
                         uint64_t until_ns);

}  // namespace pare::confine
