// SARIF 2.1.0 (OASIS) and JUnit.
#include <map>

#include "audit/fix.h"
#include "audit/format.h"
#include "base/json.h"
#include "base/text.h"

namespace pare::audit {
namespace {
using Json = nlohmann::ordered_json;

std::string_view level_of(Severity severity) {
  if (severity >= Severity::kHigh) return "error";
  return severity >= Severity::kMedium ? "warning" : "note";
}

// GitHub's scale for security-severity.
std::string_view score_of(Severity severity) {
  switch (severity) {
    case Severity::kCritical:
      return "9.5";
    case Severity::kHigh:
      return "8.0";
    case Severity::kMedium:
      return "5.5";
    case Severity::kLow:
      return "3.0";
    case Severity::kInfo:
      return "0.5";
  }
  return "0.0";
}

std::string uri_of(const std::string& name) {
  if (name == "-") return "stdin";
  static const char* kHex = "0123456789ABCDEF";
  std::string uri;
  for (char c : name) {
    auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("-._~/").find(c) != std::string_view::npos) {
      uri += c;
    } else {
      uri += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return uri[0] == '/' ? "file://" + uri : uri;
}

Json region_of(const Audit& audit, size_t file, Span span) {
  Position begin = audit.position(file, span.begin), end = audit.position(file, span.end);
  return {{"startLine", begin.line},
          {"startColumn", begin.column},
          {"endLine", end.line},
          {"endColumn", end.column}};
}

Json rule_json(const Rule& rule) {
  Json tags = Json::array({"security", rule.axis});
  return {{"id", rule.id},
          {"name", rule.name},
          {"shortDescription", {{"text", rule.title}}},
          {"fullDescription", {{"text", "An attacker gains: " + std::string(rule.gain)}}},
          {"help",
           {{"text", "Fix: " + std::string(rule.fix) + ". May break: " + std::string(rule.breaks) +
                         ". Source: " + std::string(rule.source) + "."}}},
          {"defaultConfiguration", {{"level", level_of(rule.severity)}}},
          {"properties",
           {{"tags", tags},
            {"security-severity", score_of(rule.severity)},
            {"cis", rule.cis},
            {"nist-800-190", rule.nist},
            {"podSecurity", rule.pss}}}};
}

Json fixes_of(const Audit& audit, const Finding& f) {
  std::vector<Replacement> replacements = replacements_of(audit, f);
  if (replacements.empty()) return Json::array();
  Json list = Json::array();
  for (const Replacement& r : replacements) {
    list.push_back({{"deletedRegion", region_of(audit, f.file, r.span)},
                    {"insertedContent", {{"text", r.text}}}});
  }
  std::string text(f.rule->fix);
  if (!f.remedy.breaks.empty()) text += ". May break: " + f.remedy.breaks;
  Json change = {{"artifactLocation", {{"uri", uri_of(audit.files[f.file]->name)}}},
                 {"replacements", list}};
  return Json::array(
      {{{"description", {{"text", text}}}, {"artifactChanges", Json::array({change})}}});
}

Json result_json(const Audit& audit, const Finding& f, size_t rule_index) {
  Json region = region_of(audit, f.file, f.span);
  region["snippet"] = {
      {"text", audit.lines[f.file]->line(audit.position(f.file, f.span.begin).line)}};
  Json location = {
      {"physicalLocation",
       {{"artifactLocation", {{"uri", uri_of(audit.files[f.file]->name)}}}, {"region", region}}}};
  if (!f.workload.empty()) {
    std::string name = f.container.empty() ? f.workload : f.workload + "/" + f.container;
    location["logicalLocations"] = Json::array({{{"fullyQualifiedName", name}}});
  }
  Json result = {{"ruleId", f.rule->id},
                 {"ruleIndex", rule_index},
                 {"level", level_of(f.severity)},
                 {"message", {{"text", f.message}}},
                 {"locations", Json::array({location})},
                 {"partialFingerprints", {{"pare/v1", fingerprint(audit, f)}}}};
  Json fixes = fixes_of(audit, f);
  if (!fixes.empty()) result["fixes"] = fixes;
  if (f.suppressed) {
    bool outside = f.suppression == "in the baseline";
    result["suppressions"] = Json::array(
        {{{"kind", outside ? "external" : "inSource"}, {"justification", f.suppression}}});
  }
  if (!f.evidence.empty()) result["properties"] = {{"evidence", f.evidence}};
  return result;
}
}  // namespace

std::string format_sarif(const Audit& audit, const FormatOptions& options) {
  Json rules = Json::array();
  std::map<const Rule*, size_t> indexes;
  for (const Rule& rule : rule_table()) {
    indexes[&rule] = rules.size();
    rules.push_back(rule_json(rule));
  }
  Json results = Json::array();
  for (const Finding& f : audit.findings) {
    results.push_back(result_json(audit, f, indexes[f.rule]));
  }
  Json notifications = Json::array();
  for (size_t i = 0; i < audit.models.size(); ++i) {
    for (const Unread& unread : audit.models[i]->unread) {
      Json location = {{"physicalLocation",
                        {{"artifactLocation", {{"uri", uri_of(audit.files[i]->name)}}},
                         {"region", region_of(audit, i, {unread.offset, unread.offset})}}}};
      notifications.push_back({{"level", "error"},
                               {"message", {{"text", "not read: " + unread.why}}},
                               {"locations", Json::array({location})}});
    }
  }
  Json invocation = {{"executionSuccessful", notifications.empty()}};
  if (!notifications.empty()) invocation["toolExecutionNotifications"] = notifications;
  Json run = {
      {"tool",
       {{"driver", {{"name", "pare"}, {"semanticVersion", options.version}, {"rules", rules}}}}},
      {"columnKind", "unicodeCodePoints"},
      {"invocations", Json::array({invocation})},
      {"results", results}};
  Json log = {{"$schema",
               "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/"
               "sarif-schema-2.1.0.json"},
              {"version", "2.1.0"},
              {"runs", Json::array({run})}};
  return base::write_json(log, 2) + "\n";
}

std::string format_junit(const Audit& audit) {
  std::string cases;
  size_t failures = 0, errors = 0, tests = 0;
  for (const WorkloadSummary& w : audit.workloads) {
    std::string body;
    for (const Finding& f : audit.findings) {
      if (f.suppressed || f.file != w.file || f.document != w.document || f.workload != w.name) {
        continue;
      }
      Position at = audit.position(f.file, f.span.begin);
      std::string place = audit.files[f.file]->name + ":" + std::to_string(at.line);
      body += "      <failure type=\"" + std::string(f.rule->id) + "\" message=\"" +
              base::escape_markup(f.message) + "\">" +
              base::escape_markup(place + " " + std::string(to_string(f.severity))) +
              "</failure>\n";
      ++failures;
    }
    ++tests;
    cases += "    <testcase classname=\"" + base::escape_markup(audit.files[w.file]->name) +
             "\" name=\"" + base::escape_markup(w.kind + " " + w.name) + "\">\n" + body +
             "    </testcase>\n";
  }
  for (size_t i = 0; i < audit.models.size(); ++i) {
    std::string body;
    for (const Finding& f : audit.findings) {
      if (f.file != i || f.suppressed || !f.workload.empty()) continue;
      body += "      <failure type=\"" + std::string(f.rule->id) + "\" message=\"" +
              base::escape_markup(f.message) + "\"></failure>\n";
      ++failures;
    }
    for (const Unread& unread : audit.models[i]->unread) {
      body += "      <error type=\"not read\" message=\"line " +
              std::to_string(audit.position(i, unread.offset).line) + ": " +
              base::escape_markup(unread.why) + "\"></error>\n";
      ++errors;
    }
    if (body.empty()) continue;
    ++tests;
    cases += "    <testcase classname=\"" + base::escape_markup(audit.files[i]->name) +
             "\" name=\"file\">\n" + body + "    </testcase>\n";
  }
  std::string counts = " tests=\"" + std::to_string(tests) + "\" failures=\"" +
                       std::to_string(failures) + "\" errors=\"" + std::to_string(errors) + "\"";
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites" + counts +
         ">\n  <testsuite name=\"pare audit\"" + counts + ">\n" + cases +
         "  </testsuite>\n</testsuites>\n";
}

}  // namespace pare::audit
