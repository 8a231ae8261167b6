// proof.json of any bytes: read or refused; what was read is written and read the same again.
#include <cstdint>
#include <cstdlib>

#include "verdict/verdict.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pare;
  auto json =
      base::parse_json(std::string(reinterpret_cast<const char*>(data), size), "proof.json");
  if (!json) return 0;
  auto proof = verdict::proof_from_json(*json, "proof.json");
  if (!proof) return 0;
  base::Json written = verdict::to_json(*proof);
  auto again = verdict::proof_from_json(written, "proof.json");
  if (!again || verdict::to_json(*again) != written) std::abort();
  return 0;
}
