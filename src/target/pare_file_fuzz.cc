// Any bytes as a pare.yaml: options or an error, never a crash.
#include <cstddef>
#include <cstdint>

#include "target/pare_file.h"

// libfyaml 0.7.12 leaks what it allocated for some inputs that it refuses.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libfyaml";
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pare::target::SourceFile file{"d/pare.yaml",
                                std::string(reinterpret_cast<const char*>(data), size)};
  (void)pare::target::is_pare_file(file);
  (void)pare::target::read_pare_file(file);
  return 0;
}
