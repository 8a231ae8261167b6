// Attempts grouped by destination: what people are shown, and what is written at the end. Bounded,
// whatever the container does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "confine/beacon.h"
#include "confine/egress_window.h"

namespace pare::confine {

struct Destination {
  std::string name;  // as DNS, SNI or the address says; "*.example" for many names below it
  bool named = false;
  std::set<std::string> addresses;     // at most kMaxOfEach of each set
  std::set<std::string> server_names;  // SNI, or HTTP's Host
  std::set<std::string> processes;     // "python3.11", "sh (worker)"
  std::set<std::string> protocols;     // "tcp" "udp" "icmp" "dns" "packet" ...
  std::set<uint16_t> ports;
  uint16_t first_port = 0, last_port = 0;  // the lowest and highest that was seen; 0: none
  uint64_t allowed = 0, denied = 0, rebound = 0, packets = 0;  // attempts by verdict
  uint64_t unsent = 0;                           // datagram sockets whose connect was refused
  uint64_t questions = 0, questions_denied = 0;  // DNS
  uint64_t log_lines = 0;                        // that name it, again and again
  uint64_t names = 1;                            // distinct ones, of "*.example"
  uint64_t bytes = 0;                            // of datagrams and questions
  bool own_resolver = false;                     // asked a resolver that is not the container's
  bool tunnel = false;                           // names that carry data
  uint64_t first_ns = 0, last_ns = 0;            // CLOCK_MONOTONIC
  std::vector<uint64_t> times_ns;                // the latest, at most kMaxTimes, ascending

  uint64_t denied_attempts() const { return denied + rebound + packets; }
  uint64_t attempts() const { return allowed + denied_attempts(); }
  // A question that led to an attempt is no try of its own.
  uint64_t tries() const { return std::max(attempts() + unsent, questions); }
  // Connecting a datagram socket is also how programs ask which address they would send from: where
  // something was let through it says nothing.
  uint64_t refusals() const {
    return denied_attempts() + questions_denied + (allowed == 0 ? unsent : 0);
  }
  bool refused() const { return refusals() > 0; }
  std::optional<Beacon> beacon() const { return find_beacon(times_ns, ports.size()); }
  // "tcp 443", "udp 40012-59871 (37 ports)", "dns".
  std::string service() const;
  // Why it was refused, or what is odd about it; empty: nothing.
  std::string remark() const;
};

constexpr size_t kMaxOfEach = 32, kMaxPorts = 1024, kMaxTimes = 512, kMaxDestinations = 4096;

class EgressLedger {
 public:
  void take(const Look& look, const std::vector<Address>& resolvers);
  const std::map<std::string, Destination>& destinations() const { return destinations_; }
  // Attempts to destinations beyond kMaxDestinations: counted, not told apart.
  uint64_t others() const { return others_; }

 private:
  Destination* find(const std::string& name);
  void take_question(const Question& question, const std::vector<Address>& resolvers);
  void take_attempt(const Attempt& attempt);
  void take_opening(const Opening& opening);
  std::string grouped(const std::string& name);

  std::map<std::string, Destination> destinations_;
  std::map<std::string, std::string> names_;            // by address, from answers
  std::map<std::string, std::set<std::string>> below_;  // names by their last two labels
  std::set<std::string> wide_;                          // of these, the ones grouped as "*."
  uint64_t others_ = 0;
};

std::string protocol_text(uint8_t protocol);

// One object a destination: {"name", "addresses", "ports", ..., "beacon"}. Times are seconds since
// `origin_ns`.
nlohmann::json to_json(const Destination& destination, uint64_t origin_ns);

}  // namespace pare::confine
