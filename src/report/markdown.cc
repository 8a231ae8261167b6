#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "report/document.h"
#include "report/markdown_text.h"
#include "report/view.h"

namespace pare::report {

using verdict::Proof;
using verdict::Verdict;

namespace {

bool word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

std::string verdict_table(const Proof& proof) {
  std::string out =
      "\n## Verdicts\n\n| privilege | asked | used | verdict | because |\n"
      "|---|---|---|---|---|\n";
  for (const Row& row : table_rows(proof)) {
    const Verdict& v = *row.verdicts[0];
    out += fmt::format("| {} | {} | {} | **{}** | {} |\n", markdown_code(row.privilege),
                       v.asked ? "yes" : "no", v.used ? "yes" : "no", verdict::to_string(v.kind),
                       markdown_text(row.because));
  }
  return out;
}

// Which trials and facts show what was not simply unneeded.
std::vector<std::string> shown_by(const Proof& proof, const evidence::Evidence* evidence) {
  std::map<std::string, std::string> facts;
  if (evidence != nullptr) facts = fact_lines(*evidence);
  std::vector<std::string> out;
  for (const Verdict& v : proof.verdicts) {
    if (v.kind == verdict::Kind::kUnneeded) continue;
    std::vector<std::string> parts;
    for (int id : v.trials) parts.push_back(fmt::format("trial {}", id));
    for (const std::string& id : v.evidence) {
      auto fact = facts.find(id);
      parts.push_back(fact == facts.end() ? id : id + " " + fact->second);
    }
    if (parts.empty()) continue;
    out.push_back(privilege::to_string(v.privilege) + ": " + base::join(parts, "; "));
  }
  return out;
}

std::string policy_table(const Proof& proof) {
  std::string out = "\n## What it may do now\n\n| | |\n|---|---|\n";
  for (const auto& [name, value] : policy_lines(proof.policy)) {
    out += "| " + markdown_text(name) + " | " + markdown_code(value) + " |\n";
  }
  return out;
}

std::string trial_table(const Proof& proof) {
  std::string out =
      "\n## Trials\n\n| trial | kind | outcome | seconds | without |\n|---|---|---|---|---|\n";
  for (const verdict::TrialEntry& t : proof.trials) {
    out += fmt::format("| {} | {} | {} | {:.1f} | {} |\n", t.id, markdown_text(t.kind),
                       markdown_text(t.outcome + (t.why.empty() ? "" : ": " + t.why)), t.seconds,
                       markdown_text(base::join(t.without, ", ")));
  }
  return out;
}

}  // namespace

// As text in any place, a table's cell included. An underscore inside a word is only itself.
std::string markdown_text(const std::string& raw) {
  std::string out;
  for (size_t i = 0; i < raw.size(); ++i) {
    char c = raw[i];
    bool inside = i > 0 && i + 1 < raw.size() && word(raw[i - 1]) && word(raw[i + 1]);
    bool special = std::string_view("\\`*[]<>|#").find(c) != std::string_view::npos;
    if (special || (c == '_' && !inside)) out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

// A code span (CommonMark 6.1): its fence is longer than any run of backticks inside.
std::string markdown_code(const std::string& raw) {
  size_t longest = 0, run = 0;
  std::string one_line;
  for (char c : raw) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
    // GitHub splits a row at | in a code span too, unless it is escaped.
    if (c == '|') one_line += '\\';
    one_line += c == '\n' ? ' ' : c;
  }
  std::string fence(longest + 1, '`');
  std::string space = longest > 0 ? " " : "";
  return fence + space + one_line + space + fence;
}

std::string markdown_list(const std::string& title, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string out = "\n## " + title + "\n\n";
  for (const std::string& item : items) out += "- " + markdown_text(item) + "\n";
  return out;
}

std::string markdown(const Proof& proof, const evidence::Evidence* evidence) {
  return "# Least privilege of " + markdown_text(subject(proof)) + "\n\n**" +
         markdown_text(headline(proof)) + "**, " + markdown_text(cost(proof)) + "\n" +
         verdict_table(proof) + markdown_list("Shown by", shown_by(proof, evidence)) +
         policy_table(proof) + markdown_list("What an attacker just lost", loss_lines(proof)) +
         markdown_list("Findings", finding_lines(proof)) +
         markdown_list("What was not shown", not_shown(proof)) +
         markdown_list("The checks", check_lines(proof)) + trial_table(proof) +
         fmt::format("\npare {}, {}, kernel {}, {}\n", markdown_text(proof.pare_version),
                     markdown_text(proof.runtime), markdown_text(proof.kernel),
                     markdown_text(proof.date));
}

}  // namespace pare::report
