// Images without a daemon: an OCI layout or a docker archive becomes a root file system, through
// skopeo and umoci, kept below the state root by the image's digest.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "target/target.h"

namespace pare::engine {

// "oci:DIR[:TAG]" or "docker-archive:FILE[:REF]" (containers-transports(5)).
bool is_image_file(std::string_view reference);

// The target with its image unpacked: kind, rootfs, facts (digest, entry point, user, environment,
// working directory, volumes, exposed ports) and the volumes and ports that follow from them. Its
// reference has to be one of the above. kUsage: no such image in it; kHost: skopeo or umoci is not
// installed, or failed. cache: "images" below the state root; work: of this session.
Result<target::Target> unpack_image(const target::Target& target, const std::string& cache,
                                    const std::string& work);

}  // namespace pare::engine
