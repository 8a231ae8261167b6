// What is said of the server's own settings: endpoints, telemetry, limits that were left alone.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "prove/findings.h"

namespace pare::prove {

using verdict::Verdict;

namespace {

// In a run of the policy itself.
bool still_open(const Universe& universe, const Ledger& ledger, const Answer& answer,
                const Privilege& endpoint) {
  return std::any_of(answer.passes.begin(), answer.passes.end(), [&](int id) {
    const evidence::Evidence* evidence = ledger.evidence(id);
    if (evidence == nullptr) return false;
    auto open = universe.open_endpoints({}, *evidence);
    return std::any_of(open.begin(), open.end(),
                       [&](const auto& one) { return one.element.privilege == endpoint; });
  });
}

std::string because(const OpenEndpoint& endpoint, bool closed) {
  std::string text =
      "no check asks for it, and it answers " + endpoint.element.used_by + " without credentials";
  if (endpoint.known != nullptr) text += ": " + endpoint.known->what;
  if (!closed) text += "; no switch of the server closes it: allow only other paths in front";
  return text;
}

bool said(const Universe& universe, const std::string& family) {
  for (const evidence::Evidence& evidence : universe.baselines()) {
    for (const evidence::ListenerFact& fact : evidence.listeners) {
      if (fact.server == family) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<Verdict> endpoint_verdicts(const Universe& universe, const Ledger& ledger,
                                       const Answer& answer) {
  std::vector<Verdict> list;
  for (const OpenEndpoint& endpoint : answer.endpoints) {
    Verdict verdict;
    verdict.privilege = endpoint.element.privilege;
    verdict.asked = verdict.used = true;
    auto closed = answer.switched.find(verdict.privilege);
    if (closed != answer.switched.end() &&
        !still_open(universe, ledger, answer, verdict.privilege)) {
      verdict.fix = closed->second.fix;
    }
    verdict.trials = verdict.fix ? closed->second.trials : answer.passes;
    verdict.because = answer.confirmed ? because(endpoint, verdict.fix.has_value())
                                       : "no tighter policy was confirmed";
    if (answer.confirmed) verdict.kind = verdict::Kind::kUnneeded;
    list.push_back(std::move(verdict));
  }
  return list;
}

void add_settings(const Universe& universe, const Answer& answer, verdict::Proof& proof) {
  if (const target::Server* server = universe.server()) {
    proof.findings.push_back(
        {"server",
         "info",
         fmt::format(
             "recognised as {} by {}", server->title,
             said(universe, server->family) ? "talking to it" : "its image, command or programs"),
         {}});
  }
  for (const auto& [host, variable] : answer.telemetry) {
    proof.findings.push_back(
        {"telemetry",
         "warning",
         fmt::format("it calls {}; with {} it does not, and checks pass (trial {})", host, variable,
                     answer.settings_trial),
         {}});
  }
  for (const privilege::VolumeAccess& volume : proof.policy.volumes) {
    if (!volume.owned) continue;
    const privilege::User& user = proof.policy.user;
    proof.assumptions.push_back(
        fmt::format("the volume {0} belongs to the server before it starts: chown -R {1}:{2} {0}",
                    volume.path, user.uid, user.gid));
  }
  std::vector<std::string> open;
  for (const Verdict& verdict : proof.verdicts) {
    if (verdict::stays_reachable(verdict)) open.push_back(verdict.privilege.value);
  }
  if (!open.empty()) {
    proof.assumptions.push_back("clients that reach the port reach these paths too: " +
                                base::join(open, ", "));
  }
  auto lock = answer.needs.find({Axis::kCapability, "IPC_LOCK"});
  bool untried = lock != answer.needs.end() && !lock->second.fix &&
                 proof.platform.can_set_memlock && !universe.can_raise_memlock();
  if (untried) {
    proof.assumptions.emplace_back(
        "this host cannot raise RLIMIT_MEMLOCK: whether a higher limit would do instead of "
        "capability/IPC_LOCK was not tried");
  }
  if (!universe.question().target.gpus.empty()) {
    proof.assumptions.emplace_back("the GPUs themselves were granted in every trial");
  }
}

}  // namespace pare::prove
