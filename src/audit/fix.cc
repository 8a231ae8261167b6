#include "audit/fix.h"

#include <algorithm>
#include <map>

namespace pare::audit {
namespace {

constexpr int kMaxPasses = 4;

using Key = std::tuple<std::string, std::string, std::string>;

Key key_of(const Finding& f) {
  return {std::string(f.rule->id), f.workload, f.container};
}

std::map<Key, size_t> count(const std::vector<Finding>& findings) {
  std::map<Key, size_t> counts;
  for (const Finding& f : findings) ++counts[key_of(f)];
  return counts;
}

// Everything the edits mean to do in one file.
struct Batch {
  std::map<size_t, std::vector<Operation>> on_tree;  // by slot
  std::vector<Replacement> on_text;
  std::vector<std::string> documents;
  bool empty() const { return on_tree.empty() && on_text.empty() && documents.empty(); }
};

bool overlaps(const Batch& batch, const Span& span) {
  return std::any_of(batch.on_text.begin(), batch.on_text.end(), [&](const Replacement& r) {
    return span.begin < r.span.end && r.span.begin < span.end;
  });
}

void add(const Finding& f, Batch* batch) {
  for (const Operation& op : f.remedy.operations) {
    if (op.kind == Operation::kReplace) {
      Replacement replacement{op.span, op.text};
      auto& all = batch->on_text;
      if (std::find(all.begin(), all.end(), replacement) == all.end()) all.push_back(replacement);
    } else if (op.kind == Operation::kAddDocument) {
      auto& all = batch->documents;
      if (std::find(all.begin(), all.end(), op.text) == all.end()) all.push_back(op.text);
    } else {
      auto& all = batch->on_tree[f.slot];
      if (std::find(all.begin(), all.end(), op) == all.end()) all.push_back(op);
    }
  }
}

// A stream can take another document after what it has, unless it is JSON or was ended by "...".
bool takes_document(std::string_view bytes, const FileModel& model) {
  if (model.documents.empty()) return false;
  const YamlDocument& last = model.documents.back().yaml;
  if (last.at(last.root).style == NodeStyle::kFlow) return false;
  return bytes.find("\n...") == std::string_view::npos;
}

std::string with_document(std::string text, std::string document) {
  size_t newline = text.find('\n');
  bool crlf = newline != std::string::npos && newline > 0 && text[newline - 1] == '\r';
  if (!text.empty() && text.back() != '\n') text += crlf ? "\r\n" : "\n";
  document = "---\n" + document;
  if (!crlf) return text + document;
  for (char c : document) {
    if (c == '\n') text += '\r';
    text += c;
  }
  return text;
}

std::optional<std::string> carry_out(const SourceFile& file, const FileModel& model,
                                     const Batch& batch) {
  std::vector<Replacement> all = batch.on_text;
  for (const auto& [slot, operations] : batch.on_tree) {
    if (slot >= model.documents.size()) return std::nullopt;
    const ParsedDocument& document = model.documents[slot];
    auto made = render(file.bytes, document.yaml, document.dialect, operations);
    if (!made) return std::nullopt;
    all.insert(all.end(), made->begin(), made->end());
  }
  auto text = apply_replacements(file.bytes, std::move(all));
  for (const std::string& document : batch.documents) {
    if (!text || !takes_document(file.bytes, model)) return std::nullopt;
    text = with_document(std::move(*text), document);
  }
  return text;
}

// The new file has the old documents, edited as meant, then the added ones.
bool as_meant(const FileModel& before, const FileModel& after, const Batch& batch) {
  if (after.unread.size() != before.unread.size()) return false;
  if (after.documents.size() != before.documents.size() + batch.documents.size()) return false;
  for (size_t i = 0; i < before.documents.size(); ++i) {
    auto operations = batch.on_tree.find(i);
    static const std::vector<Operation> kNone;
    if (!edited_as_meant(before.documents[i].yaml, after.documents[i].yaml,
                         before.documents[i].dialect,
                         operations == batch.on_tree.end() ? kNone : operations->second)) {
      return false;
    }
  }
  return after.workloads.size() == before.workloads.size();
}

// One state of the file: its text, what it says, and what is found in it.
struct State {
  std::unique_ptr<SourceFile> file;
  std::unique_ptr<FileModel> model = std::make_unique<FileModel>();
  std::vector<Finding> findings;
};

State read_state(const Audit& audit, size_t file, std::string text, const Options& options) {
  State state;
  state.file = std::make_unique<SourceFile>(SourceFile{audit.files[file]->name, std::move(text)});
  state.findings = audit_again(audit, file, *state.file, options, state.model.get());
  return state;
}

// The state after the batch, when it is what was meant and finds nothing new.
std::optional<State> try_batch(const Audit& audit, size_t file, const State& before,
                               const Batch& batch, const Options& options) {
  auto text = carry_out(*before.file, *before.model, batch);
  if (!text || *text == before.file->bytes) return std::nullopt;
  State after = read_state(audit, file, std::move(*text), options);
  if (!as_meant(*before.model, *after.model, batch)) return std::nullopt;
  std::map<Key, size_t> had = count(before.findings);
  for (const auto& [key, number] : count(after.findings)) {
    auto earlier = had.find(key);
    if (earlier == had.end() || number > earlier->second) return std::nullopt;
  }
  return after;
}

// Whether the finding's operations can be rendered at all; else why not.
std::optional<Unread> impossible(const State& state, const Finding& f) {
  std::vector<Operation> tree;
  for (const Operation& op : f.remedy.operations) {
    if (op.kind == Operation::kAddDocument && !takes_document(state.file->bytes, *state.model)) {
      return Unread{f.span.begin, "no document can be added to this file"};
    }
    if (op.kind != Operation::kReplace && op.kind != Operation::kAddDocument) tree.push_back(op);
  }
  if (tree.empty()) return std::nullopt;
  const ParsedDocument& document = state.model->documents[f.slot];
  auto made = render(state.file->bytes, document.yaml, document.dialect, tree);
  return made ? std::nullopt : std::optional(made.error());
}

class Fixer {
 public:
  Fixer(const Audit& audit, size_t file, const Options& options)
      : audit_(audit), file_(file), options_(options) {}

  FixedFile run() {
    State state = read_state(audit_, file_, audit_.files[file_]->bytes, options_);
    for (int pass = 0; pass < kMaxPasses; ++pass) {
      if (!improve(&state, pass == 0)) break;
    }
    result_.text = state.file->bytes;
    for (size_t i = 0; i < state.model->workloads.size(); ++i) {
      WorkloadSummary summary;
      const Workload& w = state.model->workloads[i];
      summary.file = file_;
      summary.document = w.document;
      summary.span = w.place.span;
      summary.platform = w.platform;
      summary.managed = w.managed;
      summary.kind = w.kind;
      summary.name = w.name;
      size_t slot = state.model->slots[i];
      summary.pod_security = pod_security_of(
          slot == kNoSlot ? nullptr : &state.model->documents[slot], w, &summary.not_restricted);
      result_.workloads.push_back(std::move(summary));
    }
    result_.left = std::move(state.findings);
    for (Finding& f : result_.left) f.remedy.operations.clear();  // they point into `state`
    return std::move(result_);
  }

 private:
  void refuse(const State& state, const Finding& f, size_t offset, std::string why) {
    LineIndex lines(state.file->bytes);
    result_.unapplied.push_back(
        {f.rule, lines.at(offset).line, f.workload, f.container, std::move(why)});
  }

  // One pass over all findings; false when nothing changed.
  bool improve(State* state, bool first) {
    std::vector<const Finding*> chosen;
    Batch batch;
    for (const Finding& f : state->findings) {
      if (f.suppressed) continue;
      if (!f.fixable()) {
        if (first && !f.remedy.why_not.empty()) refuse(*state, f, f.span.begin, f.remedy.why_not);
        continue;
      }
      if (auto why = impossible(*state, f)) {
        if (first) refuse(*state, f, why->offset, why->why);
        continue;
      }
      bool clash = std::any_of(f.remedy.operations.begin(), f.remedy.operations.end(),
                               [&](const Operation& op) {
                                 return op.kind == Operation::kReplace && overlaps(batch, op.span);
                               });
      if (clash) continue;  // the next pass takes it
      add(f, &batch);
      chosen.push_back(&f);
    }
    if (batch.empty()) return false;
    auto after = try_batch(audit_, file_, *state, batch, options_);
    if (!after) return one_by_one(state, first);
    for (const Finding* f : chosen) applied(*f);
    *state = std::move(*after);
    return true;
  }

  // When all together do not verify, each on its own; what does not verify alone is left.
  bool one_by_one(State* state, bool first) {
    bool changed = false;
    std::set<Key> tried;
    for (size_t i = 0; i < state->findings.size(); ++i) {
      const Finding& f = state->findings[i];
      if (f.suppressed || !f.fixable() || impossible(*state, f)) continue;
      if (!tried.insert(key_of(f)).second) continue;
      Batch batch;
      add(f, &batch);
      auto after = try_batch(audit_, file_, *state, batch, options_);
      if (after) {
        applied(f);
        *state = std::move(*after);
        changed = true;
        i = static_cast<size_t>(-1);
      } else if (first) {
        refuse(*state, f, f.span.begin, "the edit could not be verified; it was not made");
      }
    }
    return changed;
  }

  void applied(const Finding& f) {
    result_.applied.push_back({f.rule, f.workload, f.container, f.message, f.remedy.breaks});
  }

  const Audit& audit_;
  size_t file_;
  const Options& options_;
  FixedFile result_;
};
}  // namespace

FixedFile fix_file(const Audit& audit, size_t file, const Options& options) {
  return Fixer(audit, file, options).run();
}

std::vector<Replacement> replacements_of(const Audit& audit, const Finding& finding) {
  std::vector<Replacement> all;
  std::vector<Operation> tree;
  const SourceFile& file = *audit.files[finding.file];
  for (const Operation& op : finding.remedy.operations) {
    if (op.kind == Operation::kReplace) {
      all.push_back({op.span, op.text});
    } else if (op.kind == Operation::kAddDocument) {
      Span end{file.bytes.size(), file.bytes.size()};
      all.push_back({end, with_document(file.bytes, op.text).substr(file.bytes.size())});
    } else {
      tree.push_back(op);
    }
  }
  if (!tree.empty() && finding.slot != kNoSlot) {
    const ParsedDocument& document = audit.models[finding.file]->documents[finding.slot];
    auto made = render(file.bytes, document.yaml, document.dialect, tree);
    if (!made) return {};
    all.insert(all.end(), made->begin(), made->end());
  }
  return apply_replacements(file.bytes, all) ? all : std::vector<Replacement>();
}

}  // namespace pare::audit
