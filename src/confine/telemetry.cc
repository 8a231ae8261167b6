#include "confine/telemetry.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"

namespace pare::confine {

namespace {

constexpr double kSame = 0.75;  // of the attempts without it: no effect, but for chance

std::string enabling_value(const std::string& off) {
  static const std::map<std::string, std::string> kOpposite = {
      {"0", "1"},        {"1", "0"},    {"true", "false"}, {"false", "true"}, {"True", "False"},
      {"False", "True"}, {"off", "on"}, {"on", "off"},     {"no", "yes"},     {"yes", "no"}};
  auto found = kOpposite.find(off);
  return found == kOpposite.end() ? "" : found->second;
}

// "huggingface.co" of "huggingface.co/api/telemetry" and "stats.lmcache.ai:8080".
std::string host_of(const std::string& text) {
  return text.substr(0, text.find_first_of("/:"));
}

void add_variable(std::vector<TelemetryVariable>& all, TelemetryVariable variable) {
  auto same = std::find_if(all.begin(), all.end(), [&](const TelemetryVariable& each) {
    return each.name == variable.name && each.off == variable.off;
  });
  if (same == all.end()) {
    all.push_back(std::move(variable));
    return;
  }
  same->hosts.insert(same->hosts.end(), variable.hosts.begin(), variable.hosts.end());
}

bool is_about(const TelemetryVariable& variable, const std::string& destination) {
  return std::find(variable.hosts.begin(), variable.hosts.end(), destination) !=
         variable.hosts.end();
}

uint64_t count_in(const Attempts& attempts, const std::string& destination) {
  auto found = attempts.find(destination);
  return found == attempts.end() ? 0 : found->second;
}

struct Compared {
  std::vector<std::string> gone, less, same;
  uint64_t before = 0, after = 0;
};

// Against the larger of the two runs without it: with nothing set, and switched on.
Compared compare(const TelemetryVariable& variable, const Attempts& without, const Attempts& with,
                 const Attempts& control) {
  std::set<std::string> destinations;
  for (const Attempts* attempts : {&without, &control})
    for (const auto& [name, count] : *attempts) destinations.insert(name);
  const bool narrow = std::any_of(destinations.begin(), destinations.end(),
                                  [&](const auto& name) { return is_about(variable, name); });
  Compared compared;
  for (const std::string& name : destinations) {
    if (narrow && !is_about(variable, name)) continue;
    const uint64_t before = std::max(count_in(without, name), count_in(control, name));
    const uint64_t after = count_in(with, name);
    compared.before += before;
    compared.after += after;
    if (before == 0) continue;
    auto& list = after == 0                                                         ? compared.gone
                 : static_cast<double>(after) < kSame * static_cast<double>(before) ? compared.less
                                                                                    : compared.same;
    list.push_back(name);
  }
  return compared;
}

}  // namespace

Attempts attempts_of(const evidence::Evidence& evidence) {
  Attempts attempts;
  for (const evidence::EgressFact& fact : evidence.egress) {
    // A question to a resolver is counted by its name.
    if (fact.port == 53) continue;
    attempts[fact.name.empty() ? fact.destination : fact.name] += fact.attempts;
  }
  Attempts questions;
  for (const evidence::DnsFact& fact : evidence.dns)
    questions[fact.name] = std::max(questions[fact.name], fact.count);  // A and AAAA come together
  for (const auto& [name, count] : questions)
    if (attempts.count(name) == 0) attempts[name] = count;
  return attempts;
}

Stages stages_of(const evidence::Evidence& whole,
                 const std::vector<std::pair<std::string, evidence::Evidence>>& stages) {
  evidence::Evidence connections;
  connections.egress = whole.egress;
  const Attempts connected = attempts_of(connections);
  Stages counted;
  for (const auto& [name, evidence] : stages) {
    evidence::Evidence one = evidence;
    auto is_connected = [&](const evidence::DnsFact& fact) {
      return connected.count(fact.name) > 0;
    };
    one.dns.erase(std::remove_if(one.dns.begin(), one.dns.end(), is_connected), one.dns.end());
    counted.emplace_back(name, attempts_of(one));
  }
  return counted;
}

nlohmann::json to_json(const Stages& stages) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, attempts] : stages) json[name] = attempts;
  return json;
}

std::string stages_text(const Stages& stages, const std::string& destination) {
  std::vector<std::string> parts;
  for (const auto& [name, attempts] : stages)
    if (uint64_t count = count_in(attempts, destination); count > 0)
      parts.push_back(fmt::format("{} {}", name, count));
  return base::join(parts, ", ");
}

std::vector<TelemetryVariable> variables_to_try(const target::Server* server,
                                                const std::vector<std::string>& users) {
  std::vector<TelemetryVariable> all;
  if (server != nullptr)
    for (const target::Telemetry& row : server->telemetry)
      if (!row.variable.empty() && !base::starts_with(row.variable, "-"))
        add_variable(all, {row.variable, row.off, enabling_value(row.off),
                           row.host.empty() ? std::vector<std::string>{}
                                            : std::vector<std::string>{host_of(row.host)},
                           true, row.source});
  for (const std::string& text : users) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) continue;
    const std::string off = text.substr(equals + 1);
    add_variable(all,
                 {text.substr(0, equals), off, enabling_value(off), {}, false, "the command line"});
  }
  return all;
}

std::string_view to_string(Effect effect) {
  switch (effect) {
    case Effect::kWorks:
      return "works";
    case Effect::kDoesNothing:
      return "does nothing";
    case Effect::kPartial:
      return "partial";
    case Effect::kUnknown:
      return "unknown to this server";
    case Effect::kUnproven:
      return "unproven";
  }
  return "unproven";
}

TelemetryVerdict judge(const TelemetryVariable& variable, const Attempts& without,
                       const Attempts& with, const std::optional<Attempts>& control) {
  TelemetryVerdict verdict{variable, without, with, control};
  const Compared compared = compare(variable, without, with, control.value_or(Attempts{}));
  const std::string numbers =
      fmt::format("{} attempts without it, {} with it", compared.before, compared.after);
  auto names = [](const std::vector<std::string>& list) { return base::join(list, ", "); };
  if (compared.before == 0) {
    verdict.because = "nothing was tried with any value in this time: nothing to compare";
  } else if (compared.less.empty() && compared.same.empty()) {
    verdict.effect = Effect::kWorks;
    verdict.because = numbers;
  } else if (compared.gone.empty() && compared.less.empty()) {
    verdict.effect = variable.known ? Effect::kDoesNothing : Effect::kUnknown;
    verdict.because = numbers + ", to " + names(compared.same);
  } else {
    verdict.effect = Effect::kPartial;
    std::vector<std::string> left = compared.less;
    left.insert(left.end(), compared.same.begin(), compared.same.end());
    verdict.because = numbers + ", still to " + names(left);
  }
  return verdict;
}

nlohmann::json to_json(const TelemetryVerdict& verdict) {
  return {
      {"variable", verdict.variable.name},
      {"off", verdict.variable.off},
      {"on", verdict.variable.on},
      {"known", verdict.variable.known},
      {"source", verdict.variable.source},
      {"verdict", to_string(verdict.effect)},
      {"because", verdict.because},
      {"without", verdict.without},
      {"with", verdict.with},
      {"control", verdict.control ? nlohmann::json(*verdict.control) : nlohmann::json(nullptr)}};
}

}  // namespace pare::confine
