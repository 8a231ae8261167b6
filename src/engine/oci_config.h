// config.json of the OCI runtime specification 1.0.2, from a Target under a Policy on a Platform.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace pare::engine {

// A file that the engine itself provides, bound over what the image has (/etc/hosts).
struct ProvidedFile {
  std::string source;  // on the host
  std::string path;    // in the container
};

nlohmann::json oci_config(const target::Target& target, const privilege::Policy& policy,
                          const privilege::Platform& platform, const CreateOptions& options,
                          const std::string& rootfs, const std::vector<ProvidedFile>& files);

// "NAME=value": the image's, the target's, PATH and HOSTNAME as Docker adds them, the policy's.
std::vector<std::string> effective_env(const target::Target& target,
                                       const privilege::Policy& policy);
std::string effective_workdir(const target::Target& target);
// The target's name where that is a host name (RFC 1123), else "container".
std::string effective_hostname(const target::Target& target);

// A device as docker's --device spells it: HOST[:CONTAINER[:PERMISSIONS]].
struct DeviceSpec {
  std::string host, path, access = "rwm";
};
DeviceSpec parse_device(const std::string& text);

bool shares_host(const privilege::Policy& policy, std::string_view name);

}  // namespace pare::engine
