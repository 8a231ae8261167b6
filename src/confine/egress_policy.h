// What a window has learnt, as files: an amendment to a proof, rules for the next window, and the
// platforms' own words. Pure text; nothing is written here.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "confine/egress_ledger.h"
#include "confine/egress_log.h"
#include "confine/egress_rules.h"

namespace pare::confine {

// Whether attempts to the destination are an exception's business.
bool covers(const Exception& exception, const Destination& destination);

// Whether the checks pass without it.
enum class Need { kNeeded, kTolerated, kUnproven };
std::string_view to_string(Need need);

struct Learnt {
  Exception exception;               // without its time
  std::vector<std::string> used_by;  // processes
  uint64_t attempts = 0;
  Need need = Need::kUnproven;
  std::string because;   // one clause
  bool in_force = true;  // false: its time in this window is over
};

struct WindowReport {
  std::string subject;       // as the user calls it
  bool open = true;          // false: the window was closed
  std::string proof_digest;  // of the proof that is amended; empty: none
  std::string refusal;       // how the rest fails
  bool sealed = false;
  std::string not_sealed_because;  // empty when sealed
  uint64_t origin_ns = 0;          // when the window opened
  double seconds = 0;
  WindowTotals totals;
  uint64_t others = 0;
  std::vector<Learnt> learnt;
  std::vector<Destination> destinations;
  LogPicture log;
  std::vector<Address> resolvers;
  size_t in_force() const;  // exceptions
  uint64_t lost() const;    // counted, not told apart
};

// Parts of the platforms' words: "TCP", "UDP" or both; "203.0.113.0/24" or "2001:db8::/32"; a line
// that begins with # and says what was learnt.
std::vector<std::string> protocols_of(const Exception& exception);
std::string cidr(const Exception& exception);
std::string comment(const Learnt& learnt, const std::string& indent);

// "pare.egress/v1".
nlohmann::json to_json(const WindowReport& report);
// A file for --allow-file.
std::string rules_text(const WindowReport& report);
// networking.k8s.io/v1: what it can say. Names are no part of it; a comment says what is missing.
std::string network_policy(const WindowReport& report);
// cilium.io/v2 with toFQDNs.
std::string cilium_policy(const WindowReport& report);
// A shell script for Docker, whose own networks know no destinations: rules of the DOCKER-USER
// chain for addresses, and for names the window that keeps them.
std::string docker_script(const WindowReport& report);
// Prometheus' text format, for node_exporter's textfile collector.
std::string metrics_text(const WindowReport& report);
// Rules over these metrics.
std::string alert_rules();

}  // namespace pare::confine
