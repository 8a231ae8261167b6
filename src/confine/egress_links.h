// Devices and addresses of the calling thread's network namespace (rtnetlink(7)).
#pragma once

#include <vector>

#include "base/result.h"
#include "confine/egress_rules.h"

namespace pare::confine {

struct NetworkLink {
  int ifindex = 0;
  int peer = 0;  // IFLA_LINK: of a veth, its other end, in whatever namespace that is
  bool loopback = false;
};

struct NetworkLinks {
  std::vector<NetworkLink> links;
  std::vector<Address> addresses;
};

Result<NetworkLinks> list_links();

}  // namespace pare::confine
