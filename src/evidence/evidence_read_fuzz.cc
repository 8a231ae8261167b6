// Any bytes as an evidence.json: what can be read is written and read back the same, and merging it
// with itself changes nothing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/json.h"
#include "evidence/merge.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pare::evidence;
  auto json = pare::base::parse_json(std::string(reinterpret_cast<const char*>(data), size), "x");
  if (!json) return 0;
  auto read = evidence_from_json(*json, "x");
  if (!read) return 0;
  const std::string written = to_json(*read).dump();
  auto again = evidence_from_json(to_json(*read), "x");
  if (!again || to_json(*again).dump() != written) abort();
  const Evidence once = merge({*read});
  if (to_json(merge({*read, once, *read})).dump() != to_json(once).dump()) abort();
  return 0;
}
