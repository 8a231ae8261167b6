#include "confine/egress_links.h"

#include <ifaddrs.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/unique_fd.h"

namespace pare::confine {

namespace {

constexpr size_t kReply = 64 * 1024;  // a dump's datagrams are at most 32 KiB (netlink(7))

NetworkLink read_link(const nlmsghdr* message) {
  const auto* info = static_cast<const ifinfomsg*>(NLMSG_DATA(message));
  NetworkLink link;
  link.ifindex = info->ifi_index;
  link.loopback = (info->ifi_flags & IFF_LOOPBACK) != 0;
  auto length = static_cast<int>(IFLA_PAYLOAD(message));
  for (const rtattr* at = IFLA_RTA(info); RTA_OK(at, length); at = RTA_NEXT(at, length))
    if (at->rta_type == IFLA_LINK) std::memcpy(&link.peer, RTA_DATA(at), sizeof(link.peer));
  return link;
}

// Reads one dump; true when it is done.
Result<bool> read_reply(int fd, std::vector<NetworkLink>& links) {
  alignas(nlmsghdr) char buffer[kReply];
  const ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
  if (n < 0) return fail_errno("cannot list the network's devices", errno);
  auto left = static_cast<unsigned>(n);
  for (auto* at = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(at, left);
       at = NLMSG_NEXT(at, left)) {
    if (at->nlmsg_type == NLMSG_DONE) return true;
    if (at->nlmsg_type == NLMSG_ERROR)
      return fail(ErrorKind::kHost, "the kernel refuses to list the network's devices");
    if (at->nlmsg_type == RTM_NEWLINK) links.push_back(read_link(at));
  }
  return false;
}

std::vector<Address> list_addresses() {
  std::vector<Address> found;
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return found;
  std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(first, freeifaddrs);
  for (const ifaddrs* at = first; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr) continue;
    Address address = {};
    if (at->ifa_addr->sa_family == AF_INET) {
      address[10] = address[11] = 0xff;
      std::memcpy(&address[12], &reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr, 4);
    } else if (at->ifa_addr->sa_family == AF_INET6) {
      std::memcpy(address.data(), &reinterpret_cast<const sockaddr_in6*>(at->ifa_addr)->sin6_addr,
                  address.size());
    } else {
      continue;
    }
    found.push_back(address);
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace

Result<NetworkLinks> list_links() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd.valid()) return fail_errno("cannot open a netlink socket", errno);
  struct {
    nlmsghdr header;
    ifinfomsg info;
  } request = {};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  if (send(fd.get(), &request, sizeof(request), 0) < 0)
    return fail_errno("cannot list the network's devices", errno);
  NetworkLinks result;
  for (bool done = false; !done;) {
    PARE_TRY(done, read_reply(fd.get(), result.links));
  }
  result.addresses = list_addresses();
  return result;
}

}  // namespace pare::confine
