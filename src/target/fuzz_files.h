// What the fuzz targets of the file readers share: any bytes as a file become workloads or an
// error, in bounded time, never a crash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "target/files.h"

namespace pare::target {

inline int fuzz_files(const uint8_t* data, size_t size) {
  FileOptions options;
  options.environment = {{"HOME", "/root"}, {"TAG", "1"}};
  options.binds = {{"pvc/models", "/srv/models"}, {"volume/data", "/srv/data"}};
  options.secrets = {{"TOKEN", "value"}};
  // A file that is named is the file itself: extends and include meet their own text.
  std::string text(reinterpret_cast<const char*>(data), size);
  options.read_file = [&](const std::string& path) -> Result<std::string> {
    if (path == ".env") return fail(ErrorKind::kUsage, "no such file");
    return text;
  };
  options.not_to_run = size % 2 == 0;
  auto workloads = read_target_files({{"f.yaml", text}}, options);
  if (!workloads) return 0;
  for (const Workload& workload : *workloads) {
    auto platform = privilege::find_platform(workload.platform);
    if (!workload.refused) (void)asked_policy(workload.target, *platform);
  }
  (void)choose_workload(std::move(*workloads), "");
  return 0;
}

}  // namespace pare::target

// libfyaml 0.7.12 leaks what it allocated for some inputs that it refuses.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libfyaml";
}
