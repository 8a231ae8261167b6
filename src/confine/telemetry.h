// What an opt-out variable really does: attempts by destination without it, with it, and with its
// enabling value, which is the positive control (0 is not to be compared with 0). Pure.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "evidence/evidence.h"
#include "target/servers.h"

namespace pare::confine {

struct TelemetryVariable {
  std::string name, off;           // NAME=off is said to switch it off
  std::string on;                  // NAME=on should switch it on; empty: there is no obvious one
  std::vector<std::string> hosts;  // that it is about; empty: unknown
  bool known = false;              // of this server, by the knowledge base
  std::string source;
};

using Attempts = std::map<std::string, uint64_t>;  // by destination's name, else its address

// Connections and datagrams by name; of names that were only asked for, the questions.
Attempts attempts_of(const evidence::Evidence& evidence);

// Attempts by stage of a run, in its order: "start-up", "idle", "inference", "shutdown".
using Stages = std::vector<std::pair<std::string, Attempts>>;

// `whole`: the run's. A name that was connected to in any stage counts by its connections in all.
Stages stages_of(const evidence::Evidence& whole,
                 const std::vector<std::pair<std::string, evidence::Evidence>>& stages);
nlohmann::json to_json(const Stages& stages);
// "start-up 3, idle 12" of one destination; stages without attempts are left out.
std::string stages_text(const Stages& stages, const std::string& destination);

// The server's own variables first, then the user's ("K=V"). Each name and value once.
std::vector<TelemetryVariable> variables_to_try(const target::Server* server,
                                                const std::vector<std::string>& users);

enum class Effect {
  kWorks,  // nothing was tried with it, something without
  kDoesNothing,
  kPartial,   // less, or not everywhere
  kUnknown,   // does nothing, and nothing says that this server knows it
  kUnproven,  // nothing was tried with any value: 0 is not compared with 0
};
std::string_view to_string(Effect effect);

struct TelemetryVerdict {
  TelemetryVariable variable;
  Attempts without, with;
  std::optional<Attempts> control;  // with the enabling value
  Effect effect = Effect::kUnproven;
  std::string because;  // with the numbers
};

TelemetryVerdict judge(const TelemetryVariable& variable, const Attempts& without,
                       const Attempts& with, const std::optional<Attempts>& control);

nlohmann::json to_json(const TelemetryVerdict& verdict);

}  // namespace pare::confine
