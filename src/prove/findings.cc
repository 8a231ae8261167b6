#include "prove/findings.h"

#include <fmt/format.h>

#include <algorithm>

#include "prove/slowness.h"

namespace pare::prove {

namespace {

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
  for (const Slow& slow : slow_checks(ledger, answer)) {
    std::string text =
        fmt::format("check {} is slower under this policy: {:.2f} s, unchanged at most {:.2f} s",
                    slow.check, slow.seconds, slow.unchanged);
    auto cause = answer.slow_without.find(slow.check);
    if (cause != answer.slow_without.end()) {
      text +=
          fmt::format("; it takes {:.1f} times as long without {} alone (trial {})",
                      cause->second.times, to_string(cause->second.privilege), cause->second.trial);
    } else {
      text += refused_and_used(proof);
    }
    warn(proof, "slow", text);
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
