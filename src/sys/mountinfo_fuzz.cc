#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sys/cgroup.h"
#include "sys/mounts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)pare::sys::mounts_below(text, "/a");
  for (const auto& hierarchy : pare::sys::cgroup_hierarchies(text)) {
    if (hierarchy.v2 && !hierarchy.controllers.empty()) __builtin_trap();
  }
  return 0;
}
