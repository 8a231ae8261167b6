// Carrying remedies out on a file's text: verified node by node, re-read and re-audited.
#pragma once

#include <string>
#include <vector>

#include "audit/audit.h"

namespace pare::audit {

struct AppliedFix {
  const Rule* rule = nullptr;
  std::string workload, container, message, breaks;
};

struct UnappliedFix {
  const Rule* rule = nullptr;
  size_t line = 0;  // of the finding, or of what stops its fix
  std::string workload, container;
  std::string why;
};

struct FixedFile {
  std::string text;  // the file's bytes after all fixes; unchanged when none could be made
  std::vector<AppliedFix> applied;
  std::vector<UnappliedFix> unapplied;     // with the reason, first-pass findings only
  std::vector<Finding> left;               // what an audit of `text` still finds
  std::vector<WorkloadSummary> workloads;  // after the fixes
};

// Fixes the findings of one file that are neither suppressed nor out of options.only.
FixedFile fix_file(const Audit& audit, size_t file, const Options& options);

// The replacements that one finding's remedy makes on its own (for SARIF's fixes); empty when none.
std::vector<Replacement> replacements_of(const Audit& audit, const Finding& finding);

// diff -u of two texts under one name; empty when they are the same.
std::string unified_diff(const std::string& name, std::string_view before, std::string_view after);

}  // namespace pare::audit
