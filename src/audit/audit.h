// `pare audit`: files as written -> findings -> edits. Pure: names and bytes in, findings and
// edited bytes out.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "audit/pod_security.h"
#include "audit/rules.h"
#include "base/result.h"

namespace pare::audit {

struct Position {
  size_t line = 1, column = 1;  // from 1; columns in Unicode code points
};

// Lines of one file, found once.
class LineIndex {
 public:
  explicit LineIndex(std::string_view bytes);
  Position at(size_t offset) const;
  std::string_view line(size_t number) const;  // without its end
  size_t count() const { return starts_.size(); }

 private:
  std::string_view bytes_;
  std::vector<size_t> starts_;
};

struct Options {
  const verdict::Proof* proof = nullptr;  // --against
  std::set<std::string> baseline;         // fingerprints that are accepted already
  std::vector<const Rule*> only;          // empty: all
  unsigned threads = 1;
};

struct WorkloadSummary {
  size_t file = 0, document = 0;
  Span span;
  Platform platform = Platform::kKubernetes;
  std::string kind, name, server;
  std::string pod_security;    // "privileged" | "baseline" | "restricted"; "" off Kubernetes
  std::string not_restricted;  // why, in the API server's words
  bool custom = false, managed = false;
};

struct Audit {
  std::vector<std::unique_ptr<SourceFile>> files;
  std::vector<std::unique_ptr<FileModel>> models;  // point into files
  std::vector<std::unique_ptr<LineIndex>> lines;
  std::vector<WorkloadSummary> workloads;
  std::vector<Finding> findings;  // by file, place, rule
  Position position(size_t file, size_t offset) const { return lines[file]->at(offset); }
};

Audit audit_files(std::vector<SourceFile> files, const Options& options);

// The same after the text of one file has changed; everything else stays.
std::vector<Finding> audit_again(const Audit& audit, size_t file, const SourceFile& changed,
                                 const Options& options, FileModel* model);

// Stable over unrelated edits: rule, file, workload, container, message.
std::string fingerprint(const Audit& audit, const Finding& finding);

// The line that proves what these files ask for; empty when nothing in them can be run.
std::string prove_line(const Audit& audit);

// Pod Security level of a workload as written; empty where it does not apply.
std::string pod_security_of(const ParsedDocument* document, const Workload& workload,
                            std::string* reason);

// Marks findings that comments or annotations suppress; adds findings for bad suppressions.
void apply_suppressions(const SourceFile& file, const FileModel& model, size_t index,
                        std::vector<Finding>* findings);

}  // namespace pare::audit
