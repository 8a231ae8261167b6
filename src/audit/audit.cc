#include "audit/audit.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "audit/commands.h"
#include "audit/rule_functions.h"
#include "base/text.h"

namespace pare::audit {
namespace {

// Runs work(i) for all i on up to `threads` threads.
template <typename F>
void for_each_index(size_t count, unsigned threads, F&& work) {
  std::atomic<size_t> next{0};
  auto loop = [&] {
    for (size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::thread> pool;
  for (unsigned t = 1; t < std::min<size_t>(threads, count); ++t) pool.emplace_back(loop);
  loop();
  for (std::thread& thread : pool) thread.join();
}

void add_flaws(const FileModel& model, size_t file, std::vector<Finding>* out) {
  for (const Flaw& flaw : model.flaws) {
    Finding f;
    f.rule = find_rule(flaw.kind == Flaw::kDuplicateKey ? "duplicate-key" : "wrong-type");
    f.severity = f.rule->severity;
    f.file = file;
    f.document = flaw.document;
    f.span = flaw.span;
    f.message = flaw.message;
    if (flaw.kind == Flaw::kDuplicateKey) f.message += "; the last one counts";
    f.remedy.why_not = "which of them is meant only you know";
    for (const Workload& w : model.workloads) {
      if (w.document == flaw.document) f.workload = w.name;
    }
    out->push_back(std::move(f));
  }
}

std::vector<Finding> judge_file(const Everything& all, size_t file, const Options& options) {
  std::vector<Finding> findings;
  const FileModel& model = *all.models[file];
  for (size_t i = 0; i < model.workloads.size(); ++i) {
    Scope scope(all, model.workloads[i], model.slots[i], &findings);
    for (const Rule& rule : rule_table()) {
      if (rule.function == nullptr || !applies(rule, model.workloads[i])) continue;
      scope.set_rule(rule);
      rule.function(scope);
    }
  }
  add_flaws(model, file, &findings);
  if (!options.only.empty()) {
    findings.erase(std::remove_if(findings.begin(), findings.end(),
                                  [&](const Finding& f) {
                                    return std::find(options.only.begin(), options.only.end(),
                                                     f.rule) == options.only.end();
                                  }),
                   findings.end());
  }
  apply_suppressions(*all.files[file], model, file, &findings);
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    if (a.span.begin != b.span.begin) return a.span.begin < b.span.begin;
    return a.rule->id < b.rule->id;
  });
  return findings;
}

Everything gather(const std::vector<const SourceFile*>& files,
                  const std::vector<const FileModel*>& models, const Options& options) {
  Everything all;
  all.files = files;
  all.models = models;
  all.proof = options.proof;
  for (const FileModel* model : models) {
    for (const ServiceObject& service : model->services) all.services.push_back(&service);
    for (const PolicyObject& policy : model->policies) all.policies.push_back(&policy);
  }
  return all;
}

WorkloadSummary summarise(const FileModel& model, size_t i) {
  const Workload& w = model.workloads[i];
  WorkloadSummary summary;
  summary.file = w.file;
  summary.document = w.document;
  summary.span = w.place.span;
  summary.platform = w.platform;
  summary.kind = w.kind;
  summary.name = w.name;
  summary.custom = w.custom;
  summary.managed = w.managed;
  for (const Container& c : w.containers) {
    if (c.server != nullptr && summary.server.empty()) summary.server = c.server->family;
  }
  const ParsedDocument* document =
      model.slots[i] == kNoSlot ? nullptr : &model.documents[model.slots[i]];
  summary.pod_security = pod_security_of(document, w, &summary.not_restricted);
  return summary;
}
}  // namespace

LineIndex::LineIndex(std::string_view bytes) : bytes_(bytes), starts_{0} {
  for (size_t at = bytes.find('\n'); at != std::string_view::npos; at = bytes.find('\n', at + 1)) {
    if (at + 1 < bytes.size()) starts_.push_back(at + 1);
  }
}

Position LineIndex::at(size_t offset) const {
  offset = std::min(offset, bytes_.size());
  auto line = std::upper_bound(starts_.begin(), starts_.end(), offset) - starts_.begin();
  size_t start = starts_[static_cast<size_t>(line) - 1];
  size_t column = 1;
  for (size_t i = start; i < offset; ++i) {
    column += (static_cast<unsigned char>(bytes_[i]) & 0xc0) != 0x80 ? 1 : 0;
  }
  return {static_cast<size_t>(line), column};
}

std::string_view LineIndex::line(size_t number) const {
  if (number == 0 || number > starts_.size()) return {};
  size_t start = starts_[number - 1];
  size_t end = std::min(bytes_.size(), bytes_.find('\n', start));
  if (end > start && bytes_[end - 1] == '\r') --end;
  return bytes_.substr(start, end - start);
}

std::string pod_security_of(const ParsedDocument* document, const Workload& workload,
                            std::string* reason) {
  if (workload.platform != Platform::kKubernetes || workload.managed || document == nullptr) {
    return "";
  }
  PodPlace pod;
  pod.known = true;
  pod.is_pod = workload.kind == "Pod";
  pod.spec = View(document->yaml, workload.pod_spec);
  if (workload.pod_metadata != kNoNode) pod.metadata = View(document->yaml, workload.pod_metadata);
  *reason = judge_pod(pod, PodSecurityLevel::kRestricted).reason();
  return std::string(to_string(pod_level(pod)));
}

Audit audit_files(std::vector<SourceFile> files, const Options& options) {
  Audit audit;
  std::vector<const SourceFile*> sources;
  std::vector<const FileModel*> models;
  for (SourceFile& file : files) {
    audit.files.push_back(std::make_unique<SourceFile>(std::move(file)));
    audit.models.push_back(std::make_unique<FileModel>());
    sources.push_back(audit.files.back().get());
    models.push_back(audit.models.back().get());
  }
  audit.lines.resize(sources.size());
  for_each_index(sources.size(), options.threads, [&](size_t i) {
    audit.lines[i] = std::make_unique<LineIndex>(sources[i]->bytes);
    read_file(*sources[i], i, audit.models[i].get());
  });
  Everything all = gather(sources, models, options);
  std::vector<std::vector<Finding>> found(sources.size());
  std::vector<std::vector<WorkloadSummary>> workloads(sources.size());
  for_each_index(sources.size(), options.threads, [&](size_t i) {
    found[i] = judge_file(all, i, options);
    for (size_t w = 0; w < models[i]->workloads.size(); ++w) {
      workloads[i].push_back(summarise(*models[i], w));
    }
  });
  for (size_t i = 0; i < sources.size(); ++i) {
    std::move(found[i].begin(), found[i].end(), std::back_inserter(audit.findings));
    std::move(workloads[i].begin(), workloads[i].end(), std::back_inserter(audit.workloads));
  }
  for (Finding& f : audit.findings) {
    if (!f.suppressed && !options.baseline.empty() &&
        options.baseline.count(fingerprint(audit, f)) != 0) {
      f.suppressed = true;
      f.suppression = "in the baseline";
    }
  }
  return audit;
}

std::vector<Finding> audit_again(const Audit& audit, size_t file, const SourceFile& changed,
                                 const Options& options, FileModel* model) {
  std::vector<const SourceFile*> sources;
  std::vector<const FileModel*> models;
  for (size_t i = 0; i < audit.files.size(); ++i) {
    sources.push_back(i == file ? &changed : audit.files[i].get());
    models.push_back(i == file ? model : audit.models[i].get());
  }
  read_file(changed, file, model);
  return judge_file(gather(sources, models, options), file, options);
}

std::string fingerprint(const Audit& audit, const Finding& finding) {
  std::string text = std::string(finding.rule->id) + "\n" + audit.files[finding.file]->name + "\n" +
                     finding.workload + "\n" + finding.container + "\n" + finding.message;
  return base::sha256_hex(text).substr(0, 32);
}

std::string prove_line(const Audit& audit) {
  const WorkloadSummary* best = nullptr;
  for (const WorkloadSummary& w : audit.workloads) {
    bool runs = !w.managed && w.platform != Platform::kDockerfile && w.platform != Platform::kImage;
    if (runs && (best == nullptr || (best->server.empty() && !w.server.empty()))) best = &w;
  }
  if (best == nullptr) return "";
  const SourceFile& file = *audit.files[best->file];
  const FileModel& model = *audit.models[best->file];
  if (best->platform == Platform::kDockerRun) {
    auto commands = find_commands(file.bytes, model.kind == FileKind::kMarkdown);
    if (best->document >= commands.size()) return "";
    std::vector<std::string> words = {"docker", "run"};
    for (const ShellWord& word : commands[best->document].words) words.push_back(word.text);
    return "pare prove -- " + base::shell_join(words);
  }
  std::string line = "pare prove " + base::shell_quote(file.name == "-" ? "FILE.yaml" : file.name);
  for (const Workload& w : model.workloads) {
    if (w.name != best->name || w.document != best->document) continue;
    const Container* chosen = nullptr;
    for (const Container& c : w.containers) {
      if (c.role != Role::kMain) continue;
      if (chosen == nullptr || (chosen->server == nullptr && c.server != nullptr)) chosen = &c;
    }
    if (chosen != nullptr) return line + " --container " + base::shell_quote(chosen->name);
  }
  return line;
}

}  // namespace pare::audit
