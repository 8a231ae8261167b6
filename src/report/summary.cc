#include "report/summary.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/text.h"

namespace pare::report {

using verdict::Kind;
using verdict::Proof;
using verdict::Verdict;

namespace {

struct Row {
  std::string privilege, asked, used, verdict, because;
};

std::string_view colour_of(Kind kind) {
  switch (kind) {
    case Kind::kNeeded:
      return "\x1b[31m";
    case Kind::kFixable:
      return "\x1b[33m";
    case Kind::kUnneeded:
      return "\x1b[32m";
    case Kind::kUnproven:
      return "\x1b[35m";
  }
  return "";
}

// Words of `text` in lines of at most `width` columns.
std::vector<std::string> wrapped(const std::string& text, size_t width) {
  std::vector<std::string> lines{""};
  for (const std::string& word : base::split(text, ' ')) {
    std::string& line = lines.back();
    if (!line.empty() && line.size() + 1 + word.size() > width) {
      lines.push_back(word);
    } else {
      line += (line.empty() ? "" : " ") + word;
    }
  }
  return lines;
}

std::string because_of(const Verdict& v) {
  std::string because = v.because;
  if (v.fix) because += "; fix: " + v.fix->text;
  if (v.phase == evidence::Phase::kPull) because = "(pull) " + because;
  return because;
}

// What matters most to a reader comes first.
std::vector<Verdict> ordered(const Proof& proof) {
  std::vector<Verdict> verdicts = proof.verdicts;
  std::stable_sort(verdicts.begin(), verdicts.end(), [](const Verdict& a, const Verdict& b) {
    auto rank = [](Kind k) { return k == Kind::kUnproven ? -1 : static_cast<int>(k); };
    return rank(a.kind) < rank(b.kind);
  });
  return verdicts;
}

std::string table(const Proof& proof, const SummaryOptions& options) {
  std::vector<Verdict> verdicts = ordered(proof);
  size_t name_width = 9;
  for (const Verdict& v : verdicts) {
    name_width = std::max(name_width, privilege::to_string(v.privilege).size());
  }
  name_width = std::min<size_t>(name_width, 36);
  size_t left = name_width + 2 + 7 + 6 + 10;
  size_t room = static_cast<size_t>(std::max(options.width, 80)) - left;
  std::string out = fmt::format("{:{}}  {:7}{:6}{:10}{}\n", "privilege", name_width, "asked",
                                "used", "verdict", "because");
  for (const Verdict& v : verdicts) {
    std::string kind = fmt::format("{:10}", verdict::to_string(v.kind));
    if (options.colour) kind = std::string(colour_of(v.kind)) + kind + "\x1b[0m";
    std::vector<std::string> because = wrapped(because_of(v), room);
    out += fmt::format("{:{}}  {:7}{:6}{}{}\n", privilege::to_string(v.privilege), name_width,
                       v.asked ? "yes" : "no", v.used ? "yes" : "no", kind, because[0]);
    for (size_t i = 1; i < because.size(); ++i) {
      out += std::string(left, ' ') + because[i] + "\n";
    }
  }
  return out;
}

std::string lost(const Proof& proof) {
  std::set<std::string> seen;
  std::string out;
  for (const Verdict& v : ordered(proof)) {
    bool gone = v.asked && (v.kind == Kind::kUnneeded || v.kind == Kind::kFixable) &&
                v.phase == evidence::Phase::kServe;
    std::string gain(privilege::gain(v.privilege));
    if (!gone || !seen.insert(gain).second) continue;
    out += "  - " + gain + " (" + privilege::to_string(v.privilege) + ")\n";
  }
  return out.empty() ? "" : "\nWhat an attacker just lost\n" + out;
}

std::string not_shown(const Proof& proof) {
  std::string out;
  if (!proof.minimal) out += "  - this proof is not minimal: " + proof.not_minimal_because + "\n";
  for (const Verdict& v : proof.verdicts) {
    if (v.kind != Kind::kUnproven) continue;
    out += "  - " + privilege::to_string(v.privilege) + ": " + v.because + "\n";
  }
  if (proof.loss.any()) {
    out += fmt::format("  - the recorder lost {} events\n", proof.loss.events);
  }
  out += "  - anything that no check exercised: the checks were ";
  std::vector<std::string> names;
  for (const auto& check : proof.checks) names.push_back(check.name);
  out += base::join(names, ", ") + "\n";
  for (const std::string& assumption : proof.assumptions)
    out += "  - assumed: " + assumption + "\n";
  return "\nWhat was not shown\n" + out;
}

std::string findings(const Proof& proof) {
  if (proof.findings.empty()) return "";
  std::string out = "\nFindings\n";
  for (const auto& finding : proof.findings) {
    out += "  - " + finding.severity + ": " + finding.text + "\n";
  }
  return out;
}

}  // namespace

std::string summary(const Proof& proof, const SummaryOptions& options) {
  int starts = 0;
  double seconds = 0;
  for (const auto& trial : proof.trials) {
    starts += trial.starts;
    seconds += trial.seconds;
  }
  std::string out = "\n" + table(proof, options) + lost(proof) + findings(proof) + not_shown(proof);
  out += fmt::format("\n{}, for {}: {} container starts, {:.1f} s\n",
                     proof.minimal     ? "Confirmed and minimal"
                     : proof.confirmed ? "Confirmed, not minimal"
                                       : "Not confirmed",
                     proof.platform.name, starts, seconds);
  if (options.directory.empty()) return out;
  out += "Written to " + options.directory + ": " + base::join(options.files, ", ") + "\n";
  out += "Next: pare emit " + base::shell_quote(options.directory) + " --to " +
         proof.platform.name + " -o " +
         base::shell_quote(options.directory + "/" + proof.platform.name) + "\n";
  return out;
}

}  // namespace pare::report
