#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "check/check.h"
#include "check/own_sockets.h"
#include "sys/netns.h"

namespace pare::check {
namespace {

// Whether the address is one of the calling thread's namespace.
bool can_bind(const std::string& address) {
  bool v6 = address.find(':') != std::string::npos;
  UniqueFd fd(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 to6{};
  to6.sin6_family = AF_INET6;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  if (v6) {
    return inet_pton(AF_INET6, address.c_str(), &to6.sin6_addr) == 1 &&
           bind(fd.get(), reinterpret_cast<sockaddr*>(&to6), sizeof to6) == 0;
  }
  return inet_pton(AF_INET, address.c_str(), &to.sin_addr) == 1 &&
         bind(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
}

// "0100007F" or 32 digits: 32-bit words, each in the host's byte order (proc(5)).
bool parse_address(std::string_view hex, Listener& out) {
  std::array<unsigned char, 16> bytes{};
  if (hex.size() != 8 && hex.size() != 32) return false;
  for (size_t i = 0; i < hex.size(); i += 8) {
    uint32_t word = 0;
    auto [end, ec] = std::from_chars(hex.data() + i, hex.data() + i + 8, word, 16);
    if (ec != std::errc() || end != hex.data() + i + 8) return false;
    std::memcpy(bytes.data() + i / 2, &word, sizeof word);
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(hex.size() == 8 ? AF_INET : AF_INET6, bytes.data(), text.data(), text.size());
  out.address = text.data();
  out.loopback = base::starts_with(out.address, "127.") || out.address == "::1" ||
                 base::starts_with(out.address, "::ffff:127.");
  return true;
}

// "  0: 00000000:1F40 00000000:0000 0A tx:rx tr:when retries uid timeout inode ..."
// mine: inodes of the sockets to report; nullptr: all.
void parse_table(const std::string& table, const std::set<uint64_t>* mine,
                 std::vector<Listener>& out) {
  for (const auto& line : base::split(table, '\n')) {
    std::vector<std::string> fields;
    for (const auto& field : base::split(line, ' ')) {
      if (!field.empty()) fields.push_back(field);
    }
    constexpr const char* kListen = "0A";
    if (fields.size() < 10 || fields[3] != kListen) continue;
    if (mine != nullptr && mine->count(base::parse_u64(fields[9]).value_or(0)) == 0) continue;
    auto local = base::split(fields[1], ':');
    Listener listener;
    if (local.size() != 2 || !parse_address(local[0], listener)) continue;
    const std::string& port = local[1];
    std::from_chars(port.data(), port.data() + port.size(), listener.port, 16);
    if (listener.port != 0) out.push_back(std::move(listener));
  }
}

Result<sys::NetNs> namespace_to_change(const Subject& subject) {
  PARE_TRY(sys::NetNs ns, sys::NetNs::of_process(subject.pid));
  PARE_TRY(bool own, ns.is_own());
  if (!own) return ns;
  return fail(ErrorKind::kHost,
              "the container shares the host's network, where pare changes nothing: give a check "
              "an address that the host has");
}

}  // namespace

Status prepare_network(const Subject& subject) {
  PARE_TRY(sys::NetNs any, sys::NetNs::of_process(subject.pid));
  PARE_TRY(bool own, any.is_own());
  if (own && can_bind(subject.address)) return {};
  PARE_TRY(sys::NetNs ns, namespace_to_change(subject));
  return ns.call([&]() -> Status {
    PARE_CHECK_OK(sys::loopback_up());
    if (can_bind(subject.address)) return {};  // it has it already, on whatever device
    return sys::add_loopback_address(subject.address);
  });
}

Status set_refusal(const Subject& subject, Egress kind) {
  PARE_CHECK_OK(prepare_network(subject));
  PARE_TRY(sys::NetNs ns, namespace_to_change(subject));
  sys::DefaultRoute route = sys::DefaultRoute::kNone;
  if (kind == Egress::kDropped) route = sys::DefaultRoute::kLoopback;
  if (kind == Egress::kRefused) route = sys::DefaultRoute::kLocal;
  return ns.call([route] { return sys::set_default_route(route); });
}

Result<std::vector<Listener>> listeners(const Subject& subject) {
  std::vector<Listener> found;
  PARE_TRY(sys::NetNs ns, sys::NetNs::of_process(subject.pid));
  PARE_TRY(bool own, ns.is_own());
  // On the host's network other programs listen too: they are not to be talked to.
  std::set<uint64_t> mine;
  if (own) mine = socket_inodes_of(subject.pid);
  for (const char* table : {"tcp", "tcp6"}) {
    std::string path = fmt::format("/proc/{}/net/{}", subject.pid, table);
    auto text = base::read_file(path);
    bool no_ipv6 = !text && text.error().sys_errno == ENOENT && std::string(table) == "tcp6";
    if (no_ipv6) continue;
    if (!text) return fail(ErrorKind::kHost, text.error().message, text.error().sys_errno);
    parse_table(*text, own ? &mine : nullptr, found);
  }
  std::sort(found.begin(), found.end(), [](const Listener& a, const Listener& b) {
    return std::tie(a.port, a.address) < std::tie(b.port, b.address);
  });
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

Result<std::vector<uint16_t>> listening_ports(const Subject& subject) {
  PARE_TRY(auto found, listeners(subject));
  std::set<uint16_t> ports;
  for (const Listener& listener : found) {
    if (!listener.loopback) ports.insert(listener.port);
  }
  return std::vector<uint16_t>(ports.begin(), ports.end());
}

}  // namespace pare::check
