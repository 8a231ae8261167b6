#include "prove/findings.h"

#include <fmt/format.h>

#include <algorithm>

namespace pare::prove {

namespace {

// Slower is what takes this much longer in every run of the policy than in any of the baseline.
constexpr double kSlowerTimes = 1.5;
constexpr double kSlowerSeconds = 0.05;

void warn(verdict::Proof& proof, const std::string& id, const std::string& text) {
  proof.findings.push_back({id, "warning", text, {}});
}

void add_refusals(const Answer& answer, verdict::Proof& proof) {
  std::vector<std::string> survived = {"unreachable"};
  for (const auto& [refusal, why] : answer.refusals) {
    if (why.empty()) {
      survived.push_back(refusal);
      continue;
    }
    warn(proof, "egress-" + refusal,
         fmt::format("where outbound packets are {}, {}", refusal, why));
    proof.assumptions.push_back(fmt::format("outbound packets are not {}: {}", refusal, why));
  }
  if (answer.refusals.empty()) return;
  proof.assumptions.push_back(
      fmt::format("outbound attempts may be {}", fmt::join(survived, " or ")));
}

std::string refused_and_used(const verdict::Proof& proof) {
  std::vector<std::string> names;
  for (const verdict::Verdict& v : proof.verdicts) {
    if (v.used && v.tolerated) names.push_back(to_string(v.privilege));
  }
  return names.empty() ? "" : fmt::format("; refused and tolerated: {}", fmt::join(names, ", "));
}

void add_slowness(const Ledger& ledger, const Answer& answer, verdict::Proof& proof) {
  std::map<std::string, double> before, now;
  for (int id : {1, 2}) {
    for (const CheckOutcome& check : ledger.outcome(id).checks) {
      before[check.name] = std::max(before[check.name], check.seconds);
    }
  }
  for (int id : answer.passes) {
    for (const CheckOutcome& check : ledger.outcome(id).checks) {
      auto [it, fresh] = now.try_emplace(check.name, check.seconds);
      if (!fresh) it->second = std::min(it->second, check.seconds);
    }
  }
  for (const auto& [name, seconds] : now) {
    auto base = before.find(name);
    if (base == before.end() || base->second <= 0) continue;
    if (seconds < base->second * kSlowerTimes || seconds < base->second + kSlowerSeconds) continue;
    warn(proof, "slow",
         fmt::format("check {} is slower under this policy: {:.2f} s, unchanged at most {:.2f} s{}",
                     name, seconds, base->second, refused_and_used(proof)));
  }
}

}  // namespace

std::string loss_clause(const Universe& universe, const Answer& answer) {
  if (!universe.recorded() || answer.recorded_whole) return "";
  for (const evidence::Evidence& e : universe.baselines()) {
    if (e.coverage != evidence::Coverage::kEntry) return "the recorder joined after the start";
  }
  return "the recorder lost events";
}

void add_findings(const Ledger& ledger, const Answer& answer, const std::string& loss,
                  verdict::Proof& proof) {
  for (const auto& [name, why] : ledger.baseline_fails()) {
    warn(proof, name,
         fmt::format("the unchanged target fails the implied check {}: {}", name, why));
  }
  if (answer.flaky) {
    warn(proof, "flaky",
         fmt::format("the same policy passed and failed; the unchanged target passed {} of {} runs",
                     answer.baseline.passes, answer.baseline.runs));
  }
  if (!loss.empty()) proof.findings.push_back({"loss", "high", loss, {}});
  add_refusals(answer, proof);
  if (!answer.flaky && ledger.trials() > 1) add_slowness(ledger, answer, proof);
}

}  // namespace pare::prove
