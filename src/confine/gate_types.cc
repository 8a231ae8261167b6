#include "confine/gate_types.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace pare::confine {

namespace {

tl::unexpected<Error> wrong(const std::string& text) {
  return fail(ErrorKind::kUsage, "'" + text +
                                     "' is not [ADDRESS:]PORT[:INNER] (an address in numbers, IPv6 "
                                     "in brackets) or unix:PATH[:INNER]");
}

std::optional<uint16_t> port_of(const std::string& text) {
  auto port = base::parse_u64(text);
  if (!port || *port == 0 || *port > 65535) return std::nullopt;
  return static_cast<uint16_t>(*port);
}

Result<Publish> parse_unix(const std::string& text) {
  Publish publish;
  publish.unix_path = text.substr(5);
  size_t colon = publish.unix_path.rfind(':');
  if (colon != std::string::npos) {
    auto inner = port_of(publish.unix_path.substr(colon + 1));
    if (!inner) return wrong(text);
    publish.inner_port = *inner;
    publish.unix_path.resize(colon);
  }
  if (publish.unix_path.empty() || publish.unix_path[0] != '/' ||
      publish.unix_path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(ErrorKind::kUsage,
                "'" + text + "': a unix socket needs an absolute path of at most 107 bytes");
  }
  return publish;
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family = AF_UNSPEC;
};

Result<Address> socket_address(const Publish& publish) {
  Address out;
  if (!publish.unix_path.empty()) {
    auto* at = reinterpret_cast<sockaddr_un*>(&out.storage);
    at->sun_family = AF_UNIX;
    publish.unix_path.copy(at->sun_path, sizeof at->sun_path - 1);
    out.size = sizeof *at;
  } else if (publish.address.find(':') != std::string::npos) {
    auto* at = reinterpret_cast<sockaddr_in6*>(&out.storage);
    at->sin6_family = AF_INET6;
    at->sin6_port = htons(publish.port);
    if (inet_pton(AF_INET6, publish.address.c_str(), &at->sin6_addr) != 1) {
      return wrong(to_string(publish));
    }
    out.size = sizeof *at;
  } else {
    auto* at = reinterpret_cast<sockaddr_in*>(&out.storage);
    at->sin_family = AF_INET;
    at->sin_port = htons(publish.port);
    if (inet_pton(AF_INET, publish.address.c_str(), &at->sin_addr) != 1) {
      return wrong(to_string(publish));
    }
    out.size = sizeof *at;
  }
  out.family = out.storage.ss_family;
  return out;
}

// Removes a socket file whose listener has ended; a connection to it is then refused (unix(7)).
void remove_dead_socket(const Publish& publish, const Address& at) {
  struct stat st {};
  if (lstat(publish.unix_path.c_str(), &st) != 0 || !S_ISSOCK(st.st_mode)) return;
  UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  bool dead = connect(probe.get(), reinterpret_cast<const sockaddr*>(&at.storage), at.size) != 0 &&
              errno == ECONNREFUSED;
  if (dead) unlink(publish.unix_path.c_str());
}

}  // namespace

Result<Publish> parse_publish(const std::string& text) {
  if (base::starts_with(text, "unix:")) return parse_unix(text);
  Publish publish;
  publish.address = "127.0.0.1";
  std::string rest = text;
  if (base::starts_with(rest, "[")) {
    size_t end = rest.find("]:");
    if (end == std::string::npos) return wrong(text);
    publish.address = rest.substr(1, end - 1);
    rest = rest.substr(end + 2);
  } else if (size_t colon = rest.find(':');
             colon != std::string::npos && rest.substr(0, colon).find('.') != std::string::npos) {
    publish.address = rest.substr(0, colon);
    rest = rest.substr(colon + 1);
  }
  std::vector<std::string> ports = base::split(rest, ':');
  auto port = port_of(ports[0]);
  if (!port || ports.size() > 2) return wrong(text);
  publish.port = *port;
  if (ports.size() == 2) {
    auto inner = port_of(ports[1]);
    if (!inner) return wrong(text);
    publish.inner_port = *inner;
  }
  PARE_CHECK_OK(socket_address(publish).map([](const Address&) {}));
  return publish;
}

std::string to_string(const Publish& publish) {
  if (!publish.unix_path.empty()) return "unix:" + publish.unix_path;
  bool v6 = publish.address.find(':') != std::string::npos;
  return (v6 ? "[" + publish.address + "]" : publish.address) + ":" + std::to_string(publish.port);
}

Result<UniqueFd> bind_publish(const Publish& publish) {
  PARE_TRY(Address at, socket_address(publish));
  UniqueFd fd(socket(at.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return fail_errno("cannot make a socket for " + to_string(publish), errno);
  if (at.family == AF_UNIX) {
    remove_dead_socket(publish, at);
  } else {
    int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at.family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&at.storage), at.size) != 0) {
    int err = errno;
    return fail(ErrorKind::kUsage,
                "cannot publish on " + to_string(publish) + ": " + strerror(err) +
                    (err == EADDRINUSE ? " (choose another with --publish)" : ""),
                err);
  }
  if (at.family == AF_UNIX) chmod(publish.unix_path.c_str(), 0660);
  return fd;
}

Status listen_on(const UniqueFd& socket) {
  if (listen(socket.get(), SOMAXCONN) == 0) return {};
  return fail_errno("cannot listen", errno);
}

uint16_t bound_port(const UniqueFd& socket) {
  sockaddr_storage at{};
  socklen_t size = sizeof at;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0) return 0;
  if (at.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&at)->sin_port);
  if (at.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&at)->sin6_port);
  return 0;
}

void add(Counters& sum, const Counters& more) {
  sum.accepted += more.accepted;
  sum.refused += more.refused;
  sum.idle_closed += more.idle_closed;
  sum.bytes_in += more.bytes_in;
  sum.bytes_out += more.bytes_out;
  sum.requests += more.requests;
  sum.denied += more.denied;
}

}  // namespace pare::confine
