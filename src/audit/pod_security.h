// Pod Security Standards as the API server's evaluator judges them (k8s.io/pod-security-admission,
// policy version v1.35), defaulting included.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audit/yaml.h"

namespace pare::audit {

enum class PodSecurityLevel : uint8_t { kPrivileged, kBaseline, kRestricted };
std::string_view to_string(PodSecurityLevel level);

constexpr int kPodSecurityMinor = 35;  // policy version v1.35, the newest that is modelled

struct PodSecurityViolation {
  std::string_view check;               // the evaluator's id, e.g. "runAsNonRoot"
  std::string_view reason;              // as it says it
  std::vector<std::string> containers;  // names, "" for the Pod itself
};

struct PodSecurityVerdict {
  std::vector<PodSecurityViolation> violations;
  bool allowed() const { return violations.empty(); }
  std::string reason() const;  // comma-separated, as in the API server's message
};

// Where a document's Pod stands: its metadata and spec. Absent for kinds that the evaluator does
// not know (it allows them: only the Pods made of them are judged).
struct PodPlace {
  View metadata, spec;
  bool is_pod = false;  // a Pod itself, not a template: host ports are defaulted
  explicit operator bool() const { return spec.present() || metadata.present() || known; }
  bool known = false;
};
PodPlace find_pod(View document);

// `level` is kBaseline or kRestricted; `minor` as in "v1.<minor>".
PodSecurityVerdict judge_pod(const PodPlace& pod, PodSecurityLevel level,
                             int minor = kPodSecurityMinor);
// The highest level that allows it.
PodSecurityLevel pod_level(const PodPlace& pod, int minor = kPodSecurityMinor);

}  // namespace pare::audit
