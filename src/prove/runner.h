// The prover's one window to the world. Fakes of it are for the search's own tests alone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "evidence/evidence.h"
#include "privilege/policy.h"
#include "privilege/privilege.h"
#include "verdict/verdict.h"

namespace pare::prove {

struct CheckOutcome {
  std::string name;
  bool pass = false;
  std::string why;       // of a failure, one clause: "HTTP 500", "empty body"
  bool implied = false;  // stop, restart, ...: judged relative to the baseline
  double seconds = 0;    // median of its requests; 0: not measured
  std::string answer;    // answer_digest of what was answered; empty: nothing to compare
};

// Equal for answers that differ in numbers alone (times, counters, ids).
std::string answer_digest(const std::string& answer);

struct Request {
  int id = 0;
  std::string kind;  // TrialEntry::kind
  privilege::Policy policy;
  std::vector<privilege::Privilege> without;  // what is withheld, for people
  bool cold = false;     // volumes as the user has them, instead of as the first baseline left them
  bool restart = false;  // stop and start once more on the same volumes, and check again
};

// A failed trial is data.
struct Outcome {
  bool pass = false;  // every check passed that is not implied
  bool ready = true;  // every check passed once, so that failures are not those of a start
  std::vector<CheckOutcome> checks;
  std::optional<evidence::Evidence> evidence;  // nullopt under --no-record
  std::string why;                             // of the first failure
  double seconds = 0;
  int starts = 1;
  bool replayed = false;  // from the journal of an earlier run: does not count against the budget
};

// Whether a trial of this kind asks the ports for known paths.
bool asks_endpoints(const std::string& kind);

class TrialRunner {
 public:
  TrialRunner() = default;
  TrialRunner(const TrialRunner&) = delete;
  TrialRunner& operator=(const TrialRunner&) = delete;
  virtual ~TrialRunner() = default;
  // An Error is ours (the engine broke, the disk is full) and ends the search.
  virtual Result<Outcome> run(const Request& request) = 0;
  // Several that do not depend on each other, in their order; side by side where that is wanted.
  virtual std::vector<Result<Outcome>> run_all(const std::vector<Request>& requests) {
    std::vector<Result<Outcome>> outcomes;
    outcomes.reserve(requests.size());
    for (const Request& request : requests) outcomes.push_back(run(request));
    return outcomes;
  }
  // How many run side by side; 1: what may turn out superfluous is not begun.
  virtual int jobs() const { return 1; }
  // The checks, and the ports that they speak to; known once the first trial has run (they may have
  // been chosen in it).
  virtual std::vector<verdict::CheckEntry> checks() const = 0;
  virtual std::vector<uint16_t> check_ports() const = 0;
  // Whether a policy's memlock_bytes may be more than the platform's default here.
  virtual bool can_raise_memlock() const { return true; }
};

}  // namespace pare::prove
