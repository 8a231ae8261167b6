// An audit as text for people and for machines. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "audit/audit.h"

namespace pare::audit {

struct FormatOptions {
  bool color = false;
  std::string version = "0.1.0";
};

enum class Format : uint8_t { kText, kJson, kSarif, kJunit, kGithub, kMarkdown };
std::optional<Format> parse_format(std::string_view name);

std::string format_audit(const Audit& audit, Format format, const FormatOptions& options);

// "pare.audit/v1", fields as in the documentation.
nlohmann::ordered_json audit_json(const Audit& audit);
// What `pare explain` prints of one rule.
std::string explain(const Rule& rule);
nlohmann::ordered_json explain_json(const Rule& rule);
// The table of docs/audit.md.
std::string rules_markdown();
// For --write-baseline and --baseline.
nlohmann::ordered_json baseline_json(const Audit& audit);
Result<std::set<std::string>> baseline_from_json(const std::string& text, const std::string& name);

// The worst severity that is not suppressed; nullopt for none.
std::optional<Severity> worst(const Audit& audit);
bool anything_unread(const Audit& audit);

// Each format.
std::string format_text(const Audit& audit, const FormatOptions& options);
std::string format_sarif(const Audit& audit, const FormatOptions& options);
std::string format_junit(const Audit& audit);
std::string format_github(const Audit& audit);
std::string format_markdown(const Audit& audit);

}  // namespace pare::audit
