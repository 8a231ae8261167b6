// Any bytes as a Kubernetes file: workloads or an error, in bounded time, never a crash.
#include <cstddef>
#include <cstdint>

#include "target/files.h"

// libfyaml 0.7.12 leaks what it allocated for some inputs that it refuses.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libfyaml";
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pare::target::FileOptions options;
  options.environment = {{"HOME", "/root"}, {"TAG", "1"}};
  options.binds = {{"pvc/models", "/srv/models"}, {"volume/data", "/srv/data"}};
  options.secrets = {{"TOKEN", "value"}};
  // A file that is named is the file itself: extends and include meet their own text.
  std::string text(reinterpret_cast<const char*>(data), size);
  options.read_file = [&](const std::string& path) -> pare::Result<std::string> {
    if (path == ".env") return pare::fail(pare::ErrorKind::kUsage, "no such file");
    return text;
  };
  options.not_to_run = size % 2 == 0;
  auto workloads = pare::target::read_target_files({{"f.yaml", text}}, options);
  if (!workloads) return 0;
  for (const pare::target::Workload& workload : *workloads) {
    auto platform = pare::privilege::find_platform(workload.platform);
    if (!workload.refused) (void)pare::target::asked_policy(workload.target, *platform);
  }
  (void)pare::target::choose_workload(std::move(*workloads), "");
  return 0;
}
