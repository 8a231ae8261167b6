#include "record/traffic.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/text.h"
#include "record/dns.h"
#include "record/names.h"

namespace pare::record {
namespace {

constexpr uint64_t kMinAttemptsForPeriod = 3;
constexpr size_t kMaxQuestions = 16'384;

// What a flow's attempts came to: the best of it.
struct OutcomeName {
  pare_outcome outcome;
  const char* name;
};
constexpr OutcomeName kOutcomes[] = {
    {PARE_CONNECTED, "connected"}, {PARE_SENT, "sent"},         {PARE_REFUSED, "refused"},
    {PARE_DENIED, "denied"},       {PARE_TIMED_OUT, "timeout"}, {PARE_UNREACHABLE, "unreachable"}};

std::string outcome_name(const pare_flow& flow) {
  for (const OutcomeName& row : kOutcomes)
    if (flow.outcomes[row.outcome] > 0) return row.name;
  return "timeout";  // still waiting when the container ended
}

std::string protocol_name(const pare_flow_key& key) {
  if (key.packet != 0) return "packet";
  std::string_view name = ip_protocol_name(key.protocol);
  return name.empty() ? "raw" : std::string(name);
}

bool stays_on_host(const std::string& address) {
  return base::starts_with(address, "127.") || address == "::1" || address == "0.0.0.0" ||
         address == "::";
}

}  // namespace

std::string address_text(const uint8_t address[16]) {
  in6_addr v6;
  std::memcpy(&v6, address, sizeof(v6));
  char text[INET6_ADDRSTRLEN] = "";
  if (IN6_IS_ADDR_V4MAPPED(&v6))
    inet_ntop(AF_INET, &v6.s6_addr[12], text, sizeof(text));
  else
    inet_ntop(AF_INET6, &v6, text, sizeof(text));
  return text;
}

void Traffic::adopt(int pid) {
  if (auto netns = sys::NetNs::of_process(pid)) netns_ = std::move(*netns);
}

void Traffic::add_dns(std::string_view bytes, bool answer) {
  auto message = parse_dns(bytes);
  if (!message || message->response != answer) return;
  if (!answer) {
    for (const auto& question : message->questions) {
      if (questions_.size() >= kMaxQuestions) continue;
      std::vector<uint64_t>& counts = questions_[{question.name, question.type}];
      const size_t stage = stage_;
      if (counts.size() <= stage) counts.resize(stage + 1);
      ++counts[stage];
    }
    return;
  }
  for (const std::string& address : message->addresses)
    if (names_.size() < kMaxQuestions) names_[address] = message->questions[0].name;
}

void Traffic::add_flow(const pare_flow_key& key, const pare_flow& flow) {
  flows_.emplace_back(key, flow);
}

void Traffic::add_listener(const pare_listener_key& key) {
  listeners_.push_back(key);
}

std::set<std::string> Traffic::own_addresses() const {
  std::set<std::string> own;
  if (!netns_) return own;
  (void)netns_->run([&own] {
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return;
    for (ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
      char text[INET6_ADDRSTRLEN];
      if (at->ifa_addr == nullptr) continue;
      const int family = at->ifa_addr->sa_family;
      const void* address =
          family == AF_INET
              ? static_cast<void*>(&reinterpret_cast<sockaddr_in*>(at->ifa_addr)->sin_addr)
          : family == AF_INET6
              ? static_cast<void*>(&reinterpret_cast<sockaddr_in6*>(at->ifa_addr)->sin6_addr)
              : nullptr;
      if (address != nullptr && inet_ntop(family, address, text, sizeof(text)) != nullptr)
        own.insert(text);
    }
    freeifaddrs(list);
  });
  return own;
}

FlowId flow_id(const pare_flow_key& key) {
  FlowId id;
  std::memcpy(id.data(), &key, sizeof(key));
  return id;
}

std::optional<evidence::EgressFact> Traffic::fact(const pare_flow_key& key, uint64_t attempts,
                                                  const std::set<std::string>& own) const {
  evidence::EgressFact fact;
  fact.destination = address_text(key.address);
  if (attempts == 0 || stays_on_host(fact.destination) || own.count(fact.destination) > 0)
    return std::nullopt;
  fact.port = key.port;
  fact.protocol = protocol_name(key);
  if (auto name = names_.find(fact.destination); name != names_.end()) fact.name = name->second;
  fact.attempts = attempts;
  fact.phase = key.serve != 0 ? evidence::Phase::kServe : evidence::Phase::kPull;
  return fact;
}

void Traffic::next_stage(FlowCounts so_far) {
  cuts_.push_back(std::move(so_far));
  ++stage_;
}

std::vector<evidence::Evidence> Traffic::stages() const {
  const std::set<std::string> own = own_addresses();
  std::vector<evidence::Evidence> stages(cuts_.size() + 1);
  for (const auto& [key, flow] : flows_) {
    uint64_t before = 0;
    for (size_t i = 0; i < stages.size(); ++i) {
      uint64_t until = flow.attempts;
      if (i < cuts_.size()) {
        auto cut = cuts_[i].find(flow_id(key));
        until = cut == cuts_[i].end() ? 0 : cut->second;
      }
      if (auto egress = fact(key, until - std::min(before, until), own))
        stages[i].egress.push_back(*egress);
      before = until;
    }
  }
  for (const auto& [question, counts] : questions_)
    for (size_t i = 0; i < counts.size(); ++i)
      if (counts[i] > 0) stages[i].dns.push_back({question.first, question.second, counts[i]});
  return stages;
}

void Traffic::fill(evidence::Evidence& evidence, int& id) {
  const std::set<std::string> own = own_addresses();
  for (const auto& [key, flow] : flows_) {
    auto egress = fact(key, flow.attempts, own);
    if (!egress) continue;
    egress->outcome = outcome_name(flow);
    if (flow.attempts >= kMinAttemptsForPeriod)
      egress->period_ms = (flow.last_ns - flow.first_ns) / (flow.attempts - 1) / 1'000'000;
    evidence.egress.push_back(std::move(*egress));
  }
  std::sort(evidence.egress.begin(), evidence.egress.end(), [](const auto& a, const auto& b) {
    return std::tie(a.destination, a.port, a.protocol, a.phase) <
           std::tie(b.destination, b.port, b.protocol, b.phase);
  });
  for (auto& fact : evidence.egress) fact.id = fmt::format("e{}", ++id);
  for (const pare_listener_key& key : listeners_) {
    evidence::ListenerFact fact;
    fact.port = key.port;
    fact.protocol = key.protocol == IPPROTO_UDP ? "udp" : "tcp";
    fact.address = address_text(key.address);
    evidence.listeners.push_back(std::move(fact));
  }
  std::sort(evidence.listeners.begin(), evidence.listeners.end(), [](const auto& a, const auto& b) {
    return std::tie(a.port, a.protocol, a.address) < std::tie(b.port, b.protocol, b.address);
  });
  for (const auto& [question, counts] : questions_)
    evidence.dns.push_back({question.first, question.second,
                            std::accumulate(counts.begin(), counts.end(), uint64_t{0})});
}

}  // namespace pare::record
