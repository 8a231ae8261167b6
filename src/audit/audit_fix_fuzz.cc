// The fixer: what it writes can be read, nothing new is found in it, and it has no more to do.
#include <cstdlib>
#include <map>

#include "audit/fix.h"

namespace {
using namespace pare::audit;

std::map<std::string, size_t> count(const Audit& audit) {
  std::map<std::string, size_t> counts;
  for (const Finding& f : audit.findings) {
    ++counts[std::string(f.rule->id) + "\n" + f.workload + "\n" + f.container];
  }
  return counts;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char* kNames[] = {"a.yaml", "run.sh", "README.md"};
  if (size == 0) return 0;
  std::string name = kNames[data[0] % 3];
  std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  Audit before = audit_files({{name, text}}, {});
  FixedFile fixed = fix_file(before, 0, {});
  if (fixed.text == text) return 0;
  Audit after = audit_files({{name, fixed.text}}, {});
  if (after.models[0]->unread.size() > before.models[0]->unread.size()) std::abort();
  std::map<std::string, size_t> had = count(before);
  for (const auto& [key, number] : count(after)) {
    if (number > had[key]) std::abort();
  }
  if (fix_file(after, 0, {}).text != fixed.text) std::abort();
  return 0;
}

// libfyaml 0.7.12 leaks a buffer of fy_atom_format_text on some long scalars.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libfyaml\n";
}
