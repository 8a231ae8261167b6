#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "report/document.h"
#include "report/view.h"

namespace pare::report {

using verdict::Proof;
using verdict::Verdict;

using base::escape_markup;

namespace {

// Verdicts differ by word, not by colour alone.
constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
code, td.name { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
td.kind { font-weight: 600; white-space: nowrap; }
.needed { color: #c0392b; } .fixable { color: #b9770e; } .unneeded { color: #1e8449; } .unproven { color: #8e44ad; }
.state { padding: .6rem 1rem; border-left: .3rem solid; background: var(--soft); }
details { margin-top: .2rem; } summary { cursor: pointer; color: GrayText; }
@media (max-width: 40rem) { td, th { padding: .3rem; } .wide { display: none; } }
@media print { details > * { display: block; } }
)";

std::string bullet_list(const std::string& title, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string out = "<h2>" + escape_markup(title) + "</h2>\n<ul>\n";
  for (const std::string& item : items) out += "<li>" + escape_markup(item) + "</li>\n";
  return out + "</ul>\n";
}

std::string trial_text(const Proof& proof, int id) {
  for (const verdict::TrialEntry& trial : proof.trials) {
    if (trial.id != id) continue;
    std::string without =
        trial.without.empty() ? "" : " without " + base::join(trial.without, ", ");
    return fmt::format("trial {} ({}){}: {}{}", id, trial.kind, without, trial.outcome,
                       trial.why.empty() ? "" : ", " + trial.why);
  }
  return fmt::format("trial {}", id);
}

// The trials and facts behind a row, folded away.
std::string behind(const Proof& proof, const Row& row,
                   const std::map<std::string, std::string>& facts) {
  std::string items;
  for (const Verdict* v : row.verdicts) {
    for (int id : v->trials) {
      std::string item = "<li>" + escape_markup(trial_text(proof, id)) + "</li>\n";
      if (items.find(item) == std::string::npos) items += item;
    }
    for (const std::string& id : v->evidence) {
      auto fact = facts.find(id);
      items += "<li><code>" + escape_markup(id) + "</code>" +
               (fact == facts.end() ? "" : " " + escape_markup(fact->second)) + "</li>\n";
    }
  }
  if (items.empty()) return "";
  return "<details><summary>shown by</summary><ul>\n" + items + "</ul></details>";
}

std::string verdict_table(const Proof& proof, const evidence::Evidence* evidence) {
  std::map<std::string, std::string> facts;
  if (evidence != nullptr) facts = fact_lines(*evidence);
  std::string out =
      "<h2>Verdicts</h2>\n<table>\n<thead><tr><th scope=\"col\">privilege</th>"
      "<th scope=\"col\" class=\"wide\">asked</th><th scope=\"col\" class=\"wide\">used</th>"
      "<th scope=\"col\">verdict</th><th scope=\"col\">because</th></tr></thead>\n<tbody>\n";
  for (const Row& row : table_rows(proof)) {
    const Verdict& v = *row.verdicts[0];
    std::string kind(verdict::to_string(v.kind));
    out += fmt::format(
        "<tr><td class=\"name\">{}</td><td class=\"wide\">{}</td>"
        "<td class=\"wide\">{}</td><td class=\"kind {}\">{}</td><td>{}{}</td></tr>\n",
        escape_markup(row.privilege), v.asked ? "yes" : "no", v.used ? "yes" : "no", kind, kind,
        escape_markup(row.because), behind(proof, row, facts));
  }
  return out + "</tbody>\n</table>\n";
}

std::string policy_table(const Proof& proof) {
  std::string out = "<h2>What it may do now</h2>\n<table>\n<tbody>\n";
  for (const auto& [name, value] : policy_lines(proof.policy)) {
    out += "<tr><th scope=\"row\">" + escape_markup(name) + "</th><td class=\"name\">" +
           escape_markup(value) + "</td></tr>\n";
  }
  out += "</tbody>\n</table>\n";
  if (!proof.policy.seccomp) return out;
  return out + "<details><summary>the system calls</summary><p><code>" +
         escape_markup(base::join(proof.policy.seccomp->syscalls, " ")) + "</code></p></details>\n";
}

std::string trial_table(const Proof& proof) {
  std::string out =
      "<h2>Trials</h2>\n<table>\n<thead><tr><th scope=\"col\">trial</th><th scope=\"col\">kind</th>"
      "<th scope=\"col\">outcome</th><th scope=\"col\" class=\"wide\">seconds</th>"
      "<th scope=\"col\">without</th></tr></thead>\n<tbody>\n";
  for (const verdict::TrialEntry& t : proof.trials) {
    out += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"wide\">{:.1f}</td>"
        "<td class=\"name\">{}</td></tr>\n",
        t.id, escape_markup(t.kind), escape_markup(t.outcome + (t.why.empty() ? "" : ": " + t.why)),
        t.seconds, escape_markup(base::join(t.without, ", ")));
  }
  return out + "</tbody>\n</table>\n";
}

}  // namespace

std::string html(const Proof& proof, const evidence::Evidence* evidence) {
  std::string title = "Least privilege of " + subject(proof);
  std::string state = proof.minimal ? "unneeded" : "unproven";
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
         escape_markup(title) + "</title>\n<style>" + kStyle + "</style>\n</head>\n<body>\n<h1>" +
         escape_markup(title) + "</h1>\n<p class=\"state " + state + "\">" +
         escape_markup(headline(proof)) + ", " + escape_markup(cost(proof)) + "</p>\n" +
         verdict_table(proof, evidence) + policy_table(proof) +
         bullet_list("What an attacker just lost", loss_lines(proof)) +
         bullet_list("Findings", finding_lines(proof)) +
         bullet_list("What was not shown", not_shown(proof)) +
         bullet_list("The checks", check_lines(proof)) + trial_table(proof) +
         fmt::format("<p>pare {}, {}, kernel {}, {}</p>\n</body>\n</html>\n",
                     escape_markup(proof.pare_version), escape_markup(proof.runtime),
                     escape_markup(proof.kernel), escape_markup(proof.date));
}

}  // namespace pare::report
