// A proof as one self-contained document.
#pragma once

#include <string>

#include "evidence/evidence.h"
#include "verdict/verdict.h"

namespace pare::report {

// One HTML file: no scripts, nothing loaded from outside. `evidence` resolves the facts that
// verdicts refer to; nullptr: their ids alone.
std::string html(const verdict::Proof& proof, const evidence::Evidence* evidence);

// The same as GitHub-flavoured Markdown.
std::string markdown(const verdict::Proof& proof, const evidence::Evidence* evidence);

}  // namespace pare::report
