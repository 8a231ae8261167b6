#include "prove/settings.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace pare::prove {

namespace {

bool tried(const evidence::Evidence& evidence, const std::string& host) {
  auto is_host = [&](const auto& fact) { return fact.name == host; };
  return std::any_of(evidence.egress.begin(), evidence.egress.end(), is_host) ||
         std::any_of(evidence.dns.begin(), evidence.dns.end(), is_host);
}

template <typename List, typename T>
bool holds(const List& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool includes(const Switches& all, const Switches& part) {
  auto in = [](const auto& list) { return [&](const auto& one) { return holds(list, one); }; };
  return std::all_of(part.ports.begin(), part.ports.end(), in(all.ports)) &&
         std::all_of(part.arguments.begin(), part.arguments.end(), in(all.arguments)) &&
         std::all_of(part.without.begin(), part.without.end(), in(all.without)) &&
         std::all_of(part.environment.begin(), part.environment.end(), in(all.environment));
}

Switches of_endpoint(const OpenEndpoint& endpoint) {
  Switches switches;
  if (endpoint.known != nullptr) switches.add(endpoint.known->off);
  return switches;
}

Switches both(Switches a, const Switches& b) {
  a.add(b);
  return a;
}

verdict::Fix fix_of(const Switches& switches) {
  std::vector<std::string> texts, changes;
  for (const std::string& word : switches.arguments) {
    texts.push_back("with " + word);
    changes.push_back("argument=" + word);
  }
  for (const std::string& word : switches.without) {
    texts.push_back("without " + word);
    changes.push_back("without-argument=" + word);
  }
  for (const auto& [name, value] : switches.environment) {
    texts.push_back(fmt::format("with {}={}", name, value));
    changes.push_back(fmt::format("env={}={}", name, value));
  }
  return {"start it " + base::join(texts, " and "), base::join(changes, " ")};
}

}  // namespace

Settings::Settings(Universe& universe, std::vector<verdict::CheckEntry> checks, Answer& answer)
    : universe_(universe), checks_(std::move(checks)), answer_(answer) {
  const std::vector<target::EnvVar>& asked = universe.question().target.env;
  for (const target::Server& server : target::servers()) {
    for (const target::Telemetry& row : server.telemetry) {
      bool set = std::any_of(asked.begin(), asked.end(),
                             [&](const auto& variable) { return variable.name == row.variable; });
      bool seen = std::any_of(universe.baselines().begin(), universe.baselines().end(),
                              [&](const auto& evidence) { return tried(evidence, row.host); });
      if (set || !seen || row.variable.empty()) continue;
      Switches off;
      off.environment[row.variable] = row.off;
      hosts_.push_back({row.host, off});
    }
  }
}

std::vector<Switches> Settings::singly() const {
  std::vector<Switches> list;
  for (const OpenEndpoint& endpoint : answer_.endpoints) {
    Switches off = of_endpoint(endpoint);
    // Words that its command does not hold cannot be left out.
    bool changes = !off.empty() && !(universe_.with_switches({}, off) == privilege::Policy{});
    bool again = std::any_of(list.begin(), list.end(),
                             [&](const Switches& known) { return includes(known, off); });
    if (changes && !again) list.push_back(off);
  }
  for (const Host& host : hosts_) list.push_back(host.off);
  if (!universe_.port_move().empty()) list.push_back(universe_.port_move());
  return list;
}

Step<bool> Settings::passes(Ledger& ledger, const Request& request, const Switches& switches) {
  Request one = request;
  one.policy = universe_.with_switches(std::move(one.policy), switches);
  const Record* record = ledger.find(one.policy, false, false);
  if (record == nullptr) {
    PARE_TRY(record, ledger.run(one));
  }
  if (record->passes() == 0) return false;
  int id = record->last(true)->id;
  const evidence::Evidence* evidence = ledger.evidence(id);
  if (evidence != nullptr) universe_.adopt(learn(id, *evidence, switches));
  const Switches& move = universe_.port_move();
  if (!move.empty() && includes(switches, move)) universe_.adopt_port_move();
  return true;
}

Step<void> Settings::run(Ledger& ledger, const Request& request) {
  std::vector<Switches> known = singly();
  if (known.empty()) return {};
  Switches all;
  for (const Switches& one : known) all = both(all, one);
  PARE_TRY(bool pass, passes(ledger, request, all));
  if (pass || known.size() == 1) return {};
  Switches working;
  for (const Switches& one : known) {
    PARE_TRY(pass, passes(ledger, request, one));
    if (pass) working = both(working, one);
  }
  if (working.empty()) return {};
  PARE_CHECK_OK(passes(ledger, request, working));
  return {};
}

Switches Settings::learn(int id, const evidence::Evidence& evidence, const Switches& under) {
  Switches useful;
  std::set<Privilege> open;
  for (const OpenEndpoint& endpoint : universe_.open_endpoints(checks_, evidence)) {
    open.insert(endpoint.element.privilege);
  }
  for (const OpenEndpoint& endpoint : answer_.endpoints) {
    Switches off = of_endpoint(endpoint);
    const Privilege& p = endpoint.element.privilege;
    if (off.empty() || !includes(under, off) || open.count(p) > 0) continue;
    useful = both(useful, off);
    answer_.switched[p] = {{id}, true, fix_of(off)};
  }
  for (const Host& host : hosts_) {
    if (!includes(under, host.off) || tried(evidence, host.name)) continue;
    useful = both(useful, host.off);
    const auto& [name, value] = *host.off.environment.begin();
    answer_.telemetry[host.name] = fmt::format("{}={}", name, value);
  }
  if (!useful.empty()) answer_.settings_trial = id;
  return useful;
}

}  // namespace pare::prove
