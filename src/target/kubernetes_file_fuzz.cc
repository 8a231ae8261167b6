// Any bytes as a Kubernetes file.
#include "target/fuzz_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return pare::target::fuzz_files(data, size);
}
