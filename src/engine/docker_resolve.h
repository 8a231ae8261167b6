// What a `docker run` line leaves to the image: its config, users and programs.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "engine/docker_image.h"
#include "target/target.h"

namespace pare::engine {

// The answer of GET /images/NAME/json, without passwd.
Result<target::ImageFacts> image_facts(const nlohmann::json& image);

// Fills argv, resolved_user, facts.passwd; adds the image's volumes and, for --publish-all, its
// ports. kUsage: no command, a program or a user that the image does not have.
Status resolve_target(target::Target& target, const ImageView& image);

// The image's VOLUMEs where the target has nothing of its own, as anonymous volumes.
void add_image_volumes(target::Target& target);
// Exposed ports, the image's and the target's, as published ones.
Status publish_all(target::Target& target);

}  // namespace pare::engine
