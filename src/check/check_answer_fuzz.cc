// What servers answer is outside data.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "check/event_stream.h"
#include "check/grpc.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  size_t bytes = 0;
  for (const auto& event : pare::check::event_data(text)) bytes += event.size();
  if (bytes > size) std::abort();
  auto message = pare::check::grpc_message(text);
  if (message && message->size() + 5 > size) std::abort();
  pare::check::health_status(text);
  return 0;
}
