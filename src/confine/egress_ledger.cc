#include "confine/egress_ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "confine/egress_opening.h"
#include "record/dns.h"
#include "record/names.h"

namespace pare::confine {

namespace {

constexpr size_t kWideFrom = 16;    // distinct names below one domain
constexpr size_t kTunnelName = 30;  // mean length of such names that carry data
constexpr size_t kMaxNames = 16'384;

template <typename T>
void add(std::set<T>& set, const T& value, size_t most = kMaxOfEach) {
  if (set.size() < most) set.insert(value);
}

// What a process calls itself may hold anything, a terminal's escapes among it.
std::string printable(std::string text) {
  for (char& c : text)
    if (c < ' ' || c >= 127) c = '?';
  return text;
}

std::string process_text(const Tried& tried) {
  if (tried.exe.empty()) return "";
  return printable(tried.comm.empty() || tried.comm == tried.exe.substr(0, 15)
                       ? tried.exe
                       : fmt::format("{} ({})", tried.exe, tried.comm));
}

void add_times(Destination& destination, const Tried& tried) {
  if (destination.first_ns == 0 && !tried.times_ns.empty())
    destination.first_ns = tried.times_ns.front();
  destination.last_ns = std::max(destination.last_ns, tried.last_ns);
  auto& times = destination.times_ns;
  times.insert(times.end(), tried.times_ns.begin(), tried.times_ns.end());
  std::sort(times.begin(), times.end());
  if (times.size() > kMaxTimes)
    times.erase(times.begin(), times.end() - static_cast<std::ptrdiff_t>(kMaxTimes));
  if (const std::string process = process_text(tried); !process.empty())
    add(destination.processes, process);
}

// "vendor.test" of "a.b.vendor.test"; empty: it has no more than two labels.
std::string domain_of(const std::string& name) {
  size_t dot = name.rfind('.');
  if (dot == std::string::npos || dot == 0) return "";
  dot = name.rfind('.', dot - 1);
  return dot == std::string::npos ? "" : name.substr(dot + 1);
}

}  // namespace

std::string protocol_text(uint8_t protocol) {
  std::string_view name = record::ip_protocol_name(protocol);
  if (!name.empty()) return std::string(name);
  return protocol == 0 ? "other" : fmt::format("ip{}", protocol);
}

std::string Destination::service() const {
  std::string text = base::join({protocols.begin(), protocols.end()}, ",");
  if (ports.size() == 1)
    text += fmt::format(" {}", *ports.begin());
  else if (ports.size() > 1 && ports.size() <= 3)
    text += fmt::format(" {}", fmt::join(ports, ","));
  else if (ports.size() > 3)
    text += fmt::format(" {}-{} ({} ports)", first_port, last_port, ports.size());
  return text;
}

std::string Destination::remark() const {
  std::vector<std::string> parts;
  if (auto found = beacon(); found && found->rhythm != Rhythm::kIrregular)
    parts.push_back("beacon: " + describe(*found));
  if (tunnel)
    parts.push_back(fmt::format("{} names that carry data, {} bytes", names, bytes));
  else if (names > 1)
    parts.push_back(fmt::format("{} names", names));
  if (own_resolver) parts.emplace_back("a resolver of its own choice");
  if (rebound > 0) parts.emplace_back("a private address behind a public name");
  if (packets > 0) parts.emplace_back("a packet socket, or the kernel's own packets");
  if (unsent > 0)
    parts.push_back(fmt::format("{} datagram sockets connected, nothing sent", unsent));
  if (protocols.count("udp") > 0 && ports.count(443) > 0) parts.emplace_back("QUIC, by its port");
  if (log_lines > 0) parts.push_back(fmt::format("{} lines of the log name it", log_lines));
  for (const std::string& server : server_names)
    if (server != name) parts.push_back("says it wants " + server);
  return base::join(parts, "; ");
}

Destination* EgressLedger::find(const std::string& name) {
  auto known = destinations_.find(name);
  if (known != destinations_.end()) return &known->second;
  if (destinations_.size() >= kMaxDestinations) return nullptr;
  Destination& fresh = destinations_[name];
  fresh.name = name;
  return &fresh;
}

// Many names below one domain are one destination, as long as nothing but questions came of them:
// what was tried at a name, and what an exception let through, stays with that name.
std::string EgressLedger::grouped(const std::string& name) {
  auto tried = [this](const std::string& each) {
    auto one = destinations_.find(each);
    return one != destinations_.end() && one->second.attempts() > 0;
  };
  if (tried(name)) return name;
  const std::string domain = domain_of(name);
  if (domain.empty() || below_.size() > kMaxDestinations) return name;
  std::set<std::string>& names = below_[domain];
  const bool fresh = names.size() < kMaxNames / 16 && names.insert(name).second;
  const std::string wide = "*." + domain;
  if (wide_.count(domain) == 0) {
    if (names.size() <= kWideFrom) return name;
    wide_.insert(domain);
    Destination* all = find(wide);
    if (all == nullptr) return name;
    for (const std::string& each : names) {
      auto one = destinations_.find(each);
      if (one == destinations_.end() || tried(each)) continue;
      const Destination& from = one->second;
      all->questions += from.questions;
      all->questions_denied += from.questions_denied;
      all->bytes += from.bytes;
      all->own_resolver = all->own_resolver || from.own_resolver;
      all->protocols.insert(from.protocols.begin(), from.protocols.end());
      for (const std::string& process : from.processes) add(all->processes, process);
      for (const std::string& address : from.addresses) add(all->addresses, address);
      all->times_ns.insert(all->times_ns.end(), from.times_ns.begin(), from.times_ns.end());
      all->first_ns = all->first_ns == 0 ? from.first_ns : std::min(all->first_ns, from.first_ns);
      destinations_.erase(one);
    }
    all->names = names.size();
    all->named = true;
  } else if (fresh) {
    if (Destination* all = find(wide)) ++all->names;
  }
  size_t length = 0;
  for (const std::string& each : names) length += each.size();
  if (Destination* all = find(wide))
    all->tunnel = all->tunnel || length >= names.size() * kTunnelName;
  return wide;
}

void EgressLedger::take_question(const Question& question, const std::vector<Address>& resolvers) {
  Destination* destination = find(grouped(question.name));
  if (destination == nullptr) {
    others_ += question.count;
    return;
  }
  destination->named = true;
  destination->protocols.insert("dns");
  destination->questions += question.count;
  if (!question.allowed) destination->questions_denied += question.count;
  destination->bytes += question.bytes;
  if (std::find(resolvers.begin(), resolvers.end(), question.resolver) == resolvers.end()) {
    destination->own_resolver = true;
    add(destination->addresses, to_string(question.resolver));
  }
  add_times(*destination, question);
}

void EgressLedger::take_attempt(const Attempt& attempt) {
  const std::string address = to_string(attempt.address);
  std::string name = address;
  const bool packet = attempt.verdict == PARE_EGRESS_PACKET;
  if (!attempt.names.empty())
    name = attempt.names.front();
  else if (auto known = names_.find(address); known != names_.end())
    name = known->second;
  Destination* destination = find(name);
  if (destination == nullptr) {
    others_ += attempt.count;
    return;
  }
  destination->named = destination->named || name != address;
  add(destination->addresses, address);
  destination->protocols.insert(packet ? "packet" : protocol_text(attempt.protocol));
  if (attempt.port != 0) {
    add(destination->ports, attempt.port, kMaxPorts);
    destination->first_port = destination->first_port == 0
                                  ? attempt.port
                                  : std::min(destination->first_port, attempt.port);
    destination->last_port = std::max(destination->last_port, attempt.port);
  }
  uint64_t Destination::*const counts[] = {&Destination::allowed, &Destination::denied,
                                           &Destination::rebound, &Destination::packets,
                                           &Destination::unsent};
  destination->*counts[attempt.verdict] += attempt.count;
  destination->bytes += attempt.bytes;
  add_times(*destination, attempt);
}

void EgressLedger::take_opening(const Opening& opening) {
  if (opening.kind == PARE_EGRESS_ANSWER) {
    auto message = record::parse_dns(opening.bytes);
    if (!message || message->questions.empty()) return;
    for (const std::string& address : message->addresses)
      if (names_.size() < kMaxNames) names_[address] = message->questions[0].name;
    return;
  }
  const std::string said = server_name(opening.bytes);
  if (said.empty()) return;
  const std::string address = to_string(opening.address);
  for (auto& [name, destination] : destinations_)
    if (destination.addresses.count(address) > 0) add(destination.server_names, said);
}

void EgressLedger::take(const Look& look, const std::vector<Address>& resolvers) {
  // Answers name the addresses of the attempts that followed them.
  for (const Opening& opening : look.openings)
    if (opening.kind == PARE_EGRESS_ANSWER) take_opening(opening);
  for (const Question& question : look.questions) take_question(question, resolvers);
  for (const Attempt& attempt : look.attempts) take_attempt(attempt);
  for (const Opening& opening : look.openings)
    if (opening.kind == PARE_EGRESS_FIRST_BYTES) take_opening(opening);
}

nlohmann::json to_json(const Destination& destination, uint64_t origin_ns) {
  auto seconds = [&](uint64_t ns) {
    return ns <= origin_ns ? 0.0 : static_cast<double>((ns - origin_ns) / 1'000'000) / 1000;
  };
  nlohmann::json json = {{"name", destination.name},
                         {"named", destination.named},
                         {"service", destination.service()},
                         {"protocols", destination.protocols},
                         {"ports", destination.ports},
                         {"addresses", destination.addresses},
                         {"serverNames", destination.server_names},
                         {"processes", destination.processes},
                         {"attempts", destination.attempts()},
                         {"allowed", destination.allowed},
                         {"denied", destination.denied_attempts()},
                         {"rebound", destination.rebound},
                         {"packets", destination.packets},
                         {"unsent", destination.unsent},
                         {"questions", destination.questions},
                         {"questionsDenied", destination.questions_denied},
                         {"bytes", destination.bytes},
                         {"distinctNames", destination.names},
                         {"ownResolver", destination.own_resolver},
                         {"tunnel", destination.tunnel},
                         {"logLines", destination.log_lines},
                         {"firstSeconds", seconds(destination.first_ns)},
                         {"lastSeconds", seconds(destination.last_ns)},
                         {"remark", destination.remark()},
                         {"beacon", nullptr}};
  if (auto beacon = destination.beacon())
    json["beacon"] = {{"rhythm", to_string(beacon->rhythm)},
                      {"periodMs", beacon->period_ms},
                      {"jitter", beacon->jitter},
                      {"factor", beacon->factor},
                      {"rounds", beacon->rounds},
                      {"randomPorts", beacon->random_ports}};
  return json;
}

}  // namespace pare::confine
