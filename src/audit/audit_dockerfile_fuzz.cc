// Dockerfiles, of any bytes.
#include "audit/fuzz_read.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return pare::audit::fuzz_read("Dockerfile", data, size);
}
