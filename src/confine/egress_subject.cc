#include "confine/egress_subject.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "confine/egress_links.h"
#include "engine/docker_api.h"
#include "sys/cgroup.h"
#include "sys/netns.h"
#include "sys/rootfs.h"

namespace pare::confine {

namespace {

constexpr size_t kShortId = 12;  // Docker's short id: shorter words are no part of a cgroup's name
constexpr uint64_t kPacketCapabilities = 1U << 12 | 1U << 13;  // NET_ADMIN, NET_RAW

bool is_directory(const std::string& path) {
  struct stat st {};
  return stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

// "0::/docker/ID" of /proc/PID/cgroup.
std::string cgroup_of(int pid, const std::string& mount) {
  auto text = base::read_file(fmt::format("/proc/{}/cgroup", pid));
  if (!text) return "";
  for (const std::string& line : base::split(*text, '\n'))
    if (base::starts_with(line, "0::/")) return mount + line.substr(3);
  return "";
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
    const int pid = container.at("State").value("Pid", 0);
    const std::string running = pid > 0 ? cgroup_of(pid, mount) : "";
    std::string parent = container.at("HostConfig").value("CgroupParent", "");
    const bool systemd = info.value("CgroupDriver", "cgroupfs") == "systemd";
    if (parent.empty()) parent = systemd ? "system.slice" : "docker";
    if (!base::starts_with(parent, "/")) parent = "/" + parent;
    const std::string leaf = systemd ? "docker-" + id + ".scope" : id;
    WatchSubject subject = by_leaf(word, running.empty() ? mount + parent + "/" + leaf : running);
    subject.container_id = id;
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
  const std::string directory = cgroup_of(state->value("init_process_pid", 0), mount);
  if (directory.empty()) return std::nullopt;
  return by_leaf(word, directory);
}

std::optional<std::string> find_directory(const std::string& word, const std::string& mount) {
  if (word.size() < kShortId) return std::nullopt;
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(mount, error))
    if (entry.is_directory(error) &&
        entry.path().filename().string().find(word) != std::string::npos)
      return entry.path().string();
  return std::nullopt;
}

// Of the container, the cgroups below its own included; the first is its oldest as a rule.
std::vector<int> processes_of(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> directories = {directory};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, error))
    if (entry.is_directory(error)) directories.push_back(entry.path());
  std::vector<int> pids;
  for (const std::string& each : directories) {
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

Result<std::string> cgroup2_mount() {
  PARE_TRY(auto hierarchies, sys::cgroup_hierarchies());
  for (const auto& hierarchy : hierarchies)
    if (hierarchy.v2) return hierarchy.mount;
  return fail(ErrorKind::kHost,
              "no cgroup v2 hierarchy is mounted, and the egress window stands in it: mount "
              "cgroup2 at /sys/fs/cgroup/unified");
}

Result<WatchSubject> find_subject(const std::string& word, const std::string& docker_socket) {
  PARE_TRY(const std::string mount, cgroup2_mount());
  if (auto pid = base::parse_u64(word); pid && *pid < 1U << 22) {
    const std::string directory = cgroup_of(static_cast<int>(*pid), mount);
    if (directory.empty()) return fail(ErrorKind::kUsage, "there is no process " + word);
    if (directory == mount || directory == mount + "/")
      return fail(ErrorKind::kUsage, "process " + word +
                                         " is in no cgroup of its own: a window on it would "
                                         "close the whole host");
    return by_directory(word, directory);
  }
  if (base::starts_with(word, mount + "/") && is_directory(word)) return by_directory(word, word);
  if (base::starts_with(word, "/") && word.size() > 1 && is_directory(mount + word))
    return by_directory(word, mount + word);
  PARE_TRY(auto docker, ask_docker(word, docker_socket, mount));
  if (docker) return *docker;
  if (auto runc = ask_runc(word, mount)) return *runc;
  if (auto directory = find_directory(word, mount)) return by_leaf(word, *directory);
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
