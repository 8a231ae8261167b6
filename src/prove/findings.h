// What a proof tells besides its verdicts.
#pragma once

#include <string>

#include "prove/answer.h"

namespace pare::prove {

// What the baseline's record lacks, one clause; empty when it is whole or there is none.
std::string loss_clause(const Universe& universe, const Answer& answer);

// Findings and assumptions: what the baseline itself fails, flakiness, loss, ways to refuse egress,
// and what is slower than before.
void add_findings(const Ledger& ledger, const Answer& answer, const std::string& loss,
                  verdict::Proof& proof);

}  // namespace pare::prove
