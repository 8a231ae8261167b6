// A manifest lies in a volume that others may have written: it is read whole or refused, and what
// is read comes back from its own text.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "prepare/manifest.h"
#include "prepare/spec.h"

// libfyaml 0.7.12 leaks a buffer on some long scalars.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libfyaml";
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  auto manifest = pare::prepare::parse_manifest(text, "fuzz");
  if (manifest) {
    auto again = pare::prepare::parse_manifest(to_text(*manifest), "again");
    if (!again || again->files != manifest->files || again->links != manifest->links) abort();
  }
  (void)pare::prepare::parse_spec(text, "fuzz");
  return 0;
}
