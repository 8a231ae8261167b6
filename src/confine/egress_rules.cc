#include "confine/egress_rules.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "base/time.h"
#include "record/traffic.h"

namespace pare::confine {

namespace {

struct Range {
  const char* base;
  int prefix;  // bits of the IPv6 form
};
// bpf/egress_packet.h says the same in the kernel.
constexpr Range kPrivate[] = {{"0.0.0.0", 104},   {"10.0.0.0", 104},    {"100.64.0.0", 106},
                              {"127.0.0.0", 104}, {"169.254.0.0", 112}, {"172.16.0.0", 108},
                              {"192.0.0.0", 120}, {"192.168.0.0", 112}, {"224.0.0.0", 99},
                              {"::", 64},         {"64:ff9b::", 64},    {"2002::", 16},
                              {"fc00::", 7},      {"fe00::", 8},        {"ff00::", 8}};
constexpr int kV4Bits = 96;  // of the mapped form, before IPv4's own

bool is_v4(const Address& address) {
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(address.data(), kMapped, sizeof(kMapped)) == 0;
}

bool starts_alike(const Address& a, const Address& b, int bits) {
  for (int i = 0; i < 16 && bits > 0; ++i, bits -= 8) {
    const int mask = bits >= 8 ? 0xff : 0xff << (8 - bits) & 0xff;
    if (((a[static_cast<size_t>(i)] ^ b[static_cast<size_t>(i)]) & mask) != 0) return false;
  }
  return true;
}

// Whether the whole range lies in one of the private ones.
bool is_private_range(const Address& address, int prefix) {
  return std::any_of(std::begin(kPrivate), std::end(kPrivate), [&](const Range& range) {
    const Address base = *parse_address(range.base);
    return is_v4(base) == is_v4(address) && prefix >= range.prefix &&
           starts_alike(address, base, range.prefix);
  });
}

tl::unexpected<Error> wrong(std::string_view text, const std::string& why) {
  return fail(
      ErrorKind::kUsage,
      fmt::format("'{}': {}; write NAME:443, 203.0.113.0/24:443 or [2001:db8::1]:443", text, why));
}

bool is_name(std::string_view text) {
  if (!wire_name(text)) return false;
  const bool letters = std::any_of(text.begin(), text.end(), [](char c) { return isalpha(c); });
  return letters && std::all_of(text.begin(), text.end(), [](char c) {
           return isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

Status set_destination(std::string_view whole, std::string_view text, Exception& exception) {
  const size_t slash = text.find('/');
  const std::string_view base = text.substr(0, slash);
  if (auto address = parse_address(base)) {
    exception.address = *address;
    const int own_bits = is_v4(*address) ? 32 : 128;
    uint64_t bits = static_cast<uint64_t>(own_bits);
    if (slash != std::string_view::npos) {
      auto given = base::parse_u64(text.substr(slash + 1));
      if (!given || *given > bits) return wrong(whole, "the range has no such length");
      bits = *given;
    }
    exception.prefix = static_cast<int>(bits) + (own_bits == 32 ? kV4Bits : 0);
    return {};
  }
  if (text.find('*') != std::string_view::npos)
    return wrong(whole, "names are exact, without wildcards");
  std::string name = base::lower(text);
  if (base::ends_with(name, ".")) name.pop_back();
  if (!is_name(name)) return wrong(whole, "neither a name, an address nor a range");
  exception.name = name;
  return {};
}

Status set_port(std::string_view whole, std::string_view text, Exception& exception) {
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const std::string_view protocol = text.substr(slash + 1);
    if (protocol == "tcp")
      exception.protocol = IPPROTO_TCP;
    else if (protocol == "udp")
      exception.protocol = IPPROTO_UDP;
    else
      return wrong(whole, fmt::format("the protocol is tcp or udp, not '{}'", protocol));
  }
  auto port = base::parse_u64(text.substr(0, slash));
  if (!port || *port == 0 || *port > 65535) return wrong(whole, "the port is 1 to 65535");
  exception.port = static_cast<uint16_t>(*port);
  return {};
}

Status set_modifier(std::string_view whole, std::string_view text, Exception& exception) {
  if (text == "private") {
    exception.private_addresses = true;
  } else if (base::starts_with(text, "process=")) {
    exception.process = std::string(text.substr(8));
    if (exception.process.empty() || exception.process.find('/') != std::string::npos ||
        exception.process.size() >= PARE_EGRESS_EXE)
      return wrong(whole, "process= is the file name of a program, at most 31 bytes");
  } else if (base::starts_with(text, "for=")) {
    exception.lasts = base::parse_duration(text.substr(4));
    if (!exception.lasts || exception.lasts->count() <= 0)
      return wrong(whole, "for= is a duration such as 30m");
  } else {
    return wrong(whole, fmt::format("'{}' is none of process=FILE, private, for=30m", text));
  }
  return {};
}

// Where the port's colon is: the last one, unless it is part of an IPv6 address without brackets.
size_t port_colon(std::string_view text) {
  const size_t bracket = text.rfind(']');
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return colon;
  if (bracket != std::string_view::npos) return colon > bracket ? colon : std::string_view::npos;
  return text.find(':') == colon ? colon : std::string_view::npos;
}

}  // namespace

std::optional<Address> parse_address(std::string_view text) {
  const std::string copy(text);
  Address address = {};
  if (inet_pton(AF_INET6, copy.c_str(), address.data()) == 1) return address;
  address = {};
  if (inet_pton(AF_INET, copy.c_str(), &address[12]) != 1) return std::nullopt;
  address[10] = address[11] = 0xff;
  return address;
}

std::string to_string(const Address& address) {
  return record::address_text(address.data());
}

bool is_private(const Address& address) {
  return is_private_range(address, 128);
}

bool is_loopback(const Address& address) {
  static const Address kUnspecified = {}, kUnspecified4 = *parse_address("0.0.0.0"),
                       kLoopback = *parse_address("::1");
  return address == kUnspecified || address == kUnspecified4 || address == kLoopback ||
         (is_v4(address) && address[12] == 127);
}

bool lies_in(const Address& address, const Exception& exception) {
  return exception.name.empty() && starts_alike(address, exception.address, exception.prefix);
}

Result<Exception> parse_exception(std::string_view text) {
  Exception exception;
  std::vector<std::string> parts = base::split(base::trim(text), ',');
  std::string_view first = base::trim(parts[0]);
  const size_t colon = port_colon(first);
  std::string_view destination = first.substr(0, colon);
  if (base::starts_with(destination, "[") && base::ends_with(destination, "]"))
    destination = destination.substr(1, destination.size() - 2);
  PARE_CHECK_OK(set_destination(text, destination, exception));
  if (colon != std::string_view::npos)
    PARE_CHECK_OK(set_port(text, first.substr(colon + 1), exception));
  for (size_t i = 1; i < parts.size(); ++i)
    PARE_CHECK_OK(set_modifier(text, base::trim(parts[i]), exception));
  return exception;
}

Result<std::vector<Exception>> parse_exceptions(std::string_view text, const std::string& file) {
  std::vector<Exception> exceptions;
  int number = 0;
  for (const std::string& line : base::split(text, '\n')) {
    ++number;
    const std::string_view rule = base::trim(std::string_view(line).substr(0, line.find('#')));
    if (rule.empty()) continue;
    auto exception = parse_exception(rule);
    if (!exception)
      return fail(ErrorKind::kUsage,
                  fmt::format("{}:{}: {}", file, number, exception.error().message));
    exceptions.push_back(std::move(*exception));
  }
  return exceptions;
}

std::string to_string(const Exception& exception) {
  const bool v4 = is_v4(exception.address);
  const int bits = exception.prefix - (v4 ? kV4Bits : 0);
  std::string text = exception.name;
  if (text.empty()) {
    text = to_string(exception.address);
    if (bits != (v4 ? 32 : 128)) text += fmt::format("/{}", bits);
    if (!v4) text = "[" + text + "]";
  }
  if (exception.port != 0) text += fmt::format(":{}", exception.port);
  if (exception.protocol != 0) text += exception.protocol == IPPROTO_TCP ? "/tcp" : "/udp";
  if (!exception.process.empty()) text += ",process=" + exception.process;
  if (exception.private_addresses) text += ",private";
  if (exception.lasts) text += fmt::format(",for={}ms", exception.lasts->count());
  return text;
}

std::optional<pare_egress_name> wire_name(std::string_view name) {
  pare_egress_name wire = {};
  size_t at = 0;
  for (const std::string& label : base::split(name, '.')) {
    if (label.empty() || label.size() > 63 || at + label.size() + 2 > sizeof(wire.bytes))
      return std::nullopt;
    wire.bytes[at++] = static_cast<uint8_t>(label.size());
    for (char c : base::lower(label)) wire.bytes[at++] = static_cast<uint8_t>(c);
  }
  return wire;
}

std::string name_text(const pare_egress_name& name) {
  std::string text;
  size_t at = 0;
  while (at < sizeof(name.bytes) && name.bytes[at] != 0) {
    const size_t length = name.bytes[at];
    const size_t end = std::min(at + 1 + length, sizeof(name.bytes));
    if (!text.empty()) text += '.';
    for (size_t i = at + 1; i < end; ++i) {
      const char c = static_cast<char>(name.bytes[i]);
      text += c > ' ' && c < 127 && c != '\\' ? std::string(1, c)
                                              : fmt::format("\\{:03}", name.bytes[i]);
    }
    at += 1 + length;
    if (length > 63) break;
  }
  return at >= sizeof(name.bytes) ? text + "..." : text;
}

pare_egress_rule rule_of(const Exception& exception, uint32_t name_id, uint32_t serial,
                         uint64_t until_ns) {
  pare_egress_rule rule = {};
  std::copy(exception.address.begin(), exception.address.end(), rule.address);
  rule.until_ns = until_ns;
  rule.serial = serial;
  rule.name = name_id;
  rule.port = exception.port;
  rule.protocol = exception.protocol;
  rule.kind = exception.name.empty() ? PARE_EGRESS_PREFIX : PARE_EGRESS_NAMED;
  rule.prefix = static_cast<uint8_t>(exception.prefix);
  rule.private_ = exception.name.empty() ? is_private_range(exception.address, exception.prefix)
                                         : exception.private_addresses;
  exception.process.copy(rule.exe, sizeof(rule.exe) - 1);
  return rule;
}

}  // namespace pare::confine
