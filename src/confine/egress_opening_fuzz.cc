#include <cstddef>
#include <cstdint>

#include "confine/egress_opening.h"
#include "confine/egress_rules.h"

// What a container sends first, and what people write as rules.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)pare::confine::server_name(bytes);
  if (auto exception = pare::confine::parse_exception(bytes)) {
    auto again = pare::confine::parse_exception(to_string(*exception));
    if (!again || *again != *exception) __builtin_trap();
  }
  return 0;
}
