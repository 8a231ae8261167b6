#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <memory>

#include "base/text.h"
#include "confine/pull.h"

namespace pare::confine {

namespace {

struct Range {
  const char* network;
  unsigned bits;
};
// RFC 6890 and its registries, what is not globally reachable; documentation's own networks
// (RFC 5737), which nobody can use, are left out.
constexpr std::array<Range, 10> kPrivate4 = {{{"0.0.0.0", 8},
                                              {"10.0.0.0", 8},
                                              {"100.64.0.0", 10},
                                              {"127.0.0.0", 8},
                                              {"169.254.0.0", 16},
                                              {"172.16.0.0", 12},
                                              {"192.0.0.0", 24},
                                              {"192.168.0.0", 16},
                                              {"198.18.0.0", 15},
                                              {"224.0.0.0", 3}}};
constexpr std::array<Range, 6> kPrivate6 = {
    {{"::", 8}, {"64:ff9b::", 16}, {"fc00::", 7}, {"fe80::", 10}, {"ff00::", 8}, {"2002::", 16}}};

bool inside(const unsigned char* address, const unsigned char* network, unsigned bits) {
  unsigned whole = bits / 8, rest = bits % 8;
  if (std::memcmp(address, network, whole) != 0) return false;
  return rest == 0 || (address[whole] ^ network[whole]) >> (8 - rest) == 0;
}

template <typename Table>
bool in_table(const Table& table, int family, const unsigned char* address) {
  return std::any_of(table.begin(), table.end(), [&](const Range& range) {
    std::array<unsigned char, 16> network{};
    inet_pton(family, range.network, network.data());
    return inside(address, network.data(), range.bits);
  });
}

Result<std::string> look_up(const std::string& name) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  int error = getaddrinfo(name.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    return fail(ErrorKind::kUsage, "cannot look up " + name + ": " + gai_strerror(error) +
                                       " (--resolve NAME=ADDRESS gives it one)");
  }
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  for (int family : {AF_INET, AF_INET6}) {
    for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
      if (a->ai_family != family) continue;
      std::array<char, INET6_ADDRSTRLEN> text{};
      if (getnameinfo(a->ai_addr, a->ai_addrlen, text.data(), text.size(), nullptr, 0,
                      NI_NUMERICHOST) == 0 &&
          !is_private(text.data())) {
        return std::string(text.data());
      }
    }
  }
  return fail(ErrorKind::kUsage,
              name +
                  " has private addresses alone: a pull reaches the public Internet, not what "
                  "is behind this host");
}

}  // namespace

bool is_private(const std::string& address) {
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) {
    return in_table(kPrivate4, AF_INET, bytes.data());
  }
  if (inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) {
    return in_table(kPrivate6, AF_INET6, bytes.data());
  }
  return true;
}

Result<PullHost> parse_pull_host(const std::string& text) {
  PullHost host;
  std::vector<std::string> parts = base::split(base::lower(text), ':');
  host.name = parts[0];
  auto port = parts.size() == 2 ? base::parse_u64(parts[1]) : std::optional<uint64_t>(443);
  auto good = [](unsigned char c) { return isalnum(c) != 0 || c == '-' || c == '.' || c == '_'; };
  bool name = !host.name.empty() && host.name.size() <= 253 &&
              std::all_of(host.name.begin(), host.name.end(), good) &&
              std::any_of(host.name.begin(), host.name.end(),
                          [](unsigned char c) { return isalpha(c) != 0; });
  if (!name || parts.size() > 2 || !port || *port == 0 || *port > 65535) {
    return fail(ErrorKind::kUsage,
                "'" + text +
                    "' is not NAME[:PORT]: the name is exact, without wildcards, and no "
                    "address");
  }
  host.port = static_cast<uint16_t>(*port);
  return host;
}

Status resolve_hosts(std::vector<PullHost>& hosts,
                     const std::vector<std::pair<std::string, std::string>>& pinned) {
  for (PullHost& host : hosts) {
    for (const auto& [name, address] : pinned) {
      if (base::lower(name) == host.name) host.address = address;
    }
    if (host.address.empty()) {
      PARE_TRY(host.address, look_up(host.name));
    } else if (is_private(host.address)) {
      return fail(ErrorKind::kUsage, "--resolve: '" + host.address +
                                         "' is private or no address: a pull does not reach it");
    }
  }
  return {};
}

}  // namespace pare::confine
