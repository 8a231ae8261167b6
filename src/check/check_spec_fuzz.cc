// The check specs are outside data: command lines, files, pasted curl lines.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "check/spec_parts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  auto read = [](const std::string& path) { return pare::Result<std::string>("{" + path + "}"); };
  auto spec = pare::check::parse_spec(text, read);
  if (!spec) return 0;
  // Whatever was accepted can be run and named.
  bool whole = !spec->name.empty() && !spec->text.empty() && spec->batch > 0 && spec->repeat > 0 &&
               (spec->kind == "exec" ? !spec->argv.empty() : spec->port != 0);
  if (!whole) std::abort();
  return 0;
}
