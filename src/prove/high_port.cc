#include "prove/high_port.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace pare::prove {

namespace {

constexpr uint16_t kHigher = 8000;  // 80 -> 8080, 443 -> 8443
constexpr uint16_t kNext = 1000;    // where that one is taken

bool names_port(const std::string& name) {
  return base::upper(name).find("PORT") != std::string::npos || name == "-p";
}

// "80", "--port=80" or "0.0.0.0:80" with the new number; empty: it is about something else.
// `before`: the word or name that stands before it.
std::string renumbered(const std::string& text, const std::string& before, uint16_t from,
                       uint16_t to) {
  const std::string number = std::to_string(from);
  if (!base::ends_with(text, number)) return "";
  std::string rest = text.substr(0, text.size() - number.size());
  bool flag = !rest.empty() && rest.back() == '=' && names_port(rest);
  bool address = !rest.empty() && rest.back() == ':';
  bool value = rest.empty() && names_port(before);
  return flag || address || value ? rest + std::to_string(to) : "";
}

class Move {
 public:
  explicit Move(const Universe& universe) : universe_(universe) {}

  Switches all() {
    for (uint16_t port : low_ports()) {
      if (!by_words(port) && !by_variables(port) && !by_family(port)) return {};
    }
    return std::move(switches_);
  }

 private:
  std::set<uint16_t> low_ports() const {
    std::set<uint16_t> ports;
    for (uint16_t port : listening()) {
      if (port < universe_.first_free_port()) ports.insert(port);
    }
    return ports;
  }

  std::set<uint16_t> listening() const {
    std::set<uint16_t> ports(universe_.check_ports().begin(), universe_.check_ports().end());
    for (const evidence::Evidence& evidence : universe_.baselines()) {
      for (const evidence::ListenerFact& fact : evidence.listeners) ports.insert(fact.port);
    }
    return ports;
  }

  uint16_t target_of(uint16_t port) {
    auto [it, fresh] = switches_.ports.try_emplace(port, port + kHigher);
    while (fresh && listening().count(it->second) > 0) it->second += kNext;
    return it->second;
  }

  bool by_words(uint16_t port) {
    const std::vector<std::string> words = universe_.command();
    bool any = false;
    for (size_t i = 0; i < words.size(); ++i) {
      std::string word = renumbered(words[i], i == 0 ? "" : words[i - 1], port, target_of(port));
      if (word.empty()) continue;
      switches_.words[i] = word;
      any = true;
    }
    return any;
  }

  bool by_variables(uint16_t port) {
    bool any = false;
    const target::Target& target = universe_.question().target;
    for (const auto* list : {&target.facts.env, &target.env}) {
      for (const target::EnvVar& variable : *list) {
        std::string value = renumbered(variable.value, variable.name, port, target_of(port));
        if (value.empty() || variable.secret) continue;
        switches_.environment[variable.name] = value;
        any = true;
      }
    }
    return any;
  }

  bool by_family(uint16_t port) {
    if (universe_.server() == nullptr) return false;
    for (const target::PortSetting& row : universe_.server()->port_settings) {
      if (row.role != "inference") continue;
      std::string number = std::to_string(target_of(port));
      if (base::starts_with(row.name, "-")) {
        switches_.arguments.insert(switches_.arguments.end(), {row.name, number});
      } else {
        switches_.environment[row.name] = number;
      }
      return true;
    }
    return false;
  }

  const Universe& universe_;
  Switches switches_;
};

}  // namespace

Switches move_ports(const Universe& universe) {
  const Element* sysctl = universe.find({Axis::kSysctl, kPortStart});
  if (sysctl != nullptr && sysctl->asked) return {};
  return Move(universe).all();
}

verdict::Fix move_fix(const Universe& universe) {
  const Switches& move = universe.port_move();
  const std::vector<std::string> today = universe.command();
  std::vector<std::string> ports, settings, changes;
  for (const auto& [from, to] : move.ports) {
    ports.push_back(std::to_string(to));
    changes.push_back(fmt::format("port={}->{}", from, to));
  }
  for (const auto& [position, word] : move.words) {
    settings.push_back(fmt::format("{} instead of {}", word, today.at(position)));
    changes.push_back(fmt::format("without-argument={} argument={}", today.at(position), word));
  }
  if (!move.arguments.empty()) settings.push_back(base::join(move.arguments, " "));
  for (const std::string& word : move.arguments) changes.push_back("argument=" + word);
  for (const auto& [name, value] : move.environment) {
    settings.push_back(fmt::format("{}={}", name, value));
    changes.push_back(fmt::format("env={}={}", name, value));
  }
  return {fmt::format("listen on {} with {}", base::join(ports, " and "),
                      base::join(settings, " and ")),
          base::join(changes, " ")};
}

}  // namespace pare::prove
