// The beginning of a tar archive, as a container's archive is read.
#include <cstdint>
#include <string_view>

#include "engine/docker_tar.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto entry = pare::engine::first_tar_entry(bytes);
  if (entry && *entry && (*entry)->offset > size) __builtin_trap();
  return 0;
}
