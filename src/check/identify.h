#pragma once

#include "check/check.h"

namespace pare::check {

// identify() on a thread that is in the subject's namespace already.
Identity identify_here(const Subject& subject, uint16_t port);

}  // namespace pare::check
