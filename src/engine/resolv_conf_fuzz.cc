#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/oci_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  std::string out = pare::engine::container_resolv_conf(text);
  // What it writes, it would write again.
  if (pare::engine::container_resolv_conf(out) != out) __builtin_trap();
  return 0;
}
