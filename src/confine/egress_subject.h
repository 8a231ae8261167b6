// Whose egress is watched: a container that runs or is about to, by what people call it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "confine/egress_log.h"
#include "confine/egress_rules.h"

namespace pare::confine {

struct WatchSubject {
  std::string name;       // as given
  std::string cgroup;     // v2 directory that the window is attached to
  std::string leaf;       // the container's below it, when it may start (again); else empty
  LogSource log;          // as far as it is known
  bool anywhere = false;  // nobody knows yet where below `cgroup` it will be made
  // Of the container; where it is not there yet, where it is expected.
  std::string directory() const;
  std::string text() const {
    return leaf.empty() ? cgroup : cgroup + "/" + leaf;
  }  // the same always
};

// What changes while it runs.
struct SubjectState {
  int pid = 0;  // a process of it; 0: none runs
  std::vector<Address> own, resolvers;
  // Named in the container's own resolv.conf, which it may be able to write, but neither private
  // addresses nor resolvers of the host: not asked unless the user says so.
  std::vector<Address> foreign_resolvers;
  std::vector<std::string> search;  // domains that its resolver appends
  bool host_network = false;        // shares this process's network namespace
  bool packet_sockets = false;      // may hold NET_RAW or NET_ADMIN: the hooks do not see AF_PACKET
  // The host's ends of its veths; `unpaired`: a device of it has no such end here.
  std::vector<int> interfaces;
  bool unpaired = false;
};

// A pid, a cgroup's directory (absolute, or below the v2 mount), or the id or name of a container
// of Docker (asked at `docker_socket`) or runc, or any container whose cgroup is named by the id
// (12 characters or more of it). kUsage when there is nothing of the kind, or more than one.
Result<WatchSubject> find_subject(const std::string& word, const std::string& docker_socket);

// Never fails for want of a process: pid is then 0, with the resolvers of the host.
SubjectState look_at(const WatchSubject& subject);

// nameserver and search lines of a resolv.conf(5); without a nameserver 127.0.0.1.
void read_resolvers(const std::string& text, SubjectState& state);

}  // namespace pare::confine
