#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "report/document.h"
#include "report/markdown_text.h"
#include "report/view.h"

namespace pare::report {

using verdict::Kind;
using verdict::Proof;

namespace {

using Json = nlohmann::json;

std::string row(const std::vector<std::string>& cells) {
  return "| " + base::join(cells, " | ") + " |\n";
}

std::string head(const Proof& proof, const evidence::Evidence* evidence) {
  std::string server;
  if (evidence != nullptr)
    for (const evidence::ListenerFact& listener : evidence->listeners)
      if (!listener.server.empty()) server = listener.server;
  const target::Target& target = proof.target;
  const std::string& digest = target.facts.digest;
  std::string text =
      "# For the makers of " + markdown_text(subject(proof)) + "\n\n| | |\n|---|---|\n";
  text += row({"version", markdown_code(target.image.empty() ? target.rootfs : target.image)});
  text += row({"digest", digest.empty() ? "none: a root file system" : markdown_code(digest)});
  if (!server.empty()) text += row({"server", markdown_text(server)});
  text += row({"command", markdown_code(base::shell_join(target.argv))});
  text += row({"seen with", markdown_text(fmt::format("{}, kernel {} ({}), pare {}, {}",
                                                      proof.runtime, proof.kernel, proof.arch,
                                                      proof.pare_version, proof.date))});
  return text;
}

std::string attempt_row(const evidence::EgressFact& fact) {
  return row(
      {markdown_code(fact.name.empty() ? fact.destination : fact.name),
       fmt::format("{}/{}", fact.port, markdown_text(fact.protocol)), fmt::to_string(fact.attempts),
       markdown_text(fact.outcome),
       fact.period_ms ? fmt::format("{:.1f} s", static_cast<double>(*fact.period_ms) / 1000) : "",
       std::string(evidence::to_string(fact.phase))});
}

// What it tried to reach, and what it only asked the name of.
std::string traffic(const evidence::Evidence* evidence) {
  std::string text = "\n## Outbound traffic\n\n";
  if (evidence == nullptr) return text + "Not recorded.\n";
  std::set<std::string> tried;
  for (const evidence::EgressFact& fact : evidence->egress) tried.insert(fact.name);
  std::vector<const evidence::DnsFact*> asked;
  for (const evidence::DnsFact& fact : evidence->dns)
    if (tried.count(fact.name) == 0) asked.push_back(&fact);
  if (evidence->egress.empty() && asked.empty()) return text + "None was seen.\n";
  text +=
      "| destination | port | attempts | outcome | every | phase |\n|---|---|---|---|---|---|\n";
  for (const evidence::EgressFact& fact : evidence->egress) text += attempt_row(fact);
  for (const evidence::DnsFact* fact : asked)
    text += row({markdown_code(fact->name), "DNS " + markdown_text(fact->type),
                 fmt::to_string(fact->count), "asked for, never reached", "", ""});
  if (evidence->loss.any())
    text += "\nSome events were lost: the counts are the least there was.\n";
  return text;
}

std::string log(const evidence::Evidence* evidence) {
  if (evidence == nullptr || evidence->log.repeated.empty()) return "";
  std::vector<evidence::LogFact::Line> lines = evidence->log.repeated;
  std::sort(lines.begin(), lines.end(),
            [](const auto& a, const auto& b) { return a.count > b.count; });
  lines.resize(std::min<size_t>(lines.size(), 8));
  std::string text = fmt::format(
      "\n## Log\n\n{:.0f} bytes a second. Again and again, but for "
      "numbers:\n\n",
      evidence->log.bytes_per_second);
  for (const auto& line : lines)
    text += fmt::format("- {} times {}\n", line.count, markdown_code(printable(line.line)));
  return text;
}

bool has_rows(const Json* telemetry, const char* name) {
  return telemetry != nullptr && telemetry->contains(name) && !(*telemetry)[name].empty();
}

std::string breakage_row(const Json& entry) {
  std::vector<std::string> failed, latency;
  for (const std::string& name : entry.value("failed", std::vector<std::string>{}))
    failed.push_back(name);
  for (const auto& [name, seconds] : entry.value("latencySeconds", std::map<std::string, double>{}))
    latency.push_back(fmt::format("{} {:.3f} s", name, seconds));
  const bool ready = entry.value("ready", false);
  return row({markdown_text(entry.value("egress", "")),
              ready ? fmt::format("after {:.1f} s", entry.value("readySeconds", 0.0)) : "never",
              markdown_text(failed.empty() ? (ready ? "none" : "") : base::join(failed, ", ")),
              markdown_text(base::join(latency, ", ")),
              fmt::format("{:.0f} B/s", entry.value("logBytesPerSecond", 0.0)),
              markdown_text(entry.value("why", ""))});
}

// How it stands a network that is closed, by kind of refusal.
std::string breakage(const Proof& proof, const Json* telemetry) {
  std::string text;
  for (const verdict::Finding& finding : proof.findings)
    if (base::starts_with(finding.id, "egress-")) text += "- " + markdown_text(finding.text) + "\n";
  if (has_rows(telemetry, "breakage")) {
    text +=
        "\n| egress | ready | checks that fail | latency | log | why "
        "|\n|---|---|---|---|---|---|\n";
    for (const Json& entry : (*telemetry)["breakage"]) text += breakage_row(entry);
    const std::string advice = telemetry->value("advice", "");
    if (!advice.empty()) text += "\n" + markdown_text(advice) + "\n";
  }
  return text.empty() ? "" : "\n## Where its way out is closed\n\n" + text;
}

std::string variables(const Json* telemetry) {
  if (!has_rows(telemetry, "variables")) return "";
  std::string text =
      "\n## Opt-out variables\n\n| variable | what it does | seen |\n|---|---|---|\n";
  for (const Json& each : (*telemetry)["variables"])
    text +=
        row({markdown_code(each.value("variable", "") + "=" + each.value("off", "")),
             markdown_text(each.value("verdict", "")), markdown_text(each.value("because", ""))});
  return text;
}

// What it cannot do without, and what would remove the need.
std::vector<std::string> needs(const Proof& proof, const evidence::Evidence* evidence) {
  std::map<std::string, std::string> facts;
  if (evidence != nullptr) facts = fact_lines(*evidence);
  std::vector<std::string> out;
  for (const verdict::Verdict& v : proof.verdicts) {
    if (v.kind != Kind::kNeeded && v.kind != Kind::kFixable) continue;
    std::string line = privilege::to_string(v.privilege) + ": " + v.because;
    if (v.fix) line += "; removed by: " + v.fix->text;
    for (const std::string& id : v.evidence)
      if (auto fact = facts.find(id); fact != facts.end()) line += "; " + fact->second;
    out.push_back(printable(line));
  }
  return out;
}

std::string again(const Proof& proof, const Json* telemetry) {
  const target::Target& target = proof.target;
  std::string options;
  if (target.kind == target::Kind::kRootfs)
    options += " --rootfs " + base::shell_quote(target.rootfs);
  for (const verdict::CheckEntry& check : proof.checks)
    if (!check.spec.empty()) options += " --check " + base::shell_quote(check.spec);
  const std::string words = base::shell_join(target.written.empty() ? target.argv : target.written);
  std::string text =
      "\n## Again\n\n    pare prove --for " + proof.platform.name + options + " -- " + words + "\n";
  if (telemetry != nullptr)
    text += "    pare telemetry --breakage" + options + " -- " + words + "\n";
  return text;
}

}  // namespace

std::string vendor(const Proof& proof, const evidence::Evidence* evidence, const Json* telemetry) {
  return head(proof, evidence) + traffic(evidence) + log(evidence) + variables(telemetry) +
         breakage(proof, telemetry) +
         markdown_list("Privileges that it needs", needs(proof, evidence)) +
         markdown_list("Findings", finding_lines(proof)) +
         markdown_list("What was not shown", not_shown(proof)) +
         markdown_list("What counts as working", check_lines(proof)) + again(proof, telemetry);
}

}  // namespace pare::report
