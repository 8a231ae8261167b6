// The first bytes of a connection come from what runs in the pull's container.
#include <cstdint>
#include <cstdlib>

#include "confine/pull.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  using pare::confine::ServerName;
  ServerName all = pare::confine::server_name(bytes);
  if ((all.kind == ServerName::Kind::kName) == all.name.empty()) abort();
  // A shorter beginning never gives another name.
  ServerName half = pare::confine::server_name(bytes.substr(0, size / 2));
  if (half.kind == ServerName::Kind::kName && half.name != all.name) abort();
  return 0;
}
