// Flows, listeners and DNS messages from the kernel -> egress, listener and DNS facts.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "evidence/evidence.h"
#include "record/wire.h"
#include "sys/netns.h"

namespace pare::record {

// "203.0.113.9", "2001:db8::1": an address as wire.h keeps it.
std::string address_text(const uint8_t address[16]);

// Attempts by flow; a key as its bytes.
using FlowId = std::array<uint8_t, sizeof(pare_flow_key)>;
using FlowCounts = std::map<FlowId, uint64_t>;
FlowId flow_id(const pare_flow_key& key);

class Traffic {
 public:
  // The network namespace of a process of the container: its own addresses are no egress.
  void adopt(int pid);

  void add_dns(std::string_view message, bool answer);
  void add_flow(const pare_flow_key& key, const pare_flow& flow);
  void add_listener(const pare_listener_key& key);

  // Ends a stage at which the flows had these attempts. May be called while another thread adds
  // DNS messages.
  void next_stage(FlowCounts so_far);
  // Egress and DNS facts of each stage, when all has been added.
  std::vector<evidence::Evidence> stages() const;

  // Moves the facts out; ids continue after `id`.
  void fill(evidence::Evidence& evidence, int& id);

 private:
  std::set<std::string> own_addresses() const;
  // nullopt: no egress.
  std::optional<evidence::EgressFact> fact(const pare_flow_key& key, uint64_t attempts,
                                           const std::set<std::string>& own) const;

  std::optional<sys::NetNs> netns_;
  // Of each stage, by name and type.
  std::map<std::pair<std::string, std::string>, std::vector<uint64_t>> questions_;
  std::atomic<size_t> stage_{0};
  std::vector<FlowCounts> cuts_;
  std::map<std::string, std::string> names_;  // by address
  std::vector<std::pair<pare_flow_key, pare_flow>> flows_;
  std::vector<pare_listener_key> listeners_;
};

}  // namespace pare::record
