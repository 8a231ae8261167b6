// "# pare: ignore PARE007 -- reason" at or above a line; annotation
// "pare.audit/ignore-PARE007[.CONTAINER]: reason".
#include <algorithm>

#include "audit/audit.h"
#include "base/text.h"

namespace pare::audit {
namespace {

constexpr std::string_view kComment = "# pare: ignore ";
constexpr std::string_view kAnnotation = "pare.audit/ignore-";

struct Suppression {
  size_t line = 0;  // whose findings it speaks of
  size_t offset = 0;
  std::vector<const Rule*> rules;
  std::string reason;
};

Finding bad(const std::string& message, size_t file, size_t offset) {
  Finding f;
  f.rule = find_rule("bad-suppression");
  f.severity = f.rule->severity;
  f.file = file;
  f.span = {offset, offset};
  f.message = message;
  f.remedy.why_not = "only you know the reason";
  return f;
}

std::vector<Suppression> read_comments(const SourceFile& file, const LineIndex& lines, size_t index,
                                       std::vector<Finding>* findings) {
  std::vector<Suppression> result;
  std::string_view bytes = file.bytes;
  for (size_t at = bytes.find(kComment); at != std::string_view::npos;
       at = bytes.find(kComment, at + 1)) {
    Position position = lines.at(at);
    std::string_view line = lines.line(position.line);
    std::string_view text = bytes.substr(at, std::min(bytes.size(), bytes.find('\n', at)) - at);
    text.remove_prefix(kComment.size());
    Suppression suppression;
    suppression.offset = at;
    suppression.line = position.line;
    // A comment on a line of its own speaks of the next line that says something.
    if (base::trim(line).substr(0, 1) == "#") {
      do {
        ++suppression.line;
      } while (suppression.line <= lines.count() &&
               base::trim(lines.line(suppression.line)).substr(0, 1) == "#");
    }
    size_t dashes = text.find("--");
    suppression.reason =
        dashes == std::string_view::npos ? "" : std::string(base::trim(text.substr(dashes + 2)));
    std::string names(text.substr(0, dashes));
    std::replace(names.begin(), names.end(), ',', ' ');
    for (const std::string& name : shell_words(names)) {
      const Rule* rule = find_rule(name);
      if (rule != nullptr) {
        suppression.rules.push_back(rule);
      } else {
        findings->push_back(bad("'" + name + "' is no rule of pare", index, at));
      }
    }
    if (suppression.reason.empty()) {
      findings->push_back(
          bad("a suppression without a reason: write '# pare: ignore PARE007 -- "
              "why'",
              index, at));
    } else {
      result.push_back(std::move(suppression));
    }
  }
  return result;
}

void suppress(Finding* f, const std::string& reason) {
  if (f->rule->name == "bad-suppression") return;
  f->suppressed = true;
  f->suppression = reason;
}

// The findings of a container (or workload) whose own first line the comment speaks of.
void apply_comment(const Suppression& s, const FileModel& model, const LineIndex& lines,
                   size_t index, std::vector<Finding>* findings) {
  auto at_line = [&](const Place& place) {
    return place.span.end != 0 && lines.at(place.span.begin).line == s.line;
  };
  for (Finding& f : *findings) {
    bool other = f.file != index;  // it points into a Service's or policy's own file
    if (other || std::find(s.rules.begin(), s.rules.end(), f.rule) == s.rules.end()) continue;
    bool here = lines.at(f.span.begin).line == s.line;
    for (const Workload& w : model.workloads) {
      if (w.name != f.workload || w.document != f.document || here) continue;
      here |= at_line(w.place);
      for (const Container& c : w.containers) here |= c.name == f.container && at_line(c.place);
    }
    if (here) suppress(&f, s.reason);
  }
}

void apply_annotations(const Workload& w, size_t index, std::vector<Finding>* findings) {
  for (const auto& [key, reason] : w.annotations) {
    if (!base::starts_with(key, kAnnotation)) continue;
    std::string target = key.substr(kAnnotation.size());
    size_t dot = target.find('.');
    std::string container = dot == std::string::npos ? "" : target.substr(dot + 1);
    const Rule* rule = find_rule(target.substr(0, dot));
    if (rule == nullptr || base::trim(reason).empty()) {
      findings->push_back(bad(
          "annotation " + key + (rule == nullptr ? ": no such rule of pare" : " gives no reason"),
          index, w.place.span.begin));
      continue;
    }
    for (Finding& f : *findings) {
      bool match = f.rule == rule && f.workload == w.name && f.document == w.document &&
                   (container.empty() || f.container == container);
      if (match) suppress(&f, reason);
    }
  }
}
}  // namespace

void apply_suppressions(const SourceFile& file, const FileModel& model, size_t index,
                        std::vector<Finding>* findings) {
  if (file.bytes.find(kComment) != std::string::npos) {
    LineIndex lines(file.bytes);
    for (const Suppression& s : read_comments(file, lines, index, findings)) {
      apply_comment(s, model, lines, index, findings);
    }
  }
  for (const Workload& w : model.workloads) {
    if (!w.annotations.empty()) apply_annotations(w, index, findings);
  }
}

}  // namespace pare::audit
