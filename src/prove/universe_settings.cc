// What the server's own settings grant: endpoints that answer, driver capabilities of a GPU.
#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/text.h"
#include "prove/candidates.h"
#include "prove/universe.h"

namespace pare::prove {

using evidence::Evidence;

namespace {

constexpr const char* kDriverVariable = "NVIDIA_DRIVER_CAPABILITIES";
constexpr const char* kVisibleDevices = "NVIDIA_VISIBLE_DEVICES";
constexpr const char* kDriverPrefix = "nvidia-";
// What "all" stands for (NVIDIA Container Toolkit documentation, driver capabilities).
constexpr std::array<const char*, 7> kDriverCapabilities = {
    "compat32", "compute", "display", "graphics", "ngx", "utility", "video"};

// Answers that say that there is nothing, or that it is closed.
bool closed(int status) {
  static constexpr std::array kClosed = {401, 403, 404, 410, 501};
  return std::find(kClosed.begin(), kClosed.end(), status) != kClosed.end();
}

// Whether a check's own text asks for the path: "http://:8000/metrics;expect=200".
bool asked_by(const std::vector<verdict::CheckEntry>& checks, uint16_t port,
              const std::string& path) {
  const std::string at = ":" + std::to_string(port) + path;
  return std::any_of(checks.begin(), checks.end(), [&](const verdict::CheckEntry& check) {
    size_t found = check.spec.find(at);
    if (found == std::string::npos) return false;
    size_t end = found + at.size();
    return end == check.spec.size() || check.spec[end] == ';' || check.spec[end] == '?';
  });
}

const std::string* variable_of(const target::Target& target, const std::string& name) {
  for (const target::EnvVar& variable : target.env) {
    if (variable.name == name) return &variable.value;
  }
  for (const target::EnvVar& variable : target.facts.env) {
    if (variable.name == name) return &variable.value;
  }
  return nullptr;
}

bool asks_for_gpus(const target::Target& target) {
  const std::string* visible = variable_of(target, kVisibleDevices);
  bool by_runtime = target.runtime == "nvidia" && visible != nullptr && !visible->empty() &&
                    *visible != "void" && *visible != "none";
  return !target.gpus.empty() || by_runtime;
}

template <typename T>
void add_missing(std::vector<T>& list, const std::vector<T>& more) {
  for (const T& one : more) {
    if (std::find(list.begin(), list.end(), one) == list.end()) list.push_back(one);
  }
}

}  // namespace

// Without the program that the engine puts before it.
std::vector<std::string> Universe::command() const {
  std::vector<std::string> entry = target::entry_point(question_.target);
  const std::vector<std::string>& argv = question_.target.argv;
  bool first = entry.size() <= argv.size() && std::equal(entry.begin(), entry.end(), argv.begin());
  auto begin = argv.begin() + static_cast<std::ptrdiff_t>(first ? entry.size() : 0);
  return {begin, argv.end()};
}

void Switches::add(const Switches& more) {
  add(target::ServerSwitch{more.arguments, more.without, more.environment});
  words.insert(more.words.begin(), more.words.end());
  ports.insert(more.ports.begin(), more.ports.end());
}

void Switches::add(const target::ServerSwitch& more) {
  add_missing(arguments, more.arguments);
  add_missing(without, more.without);
  environment.insert(more.environment.begin(), more.environment.end());
}

// By its own words first, then by image and command, then by what it executed.
void Universe::recognise() {
  for (const Evidence& evidence : baselines_) {
    for (const evidence::ListenerFact& fact : evidence.listeners) {
      if (server_ == nullptr && !fact.server.empty()) server_ = target::find_server(fact.server);
    }
  }
  const target::Target& target = question_.target;
  if (server_ == nullptr) server_ = target::recognise_server(target.image, target.argv);
  for (const Evidence& evidence : baselines_) {
    for (const evidence::ExecFact& fact : evidence.execs) {
      if (server_ == nullptr && !fact.error) server_ = target::recognise_server("", {fact.path});
    }
  }
}

std::vector<OpenEndpoint> Universe::open_endpoints(
    const std::vector<verdict::CheckEntry>& checks) const {
  std::map<Privilege, OpenEndpoint> all;
  for (const Evidence& evidence : baselines_) {
    for (OpenEndpoint& one : open_endpoints(checks, evidence)) {
      all.try_emplace(one.element.privilege, std::move(one));
    }
  }
  std::vector<OpenEndpoint> list;
  list.reserve(all.size());
  for (auto& [privilege, endpoint] : all) list.push_back(std::move(endpoint));
  return list;
}

std::vector<OpenEndpoint> Universe::open_endpoints(const std::vector<verdict::CheckEntry>& checks,
                                                   const Evidence& evidence) const {
  std::vector<OpenEndpoint> list;
  std::set<Privilege> seen;
  for (const evidence::ListenerFact& fact : evidence.listeners) {
    uint16_t today = fact.port;
    for (const auto& [from, to] : port_move_.ports) {
      if (fact.port == to) today = from;
    }
    bool reachable =
        std::find(check_ports_.begin(), check_ports_.end(), today) != check_ports_.end();
    if (!reachable || fact.protocol != "tcp") continue;
    for (const evidence::EndpointFact& endpoint : fact.endpoints) {
      if (closed(endpoint.status) || asked_by(checks, today, endpoint.path)) continue;
      std::string port = check_ports_.size() == 1 ? "" : ":" + std::to_string(today);
      OpenEndpoint one;
      one.element.privilege = {Axis::kEndpoint, endpoint.method + " " + port + endpoint.path};
      one.element.used = true;
      one.element.used_by = "HTTP " + std::to_string(endpoint.status);
      one.port = today;
      one.method = endpoint.method;
      one.path = endpoint.path;
      one.role = endpoint.role;
      one.known =
          target::find_endpoint(server_ == nullptr ? "" : server_->family, one.method, one.path);
      if (seen.insert(one.element.privilege).second) list.push_back(std::move(one));
    }
  }
  return list;
}

privilege::Policy Universe::with_switches(privilege::Policy policy,
                                          const Switches& switches) const {
  for (const auto& [name, value] : switches.environment) policy.environment[name] = value;
  for (privilege::PortGrant& grant : policy.ports) {
    auto moved = switches.ports.find(grant.port);
    if (moved == switches.ports.end()) continue;
    grant.instead = std::exchange(grant.port, moved->second);
  }
  std::vector<std::string> words = command();
  for (const auto& [position, word] : switches.words) words.at(position) = word;
  std::erase_if(words, [&](const std::string& word) {
    const auto& away = switches.without;
    return std::find(away.begin(), away.end(), word) != away.end();
  });
  add_missing(words, switches.arguments);
  if (words != command()) policy.arguments = words;
  return policy;
}

std::map<std::string, std::string> Universe::home_variables() const {
  std::map<std::string, std::string> variables = prove::home_variables("/tmp");
  if (server_ == nullptr) return variables;
  for (const auto& [name, value] : server_->environment) variables[name] = value;
  return variables;
}

// The devices themselves are what the server is for; which parts of the driver come with them is
// asked for by name.
void Universe::add_driver_capabilities() {
  if (!asks_for_gpus(question_.target)) return;
  const std::string* asked = variable_of(question_.target, kDriverVariable);
  // The toolkit's default, compute and utility, is what inference needs (unverified here).
  if (asked == nullptr || asked->empty()) return;
  std::set<std::string> names;
  for (std::string& name : base::split(*asked, ',')) {
    if (name != "all") {
      names.insert(std::move(name));
    } else {
      names.insert(kDriverCapabilities.begin(), kDriverCapabilities.end());
    }
  }
  names.erase("utility");  // the driver's own tools: an empty list would mean more, the default
  for (const std::string& name : names) {
    if (!name.empty()) elements_.push_back({{Axis::kDevice, kDriverPrefix + name}});
  }
}

void Universe::withhold_driver_capabilities(const Choice& choice, privilege::Policy& policy) const {
  std::vector<std::string> kept = {"utility"};
  size_t withheld = 0;
  for (const Element& element : elements_) {
    const Privilege& p = element.privilege;
    if (p.axis != Axis::kDevice || !base::starts_with(p.value, kDriverPrefix)) continue;
    if (choice.granted.count(p) > 0) {
      kept.push_back(p.value.substr(std::string_view(kDriverPrefix).size()));
    } else {
      ++withheld;
    }
  }
  if (withheld == 0) return;
  std::sort(kept.begin(), kept.end());
  policy.environment[kDriverVariable] = base::join(kept, ",");
}

}  // namespace pare::prove
