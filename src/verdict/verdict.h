// What was proved, plainly: verdicts with their trials, and the policy that was confirmed.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "evidence/evidence.h"
#include "privilege/policy.h"
#include "privilege/privilege.h"
#include "target/target.h"

namespace pare::verdict {

enum class Kind { kNeeded, kFixable, kUnneeded, kUnproven };
std::string_view to_string(Kind kind);

// A change, tried and confirmed, that removes a need.
struct Fix {
  std::string text;    // "run as uid 1234", "mount a tmpfs at /cache"
  std::string change;  // machine-readable: "user=1234:1234", "tmpfs=/cache", "env=HOME=/tmp"
};

struct Verdict {
  privilege::Privilege privilege;
  evidence::Phase phase = evidence::Phase::kServe;
  Kind kind = Kind::kUnproven;
  bool asked = false;                 // the target grants it today
  bool used = false;                  // evidence shows an act that exercised it
  bool tolerated = false;             // tried, refused, and the checks still passed
  std::string because;                // one clause
  std::vector<int> trials;            // ids of the trials that show it
  std::vector<std::string> evidence;  // ids of facts
  std::optional<Fix> fix;
};

struct Finding {
  std::string id;        // "restart", "stop", "port-80", ...
  std::string severity;  // "info" | "warning" | "high"
  std::string text;
  std::vector<std::string> evidence;
};

struct CheckEntry {
  std::string name, spec;
};

struct TrialEntry {
  int id = 0;
  // "baseline", "settings", "all-away", "give-back", "bisect", "fix", "minimal", "confirm",
  // "refusal", "cold", "slow"
  std::string kind;
  std::string outcome;               // "pass" | "fail" | "flaky"
  std::vector<std::string> failed;   // names of checks
  std::vector<std::string> without;  // privileges that were withheld
  std::string why;                   // of the first failed check
  double seconds = 0;
  int starts = 0;  // container starts
};

struct Proof {
  std::string pare_version;
  bool confirmed = false;
  bool minimal = false;
  std::string not_minimal_because;  // empty when minimal
  privilege::Platform platform;
  target::Target target;
  privilege::Policy asked;
  std::vector<CheckEntry> checks;
  std::vector<Verdict> verdicts;
  privilege::Policy policy;
  std::string kernel, arch, runtime, engine, date;
  std::vector<std::string> assumptions;
  std::vector<Finding> findings;
  std::vector<TrialEntry> trials;
  evidence::Loss loss;
};

// A path that no check needs and that no switch of the server closes: whoever reaches the port
// reaches it still, until something in front lets other paths through alone.
bool stays_reachable(const Verdict& verdict);

// proof.json, "pare.proof/v1".
nlohmann::json to_json(const Proof& proof);
// kUnread naming `what` and the field; a different schema is kUnread too.
Result<Proof> proof_from_json(const nlohmann::json& json, const std::string& what);

}  // namespace pare::verdict
