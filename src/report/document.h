// A proof as one self-contained document.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "evidence/evidence.h"
#include "verdict/verdict.h"

namespace pare::report {

// One HTML file: no scripts, nothing loaded from outside. `evidence` resolves the facts that
// verdicts refer to; nullptr: their ids alone.
std::string html(const verdict::Proof& proof, const evidence::Evidence* evidence);

// The same as GitHub-flavoured Markdown.
std::string markdown(const verdict::Proof& proof, const evidence::Evidence* evidence);

// For whoever makes the server, as Markdown: version and digest, what it tried to reach and what it
// needs, with the evidence, and the steps to repeat. `telemetry`: pare.telemetry/v1 of the same
// server, for its opt-out variables and what each kind of refusal breaks; nullptr: none.
std::string vendor(const verdict::Proof& proof, const evidence::Evidence* evidence,
                   const nlohmann::json* telemetry);

}  // namespace pare::report
