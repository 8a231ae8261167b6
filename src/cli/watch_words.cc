// What the words of `pare watch` say, and what it writes at the end.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/proof_file.h"
#include "cli/refusal.h"
#include "cli/watch_options.h"

namespace pare::cli {

namespace {

bool is_proof(const std::string& word) {
  return base::ends_with(word, ".json") || access((word + "/proof.json").c_str(), F_OK) == 0;
}

// The egress that a proof grants becomes exceptions, and its checks those of --prove.
Status add_proof(const WatchOptions& options, WatchPlan& plan) {
  PARE_TRY(ProofFile proof, read_proof(options.word));
  if (options.keep && options.container.empty())
    return fail(ErrorKind::kUsage,
                "--keep: a server that pare started ends with it; --container ID names one that "
                "does not");
  plan.container = options.container;
  plan.proof_digest = proof.digest;
  for (const privilege::EgressGrant& grant : proof.proof.policy.egress) {
    if (grant.name == "any") continue;
    std::string text = grant.name;
    if (grant.port != 0) text += ":" + std::to_string(grant.port);
    PARE_TRY(confine::Exception exception, confine::parse_exception(text));
    plan.given.push_back(exception);
  }
  if (!plan.checks.empty()) return {};
  std::vector<std::string> specs;
  for (const verdict::CheckEntry& entry : proof.proof.checks)
    if (!entry.spec.empty()) specs.push_back(entry.spec);
  PARE_TRY(plan.checks, check::parse_specs(specs));
  return {};
}

Status add_exceptions(const WatchOptions& options, WatchPlan& plan) {
  for (const std::string& text : options.allow) {
    PARE_TRY(confine::Exception exception, confine::parse_exception(text));
    plan.given.push_back(exception);
  }
  for (const std::string& file : options.allow_files) {
    PARE_TRY(std::string text, base::read_file(file));
    PARE_TRY(auto exceptions, confine::parse_exceptions(text, file));
    plan.given.insert(plan.given.end(), exceptions.begin(), exceptions.end());
  }
  for (const std::string& text : options.resolvers) {
    auto address = confine::parse_address(text);
    if (!address) return fail(ErrorKind::kUsage, "--resolver '" + text + "' is no address");
    plan.resolvers.push_back(*address);
  }
  return {};
}

}  // namespace

Result<WatchPlan> read_watch_options(const WatchOptions& options) {
  WatchPlan plan;
  PARE_TRY(plan.window.refusal, parse_refusal(options.refusal));
  if (options.dns != "closed" && options.dns != "open")
    return fail(ErrorKind::kUsage, "--dns is 'closed' or 'open', not '" + options.dns + "'");
  plan.window.open_names = options.dns == "open";
  if (!options.window.empty()) {
    plan.length = base::parse_duration(options.window);
    if (!plan.length) return fail(ErrorKind::kUsage, "--window is a duration such as 30m");
  }
  PARE_CHECK_OK(add_exceptions(options, plan));
  PARE_TRY(plan.checks, check::parse_specs(options.checks));
  if (is_proof(options.word))
    PARE_CHECK_OK(add_proof(options, plan));
  else
    plan.container = options.word;
  if (options.prove && plan.checks.empty())
    return fail(ErrorKind::kUsage, "--prove needs to know what 'it works' means: give --check");
  return plan;
}

Result<std::vector<std::string>> write_learnt(const std::string& directory,
                                              const confine::WindowReport& report) {
  PARE_CHECK_OK(base::make_directories(directory));
  const std::pair<const char*, std::string> files[] = {
      {"egress.json", base::write_json(to_json(report), 1) + "\n"},
      {"exceptions.txt", rules_text(report)},
      {"networkpolicy.yaml", network_policy(report)},
      {"cilium.yaml", cilium_policy(report)},
      {"docker.sh", docker_script(report)},
      {"alerts.yaml", confine::alert_rules()}};
  std::vector<std::string> names;
  for (const auto& [name, text] : files) {
    PARE_CHECK_OK(base::write_file_atomic(directory + "/" + name, text));
    names.emplace_back(name);
  }
  return names;
}

}  // namespace pare::cli
