// What the recorder cannot know by itself: who owns the paths, what the ports speak, what the log
// says over and over.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "evidence/evidence.h"
#include "target/target.h"

namespace pare::trial {

using VolumePath = std::function<std::string(const std::string&)>;

// Owner of each path, or of its nearest parent that exists; from volumes, else from the image.
void annotate_owners(evidence::Evidence& evidence, engine::Engine& engine,
                     const target::Target& target, const VolumePath& volume_path);
// `identities` hold port, speaks, role, endpoints and server; facts of the same port get them.
void annotate_listeners(evidence::Evidence& evidence,
                        const std::vector<evidence::ListenerFact>& identities);
// Rate of the log over `span`, and lines that recur more than 10 times (digits folded).
void annotate_log(evidence::Evidence& evidence, const std::string& path,
                  std::chrono::milliseconds span);

}  // namespace pare::trial
