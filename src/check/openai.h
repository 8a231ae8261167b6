#pragma once

#include <string>
#include <tl/expected.hpp>

#include "check/talk.h"

namespace pare::check {

// spec.model if /v1/models lists it, or the first that it lists.
tl::expected<std::string, Attempt> find_openai_model(const Spec& spec, const Subject& subject);

}  // namespace pare::check
