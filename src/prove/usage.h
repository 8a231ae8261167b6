// How a run's evidence shows that a privilege was exercised.
#pragma once

#include <string>

#include "evidence/evidence.h"
#include "prove/universe.h"

namespace pare::prove {

void mark_use(Element& element, const evidence::Evidence& evidence, const privilege::Policy& asked);

// One use: by what, the fact's id, and whether after readiness.
void note_use(Element& element, const std::string& by, const std::string& id, bool serve);

// Whether the run reached another host.
bool reaches_out(const evidence::Evidence& evidence);

}  // namespace pare::prove
