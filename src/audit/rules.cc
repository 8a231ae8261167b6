#include "audit/rules.h"

#include "audit/rule_functions.h"
#include "base/text.h"

namespace pare::audit {

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kLow:
      return "low";
    case Severity::kMedium:
      return "medium";
    case Severity::kHigh:
      return "high";
    case Severity::kCritical:
      return "critical";
  }
  return "";
}

std::optional<Severity> parse_severity(std::string_view text) {
  for (Severity s :
       {Severity::kInfo, Severity::kLow, Severity::kMedium, Severity::kHigh, Severity::kCritical}) {
    if (to_string(s) == base::lower(text)) return s;
  }
  return std::nullopt;
}

Finding& Scope::add(const Container* container, const Place& place, std::string message) {
  Finding& f = out_->emplace_back();
  f.rule = rule_;
  f.severity = rule_->severity;
  f.file = workload_.file;
  f.document = workload_.document;
  f.slot = slot_;
  f.span = place.span.end == 0 ? workload_.place.span : place.span;
  f.workload = workload_.name;
  f.container = container == nullptr ? "" : container->name;
  f.message = std::move(message);
  return f;
}

bool applies(const Rule& rule, const Workload& workload) {
  if (workload.managed) return (rule.platforms & kOnManaged) != 0;
  switch (workload.platform) {
    case Platform::kKubernetes:
      return (rule.platforms & kOnKubernetes) != 0;
    case Platform::kCompose:
      return (rule.platforms & kOnCompose) != 0;
    case Platform::kDockerRun:
      return (rule.platforms & kOnDockerRun) != 0;
    case Platform::kDockerfile:
      return (rule.platforms & kOnDockerfile) != 0;
    case Platform::kImage:
      return (rule.platforms & kOnImage) != 0;
  }
  return false;
}

std::vector<std::string> platform_names(unsigned platforms) {
  std::vector<std::string> names;
  for (unsigned bit = 0; bit < 5; ++bit) {
    if ((platforms >> bit & 1) != 0) names.emplace_back(to_string(static_cast<Platform>(bit)));
  }
  return names;
}

const Rule* find_rule(std::string_view text) {
  std::string wanted = base::lower(text);
  for (const Rule& rule : rule_table()) {
    if (base::lower(rule.id) == wanted || rule.name == wanted) return &rule;
  }
  return nullptr;
}

}  // namespace pare::audit
