// pare explain RULE: one row of the rule table; without a rule, all of them.
#include <fmt/core.h>

#include "audit/format.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/verbs.h"

namespace pare::cli {

namespace {
struct ExplainOptions {
  std::string rule;
  bool json = false, markdown = false;
};

Result<int> explain_rule(const ExplainOptions& options) {
  if (options.rule.empty()) {
    if (options.markdown) {
      fmt::print("{}", audit::rules_markdown());
      return 0;
    }
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const audit::Rule& rule : audit::rule_table()) {
      if (options.json) {
        all.push_back(audit::explain_json(rule));
      } else {
        fmt::print("{}  {:<8}  {:<20}  {}\n", rule.id, audit::to_string(rule.severity), rule.name,
                   rule.title);
      }
    }
    if (options.json) fmt::print("{}\n", base::write_json(all, 2));
    return 0;
  }
  const audit::Rule* rule = audit::find_rule(options.rule);
  if (rule == nullptr) {
    std::vector<std::string> names;
    for (const audit::Rule& each : audit::rule_table()) {
      names.emplace_back(each.id);
      names.emplace_back(each.name);
    }
    std::string near = base::nearest(options.rule, names);
    return fail(ErrorKind::kUsage, "no rule '" + options.rule + "'" +
                                       (near.empty() ? ": pare explain lists them"
                                                     : ", did you mean '" + near + "'?"));
  }
  if (options.json) {
    fmt::print("{}\n", base::write_json(audit::explain_json(*rule), 2));
  } else {
    fmt::print("{}", audit::explain(*rule));
  }
  return 0;
}
}  // namespace

Action set_up_explain(CLI::App& app) {
  auto options = std::make_shared<ExplainOptions>();
  app.add_option("rule", options->rule, "id or name (PARE007, writable-root); none: all of them");
  app.add_flag("--json", options->json, "as JSON");
  app.add_flag("--markdown", options->markdown, "all rules as the table of the documentation");
  return [options] { return explain_rule(*options); };
}

}  // namespace pare::cli
