// Every reader on any bytes, under each kind of name: no crash, and every format can say it.
#include "audit/audit.h"
#include "audit/format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pare::audit;
  static const char* kNames[] = {"a.yaml", "Dockerfile", "run.sh", "README.md", "-"};
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  Audit audit = audit_files({{kNames[data[0] % 5], text}}, {});
  static const Format kFormats[] = {Format::kText,  Format::kJson,   Format::kSarif,
                                    Format::kJunit, Format::kGithub, Format::kMarkdown};
  if (!audit.models[0]->unread.empty()) return 0;
  format_audit(audit, kFormats[data[0] / 5 % 6], {});
  return 0;
}

// libfyaml 0.7.12 leaks a buffer of fy_atom_format_text on some long scalars.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libfyaml\n";
}
