#include <map>

#include "audit/format.h"
#include "base/text.h"

namespace pare::audit {
namespace {

const char* color_of(Severity severity) {
  switch (severity) {
    case Severity::kCritical:
      return "\x1b[1;31m";
    case Severity::kHigh:
      return "\x1b[31m";
    case Severity::kMedium:
      return "\x1b[33m";
    default:
      return "\x1b[36m";
  }
}

std::string paint(const FormatOptions& options, const char* color, const std::string& text) {
  return options.color ? color + text + "\x1b[0m" : text;
}

// The line and carets under what is meant; tabs stay tabs so that the carets stand right.
std::string excerpt(const Audit& audit, const Finding& f) {
  Position begin = audit.position(f.file, f.span.begin), end = audit.position(f.file, f.span.end);
  std::string line(audit.lines[f.file]->line(begin.line));
  constexpr size_t kWidth = 160;
  if (line.size() > kWidth) return "";
  std::string under;
  size_t column = 1;
  for (char c : line) {
    if ((static_cast<unsigned char>(c) & 0xc0) == 0x80) continue;
    if (column++ == begin.column) break;
    under += c == '\t' ? '\t' : ' ';
  }
  size_t carets =
      end.line == begin.line && end.column > begin.column ? end.column - begin.column : 1;
  std::string number = std::to_string(begin.line);
  std::string pad(number.size(), ' ');
  return "  " + number + " | " + line + "\n  " + pad + " | " + under +
         std::string(std::min(carets, kWidth), '^') + "\n";
}

std::string where(const Finding& f) {
  if (f.workload.empty()) return "";
  bool both = !f.container.empty() && f.container != f.workload;
  return " [" + f.workload + (both ? "/" + f.container : "") + "]";
}
}  // namespace

std::string format_text(const Audit& audit, const FormatOptions& options) {
  std::string out;
  std::map<Severity, size_t> counts;
  size_t suppressed = 0, fixable = 0;
  for (const Finding& f : audit.findings) {
    if (f.suppressed) {
      ++suppressed;
      continue;
    }
    ++counts[f.severity];
    fixable += f.fixable() ? 1 : 0;
    Position at = audit.position(f.file, f.span.begin);
    std::string severity(to_string(f.severity));
    out += audit.files[f.file]->name + ":" + std::to_string(at.line) + ":" +
           std::to_string(at.column) + ": " + paint(options, color_of(f.severity), severity) +
           ": " + f.message + where(f) + " (" + std::string(f.rule->id) + ")\n";
    out += excerpt(audit, f);
    if (!f.evidence.empty()) out += "  evidence: " + f.evidence + "\n";
    if (f.fixable()) {
      out += "  fix: " + std::string(f.rule->fix) + " (--fix)";
      if (!f.remedy.breaks.empty()) out += "; may break: " + f.remedy.breaks;
      out += "\n";
    } else if (!f.remedy.why_not.empty()) {
      out += "  not fixed by --fix: " + f.remedy.why_not + "\n";
    }
  }
  if (!out.empty()) out += "\n";
  for (const WorkloadSummary& w : audit.workloads) {
    out += audit.files[w.file]->name + ": " + w.kind + " " + w.name;
    if (!w.server.empty()) out += " (" + w.server + ")";
    if (!w.pod_security.empty()) out += ": Pod Security " + w.pod_security;
    if (!w.not_restricted.empty()) out += "; not restricted: " + w.not_restricted;
    out += "\n";
  }
  for (size_t i = 0; i < audit.models.size(); ++i) {
    for (const DocumentNote& note : audit.models[i]->notes) {
      if (note.judged) continue;
      out += audit.files[i]->name + ":" +
             std::to_string(audit.position(i, note.place.span.begin).line) + ": " + note.kind +
             (note.name.empty() ? "" : " " + note.name) + ": " + note.why + "\n";
    }
    for (const Unread& unread : audit.models[i]->unread) {
      out += audit.files[i]->name + ":" + std::to_string(audit.position(i, unread.offset).line) +
             ": " + paint(options, "\x1b[1;31m", "not read") + ": " + unread.why + "\n";
    }
  }
  size_t total = 0;
  std::vector<std::string> parts;
  for (auto it = counts.rbegin(); it != counts.rend(); ++it) {
    parts.push_back(std::to_string(it->second) + " " + std::string(to_string(it->first)));
    total += it->second;
  }
  out += std::to_string(total) + " finding" + (total == 1 ? "" : "s");
  if (total != 0)
    out += ": " + base::join(parts, ", ") + "; " + std::to_string(fixable) + " with a fix";
  if (suppressed != 0) out += "; " + std::to_string(suppressed) + " suppressed";
  out += "\n";
  std::string prove = prove_line(audit);
  if (!prove.empty()) out += "What it needs, found by running it: " + prove + "\n";
  return out;
}

std::string format_github(const Audit& audit) {
  auto escape = [](std::string_view text, bool property) {
    std::string out;
    for (char c : text) {
      if (c == '%')
        out += "%25";
      else if (c == '\r')
        out += "%0D";
      else if (c == '\n')
        out += "%0A";
      else if (property && c == ':')
        out += "%3A";
      else if (property && c == ',')
        out += "%2C";
      else
        out += c;
    }
    return out;
  };
  std::string out;
  for (const Finding& f : audit.findings) {
    if (f.suppressed) continue;
    Position begin = audit.position(f.file, f.span.begin), end = audit.position(f.file, f.span.end);
    const char* level = f.severity >= Severity::kHigh     ? "error"
                        : f.severity >= Severity::kMedium ? "warning"
                                                          : "notice";
    out += std::string("::") + level + " file=" + escape(audit.files[f.file]->name, true) +
           ",line=" + std::to_string(begin.line) + ",endLine=" + std::to_string(end.line) +
           ",col=" + std::to_string(begin.column) +
           ",title=" + escape(std::string(f.rule->id) + " " + std::string(f.rule->title), true) +
           "::" + escape(f.message + where(f), false) + "\n";
  }
  for (size_t i = 0; i < audit.models.size(); ++i) {
    for (const Unread& unread : audit.models[i]->unread) {
      out += "::error file=" + escape(audit.files[i]->name, true) +
             ",line=" + std::to_string(audit.position(i, unread.offset).line) +
             ",title=not read::" + escape(unread.why, false) + "\n";
    }
  }
  return out;
}

std::string format_markdown(const Audit& audit) {
  auto cell = [](std::string_view text) {
    std::string out;
    for (char c : text) out += c == '|' ? "\\|" : c == '\n' ? " " : std::string(1, c);
    return out;
  };
  std::string out =
      "# What the files ask for\n\n| workload | kind | server | Pod Security "
      "|\n|---|---|---|---|\n";
  for (const WorkloadSummary& w : audit.workloads) {
    out += "| " + cell(audit.files[w.file]->name + ": " + w.name) + " | " + cell(w.kind) + " | " +
           cell(w.server.empty() ? "-" : w.server) + " | " +
           cell(w.pod_security.empty() ? "-" : w.pod_security) + " |\n";
  }
  out += "\n| severity | rule | where | finding | fix | CIS | NIST SP 800-190 | Pod Security (v1." +
         std::to_string(kPodSecurityMinor) + ") |\n|---|---|---|---|---|---|---|---|\n";
  for (const Finding& f : audit.findings) {
    if (f.suppressed) continue;
    Position at = audit.position(f.file, f.span.begin);
    out += "| " + std::string(to_string(f.severity)) + " | " + std::string(f.rule->id) + " | " +
           cell(audit.files[f.file]->name) + ":" + std::to_string(at.line) + " | " +
           cell(f.message + where(f)) + " | " +
           cell(f.fixable() ? f.rule->fix : std::string_view(f.remedy.why_not)) + " | " +
           cell(f.rule->cis) + " | " + cell(f.rule->nist) + " | " + cell(f.rule->pss) + " |\n";
  }
  bool any = false;
  for (size_t i = 0; i < audit.models.size(); ++i) {
    for (const Unread& unread : audit.models[i]->unread) {
      if (!any) out += "\nNot read:\n\n";
      any = true;
      out += "- " + cell(audit.files[i]->name) + ":" +
             std::to_string(audit.position(i, unread.offset).line) + ": " + cell(unread.why) + "\n";
    }
  }
  std::string prove = prove_line(audit);
  if (!prove.empty()) out += "\nWhat it needs, found by running it: `" + prove + "`\n";
  return out;
}

}  // namespace pare::audit
