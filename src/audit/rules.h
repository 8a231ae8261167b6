// The rules: one table row each. A rule's function looks at one workload and adds findings.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/edit.h"
#include "audit/input.h"
#include "audit/model.h"
#include "verdict/verdict.h"

namespace pare::audit {

enum class Severity : uint8_t { kInfo, kLow, kMedium, kHigh, kCritical };
std::string_view to_string(Severity severity);
std::optional<Severity> parse_severity(std::string_view text);

struct Rule;

// What would remove a finding.
struct Remedy {
  std::vector<Operation> operations;  // empty: nothing that can be edited safely
  std::string breaks;                 // what the change can break; empty: nothing known
  std::string why_not;                // with no operations: why
};

struct Finding {
  const Rule* rule = nullptr;
  Severity severity = Severity::kInfo;
  size_t file = 0, document = 0;
  size_t slot = kNoSlot;  // of the file's parsed documents
  Span span;
  std::string workload, container;
  std::string message;
  std::string evidence;  // of a proof, for findings against it
  Remedy remedy;
  bool suppressed = false;
  std::string suppression;  // the reason given
  bool fixable() const { return !remedy.operations.empty(); }
};

// Everything that was read, for rules that look across objects.
struct Everything {
  std::vector<const SourceFile*> files;
  std::vector<const FileModel*> models;
  std::vector<const ServiceObject*> services;
  std::vector<const PolicyObject*> policies;
  const verdict::Proof* proof = nullptr;
};

// What one rule sees of one workload, and where it puts its findings.
class Scope {
 public:
  Scope(const Everything& all, const Workload& workload, size_t slot, std::vector<Finding>* out)
      : all_(all), workload_(workload), slot_(slot), out_(out) {}
  const Everything& all() const { return all_; }
  const Workload& workload() const { return workload_; }
  const FileModel& model() const { return *all_.models[workload_.file]; }
  const ParsedDocument* document() const {
    return slot_ == kNoSlot ? nullptr : &model().documents[slot_];
  }
  std::string_view bytes() const { return all_.files[workload_.file]->bytes; }
  bool kubernetes() const { return workload_.platform == Platform::kKubernetes; }
  // Docker's own words: compose or a docker run line.
  bool docker() const {
    return workload_.platform == Platform::kCompose || workload_.platform == Platform::kDockerRun;
  }
  bool compose() const { return workload_.platform == Platform::kCompose; }

  void set_rule(const Rule& rule) { rule_ = &rule; }
  Finding& add(const Container* container, const Place& place, std::string message);
  Finding& last() { return out_->back(); }  // the one that was added last

 private:
  const Everything& all_;
  const Workload& workload_;
  size_t slot_;
  std::vector<Finding>* out_;
  const Rule* rule_ = nullptr;
};

using RuleFunction = void (*)(Scope& scope);

constexpr unsigned kOnKubernetes = 1, kOnCompose = 2, kOnDockerRun = 4, kOnDockerfile = 8,
                   kOnImage = 16,
                   kOnManaged = 32;  // an operator's resource: the Pod is not in the file
constexpr unsigned kOnDocker = kOnCompose | kOnDockerRun;
constexpr unsigned kOnRun = kOnKubernetes | kOnDocker;
constexpr unsigned kOnAll = kOnRun | kOnDockerfile | kOnImage;
constexpr unsigned kOnServer = kOnAll | kOnManaged;

struct Rule {
  std::string_view id;    // "PARE001", never reused
  std::string_view name;  // "privileged"
  std::string_view axis;  // as in privileges and proofs
  unsigned platforms;
  Severity severity;
  std::string_view title;
  std::string_view gain;    // what an attacker gains
  std::string_view source;  // where that is known from
  std::string_view fix;
  std::string_view breaks;  // what the fix may break
  std::string_view cis;     // CIS Docker (D) and Kubernetes (K) Benchmark sections
  std::string_view nist;    // NIST SP 800-190 section
  std::string_view pss;     // Pod Security level and check it belongs to
  RuleFunction function;    // nullptr: found by other means (the file's own flaws, --against)
};

const std::vector<Rule>& rule_table();
// By id or name, any case. nullptr when unknown.
const Rule* find_rule(std::string_view text);
std::vector<std::string> platform_names(unsigned platforms);

// True where the rule's platforms include the workload's.
bool applies(const Rule& rule, const Workload& workload);

}  // namespace pare::audit
