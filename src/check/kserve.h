#pragma once

#include <string>
#include <vector>

#include "check/talk.h"

namespace pare::check {

// The ready models that the server lists (Triton's and MLServer's POST /v2/repository/index, which
// changes nothing); empty where it does not tell.
std::vector<std::string> kserve_models(const Spec& spec, const Subject& subject);

}  // namespace pare::check
