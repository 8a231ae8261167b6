#include "confine/egress_subject.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "confine/egress_links.h"
#include "confine/egress_window.h"
#include "engine/docker_api.h"
#include "sys/netns.h"
#include "sys/rootfs.h"
#include "sys/running.h"

namespace pare::confine {

namespace {

// Docker's short id: shorter words are not looked for among the cgroups.
constexpr size_t kShortId = 12;
constexpr uint64_t kPacketCapabilities = 1U << 12 | 1U << 13;  // NET_ADMIN, NET_RAW

bool is_directory(const std::string& path) {
  struct stat st {};
  return stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

WatchSubject by_directory(const std::string& name, const std::string& directory) {
  WatchSubject subject;
  subject.name = name;
  subject.cgroup = directory;
  while (base::ends_with(subject.cgroup, "/")) subject.cgroup.pop_back();
  return subject;
}

// The window stands above, so that the container may start again.
WatchSubject by_leaf(const std::string& name, const std::string& directory) {
  WatchSubject subject = by_directory(name, directory);
  const size_t slash = subject.cgroup.rfind('/');
  subject.leaf = subject.cgroup.substr(slash + 1);
  subject.cgroup.resize(slash);
  return subject;
}

// A container that Docker has not started yet: its daemon has a parent for cgroups of its own
// (--cgroup-parent), which the API does not tell. The leaf carries the id, so its name will do.
WatchSubject by_leaf_anywhere(const std::string& name, const std::string& mount,
                              const std::string& leaf) {
  WatchSubject subject = by_leaf(name, mount + "/" + leaf);
  subject.anywhere = true;
  return subject;
}

// What Docker's daemon says of a container; nullopt: it knows none of this name.
Result<std::optional<WatchSubject>> ask_docker(const std::string& word, const std::string& socket,
                                               const std::string& mount) {
  auto api = engine::DockerApi::connect(socket);
  if (!api) return std::nullopt;
  PARE_TRY(engine::ApiReply reply,
           (*api)->send({"GET", "/containers/" + engine::url_escape(word) + "/json"}));
  if (!reply.ok()) return std::nullopt;
  PARE_TRY(base::Json container, base::parse_json(reply.body, "Docker's description of " + word));
  PARE_TRY(base::Json info, (*api)->json({"GET", "/info"}, "asking Docker how it makes cgroups"));
  return base::read_json("Docker's description of " + word, [&]() -> std::optional<WatchSubject> {
    const std::string id = container.at("Id");
    const auto running = sys::cgroup_of(container.at("State").value("Pid", 0));  // 0: no process
    const bool systemd = info.value("CgroupDriver", "cgroupfs") == "systemd";
    const std::string leaf = systemd ? "docker-" + id + ".scope" : id;
    WatchSubject subject = by_leaf_anywhere(word, mount, leaf);
    // A window from before its first start goes on.
    if (running && !window_stands(subject.text())) subject = by_leaf(word, mount + *running);
    subject.log = {container.value("LogPath", ""), true};
    return subject;
  });
}

// runc keeps the state of its containers in /run/runc.
std::optional<WatchSubject> ask_runc(const std::string& word, const std::string& mount) {
  if (word.find('/') != std::string::npos) return std::nullopt;
  auto text = base::read_file("/run/runc/" + word + "/state.json");
  if (!text) return std::nullopt;
  auto state = base::parse_json(*text, "runc's state of " + word);
  if (!state || !state->is_object()) return std::nullopt;
  const auto directory = sys::cgroup_of(state->value("init_process_pid", 0));
  if (!directory) return std::nullopt;
  return by_leaf(word, mount + *directory);
}

// Of the container, the cgroups below its own included; the first is its oldest as a rule.
std::vector<int> processes_of(const std::string& directory) {
  std::vector<int> pids;
  for (const std::string& each : sys::directories(directory)) {
    auto text = base::read_file(each + "/cgroup.procs");
    if (!text) continue;
    for (const std::string& line : base::split(*text, '\n'))
      if (auto pid = base::parse_u64(line); pid && *pid != 0)
        pids.push_back(static_cast<int>(*pid));
  }
  return pids;
}

bool may_use_packets(int pid) {
  auto text = base::read_file(fmt::format("/proc/{}/status", pid));
  if (!text) return false;  // it has ended
  for (const std::string& line : base::split(*text, '\n'))
    if (base::starts_with(line, "CapBnd:"))
      return (std::stoull(std::string(base::trim(line.substr(7))), nullptr, 16) &
              kPacketCapabilities) != 0;
  return true;
}

void look_at_network(int pid, SubjectState& state) {
  auto netns = sys::NetNs::of_process(pid);
  if (!netns) return;
  if (auto own = netns->is_own(); own && *own) {
    state.host_network = true;
    return;
  }
  auto inside = netns->call([] { return list_links(); });
  auto outside = list_links();
  if (!inside || !outside) return;
  state.own = inside->addresses;
  for (const NetworkLink& link : inside->links) {
    if (link.loopback) continue;
    auto peer = std::find_if(outside->links.begin(), outside->links.end(), [&](const auto& other) {
      return other.ifindex == link.peer && other.peer == link.ifindex && link.peer != 0;
    });
    if (peer == outside->links.end())
      state.unpaired = true;
    else
      state.interfaces.push_back(peer->ifindex);
  }
}

}  // namespace

std::string WatchSubject::directory() const {
  if (anywhere)
    for (const std::string& each : sys::directories(cgroup))
      if (base::ends_with(each, "/" + leaf)) return each;
  return text();
}

Result<WatchSubject> find_subject(const std::string& word, const std::string& docker_socket) {
  PARE_TRY(const std::string mount, sys::v2_mount());
  if (auto pid = base::parse_u64(word); pid && *pid < 1U << 22) {
    PARE_TRY(const std::string path, sys::cgroup_of(static_cast<int>(*pid)));
    if (path == "/")
      return fail(ErrorKind::kUsage, "process " + word +
                                         " is in no cgroup of its own: a window on it would "
                                         "close the whole host");
    return by_directory(word, mount + path);
  }
  if (base::starts_with(word, mount + "/") && is_directory(word)) return by_directory(word, word);
  if (base::starts_with(word, "/") && word.size() > 1 && is_directory(mount + word))
    return by_directory(word, mount + word);
  PARE_TRY(auto docker, ask_docker(word, docker_socket, mount));
  if (docker) return *docker;
  if (auto runc = ask_runc(word, mount)) return *runc;
  if (word.size() >= kShortId) {
    PARE_TRY(const std::vector<std::string> called, sys::container_cgroups(word));
    if (!called.empty()) {
      PARE_TRY(const std::string path, sys::container_cgroup(word));  // the only one
      return by_leaf(word, mount + path);
    }
  }
  return fail(ErrorKind::kUsage, "no container, process or cgroup is called '" + word +
                                     "': give a Docker or runc id, a pid, or a directory below " +
                                     mount);
}

void read_resolvers(const std::string& text, SubjectState& state) {
  for (const std::string& line : base::split(text, '\n')) {
    std::vector<std::string> words;
    std::string spaced = line.substr(0, line.find_first_of("#;"));
    std::replace(spaced.begin(), spaced.end(), '\t', ' ');
    for (std::string& word : base::split(spaced, ' '))
      if (!word.empty()) words.push_back(std::move(word));
    if (words.size() < 2) continue;
    if (words[0] == "nameserver") {
      if (auto address = parse_address(words[1].substr(0, words[1].find('%'))))
        state.resolvers.push_back(*address);
    } else if (words[0] == "search" || words[0] == "domain") {
      state.search.assign(words.begin() + 1, words.end());
    }
  }
  if (state.resolvers.empty()) state.resolvers.push_back(*parse_address("127.0.0.1"));
}

SubjectState look_at(const WatchSubject& subject) {
  SubjectState state;
  const std::vector<int> pids = processes_of(subject.directory());
  state.pid = pids.empty() ? 0 : pids.front();
  SubjectState host;
  auto of_host = base::read_file("/etc/resolv.conf");
  read_resolvers(of_host ? *of_host : "", host);
  if (state.pid == 0) {
    state.resolvers = host.resolvers;
    state.search = host.search;
    // Docker's own resolver, in networks that users make.
    state.resolvers.push_back(*parse_address("127.0.0.11"));
    return state;
  }
  auto inside = sys::read_in_root(fmt::format("/proc/{}/root", state.pid), "/etc/resolv.conf");
  read_resolvers(inside ? *inside : "", state);
  auto foreign = std::stable_partition(
      state.resolvers.begin(), state.resolvers.end(), [&](const Address& address) {
        return is_private(address) || std::find(host.resolvers.begin(), host.resolvers.end(),
                                                address) != host.resolvers.end();
      });
  state.foreign_resolvers.assign(foreign, state.resolvers.end());
  state.resolvers.erase(foreign, state.resolvers.end());
  // An exec from outside may bring what the container's first process does not have.
  state.packet_sockets = std::any_of(pids.begin(), pids.end(), may_use_packets);
  look_at_network(state.pid, state);
  return state;
}

}  // namespace pare::confine
