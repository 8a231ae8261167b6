// Bytes as they may stand in a UDP datagram.
#include <cstdint>

#include "record/dns.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto message = pare::record::parse_dns({reinterpret_cast<const char*>(data), size});
  if (message && message->questions.empty()) __builtin_trap();
  return 0;
}
