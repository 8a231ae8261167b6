// What the fuzz target of each reader shares: no crash, and every format can say what was found.
#pragma once

#include <string>

#include "audit/audit.h"
#include "audit/format.h"

namespace pare::audit {

// The first byte chooses the format, the rest is the file.
inline int fuzz_read(const char* name, const uint8_t* data, size_t size) {
  static const Format kFormats[] = {Format::kText,  Format::kJson,   Format::kSarif,
                                    Format::kJunit, Format::kGithub, Format::kMarkdown};
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  Audit audit = audit_files({{name, text}}, {});
  if (audit.models[0]->unread.empty()) format_audit(audit, kFormats[data[0] % 6], {});
  return 0;
}

}  // namespace pare::audit

// libfyaml 0.7.12 leaks a buffer of fy_atom_format_text on some long scalars.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libfyaml\n";
}
