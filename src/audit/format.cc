#include "audit/format.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace pare::audit {
namespace {
using Json = nlohmann::ordered_json;

Json finding_json(const Audit& audit, const Finding& f) {
  Position begin = audit.position(f.file, f.span.begin), end = audit.position(f.file, f.span.end);
  Json json = {{"rule", f.rule->id},
               {"name", f.rule->name},
               {"severity", to_string(f.severity)},
               {"axis", f.rule->axis},
               {"file", audit.files[f.file]->name},
               {"document", f.document},
               {"line", begin.line},
               {"column", begin.column},
               {"endLine", end.line},
               {"endColumn", end.column},
               {"workload", f.workload},
               {"container", f.container},
               {"message", f.message},
               {"fixable", f.fixable()}};
  if (f.fixable() && !f.remedy.breaks.empty()) json["breaks"] = f.remedy.breaks;
  if (!f.fixable() && !f.remedy.why_not.empty()) json["whyNot"] = f.remedy.why_not;
  if (!f.evidence.empty()) json["evidence"] = f.evidence;
  if (f.suppressed) json["suppressed"] = f.suppression;
  return json;
}
}  // namespace

std::optional<Format> parse_format(std::string_view name) {
  constexpr std::pair<std::string_view, Format> kNames[] = {
      {"text", Format::kText},   {"json", Format::kJson},     {"sarif", Format::kSarif},
      {"junit", Format::kJunit}, {"github", Format::kGithub}, {"markdown", Format::kMarkdown}};
  for (const auto& [text, format] : kNames) {
    if (text == name) return format;
  }
  return std::nullopt;
}

std::string format_audit(const Audit& audit, Format format, const FormatOptions& options) {
  switch (format) {
    case Format::kText:
      return format_text(audit, options);
    case Format::kJson:
      return base::write_json(audit_json(audit), 2) + "\n";
    case Format::kSarif:
      return format_sarif(audit, options);
    case Format::kJunit:
      return format_junit(audit);
    case Format::kGithub:
      return format_github(audit);
    case Format::kMarkdown:
      return format_markdown(audit);
  }
  return "";
}

Json audit_json(const Audit& audit) {
  Json json = {{"schema", "pare.audit/v1"}};
  json["podSecurityVersion"] = "v1." + std::to_string(kPodSecurityMinor);
  json["workloads"] = Json::array();
  for (const WorkloadSummary& w : audit.workloads) {
    Json row = {{"file", audit.files[w.file]->name},
                {"document", w.document},
                {"line", audit.position(w.file, w.span.begin).line},
                {"kind", w.kind},
                {"name", w.name},
                {"platform", to_string(w.platform)},
                {"server", w.server.empty() ? Json(nullptr) : Json(w.server)},
                {"podSecurity", w.pod_security.empty() ? Json(nullptr) : Json(w.pod_security)}};
    if (!w.not_restricted.empty()) row["notRestricted"] = w.not_restricted;
    if (w.custom) row["custom"] = true;
    if (w.managed) row["managed"] = true;
    json["workloads"].push_back(std::move(row));
  }
  json["notWorkloads"] = Json::array();
  json["unread"] = Json::array();
  for (size_t i = 0; i < audit.models.size(); ++i) {
    for (const DocumentNote& note : audit.models[i]->notes) {
      if (note.judged) continue;
      json["notWorkloads"].push_back({{"file", audit.files[i]->name},
                                      {"document", note.document},
                                      {"line", audit.position(i, note.place.span.begin).line},
                                      {"kind", note.kind},
                                      {"name", note.name},
                                      {"why", note.why}});
    }
    for (const Unread& unread : audit.models[i]->unread) {
      json["unread"].push_back({{"file", audit.files[i]->name},
                                {"line", audit.position(i, unread.offset).line},
                                {"why", unread.why}});
    }
  }
  json["findings"] = Json::array();
  for (const Finding& f : audit.findings) json["findings"].push_back(finding_json(audit, f));
  std::string prove = prove_line(audit);
  json["prove"] = prove.empty() ? Json(nullptr) : Json(prove);
  return json;
}

std::string explain(const Rule& rule) {
  auto line = [](std::string_view name, std::string_view text) {
    std::string padded(name);
    padded.resize(15, ' ');
    return text.empty() ? std::string() : padded + std::string(text) + "\n";
  };
  return std::string(rule.id) + " " + std::string(rule.name) + ": " + std::string(rule.title) +
         "\n\n" + line("severity", to_string(rule.severity)) + line("axis", rule.axis) +
         line("platforms", base::join(platform_names(rule.platforms), ", ")) +
         line("attacker gains", rule.gain) + line("fix", rule.fix) +
         line("may break", rule.breaks) + line("source", rule.source) + line("CIS", rule.cis) +
         line("NIST 800-190", rule.nist) + line("Pod Security", rule.pss) +
         "\nTo accept it: # pare: ignore " + std::string(rule.id) + " -- why\n";
}

Json explain_json(const Rule& rule) {
  return {{"id", rule.id},
          {"name", rule.name},
          {"title", rule.title},
          {"axis", rule.axis},
          {"severity", to_string(rule.severity)},
          {"platforms", platform_names(rule.platforms)},
          {"gain", rule.gain},
          {"fix", rule.fix},
          {"breaks", rule.breaks},
          {"source", rule.source},
          {"cis", rule.cis},
          {"nist800-190", rule.nist},
          {"podSecurity", rule.pss}};
}

std::string rules_markdown() {
  std::string text =
      "| id | rule | severity | platforms | an attacker gains | fix | the fix may break | CIS | "
      "NIST "
      "SP 800-190 | Pod Security |\n|---|---|---|---|---|---|---|---|---|---|\n";
  for (const Rule& rule : rule_table()) {
    for (std::string_view cell : {rule.id, rule.title, to_string(rule.severity)}) {
      text += "| " + std::string(cell) + " ";
    }
    text += "| " + base::join(platform_names(rule.platforms), ", ") + " ";
    for (std::string_view cell :
         {rule.gain, rule.fix, rule.breaks, rule.cis, rule.nist, rule.pss}) {
      text += "| " + std::string(cell.empty() ? "-" : cell) + " ";
    }
    text += "|\n";
  }
  return text;
}

Json baseline_json(const Audit& audit) {
  Json json = {{"schema", "pare.audit-baseline/v1"}, {"accepted", Json::array()}};
  std::set<std::string> seen;
  for (const Finding& f : audit.findings) {
    std::string print = fingerprint(audit, f);
    if (f.suppressed || !seen.insert(print).second) continue;
    json["accepted"].push_back({{"fingerprint", print},
                                {"rule", f.rule->id},
                                {"file", audit.files[f.file]->name},
                                {"workload", f.workload},
                                {"container", f.container}});
  }
  return json;
}

Result<std::set<std::string>> baseline_from_json(const std::string& text, const std::string& name) {
  PARE_TRY(base::Json json, base::parse_json(text, name));
  return base::read_json(name, [&] {
    std::set<std::string> accepted;
    if (json.at("schema") != "pare.audit-baseline/v1") {
      json.at("schema").get<int>();  // a type error names the file and the field
    }
    for (const base::Json& row : json.at("accepted")) {
      accepted.insert(row.at("fingerprint").get<std::string>());
    }
    return accepted;
  });
}

std::optional<Severity> worst(const Audit& audit) {
  std::optional<Severity> result;
  for (const Finding& f : audit.findings) {
    if (!f.suppressed && (!result || f.severity > *result)) result = f.severity;
  }
  return result;
}

bool anything_unread(const Audit& audit) {
  return std::any_of(audit.models.begin(), audit.models.end(),
                     [](const auto& model) { return !model->unread.empty(); });
}

}  // namespace pare::audit
