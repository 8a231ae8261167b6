// Which arguments of a call a profile may be narrowed to.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "evidence/evidence.h"
#include "privilege/policy.h"

namespace pare::prove {

// For calls of which every use was recorded with its arguments: socket families, clone flags that
// make namespaces, personalities. `wide`: calls that are not narrowed (a trial was refused one).
std::vector<privilege::SeccompArgument> seen_arguments(
    const std::vector<evidence::Evidence>& baselines, const std::set<std::string>& wide);

}  // namespace pare::prove
