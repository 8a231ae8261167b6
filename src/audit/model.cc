#include "audit/model.h"

#include <algorithm>

#include "base/text.h"

namespace pare::audit {

std::string_view to_string(Platform platform) {
  switch (platform) {
    case Platform::kKubernetes:
      return "kubernetes";
    case Platform::kCompose:
      return "compose";
    case Platform::kDockerRun:
      return "docker";
    case Platform::kDockerfile:
      return "dockerfile";
    case Platform::kImage:
      return "image";
  }
  return "";
}

const EnvEntry* Container::find_env(std::string_view wanted) const {
  for (const EnvEntry& entry : env) {
    if (entry.name == wanted) return &entry;
  }
  return nullptr;
}

std::string Container::command_line() const {
  return base::join(command, " ");
}

bool selects(const std::map<std::string, std::string>& selector,
             const std::map<std::string, std::string>& labels) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& pair) {
    auto found = labels.find(pair.first);
    return found != labels.end() && found->second == pair.second;
  });
}

}  // namespace pare::audit
