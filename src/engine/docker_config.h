// A Target under a Policy as the body of POST /containers/create. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
#include "engine/engine.h"

namespace pare::engine {

struct DockerContainerRequest {
  const target::Target& target;  // resolved
  const privilege::Policy& policy;
  const privilege::Platform& platform;
  const CreateOptions& options;
  std::string session;
  std::string image_id;
  std::string seccomp_profile;  // text of target.seccomp_file
  bool podman = false;          // who reads it
};

// Everything that the daemon could decide by itself is said. kUsage for an option of the target
// that the API cannot be told (--gpus, --memory, ...).
Result<nlohmann::json> docker_container(const DockerContainerRequest& request);

// --gpus as DeviceRequests (docker/cli opts/gpus.go).
Result<nlohmann::json> docker_gpus(const std::string& gpus);

}  // namespace pare::engine
