// What a proof tells besides its verdicts.
#pragma once

#include <string>
#include <vector>

#include "prove/answer.h"

namespace pare::prove {

// What the baseline's record lacks, one clause; empty when it is whole or there is none.
std::string loss_clause(const Universe& universe, const Answer& answer);

// Findings and assumptions: what the baseline itself fails, flakiness, loss, ways to refuse egress,
// and what is slower than before.
void add_findings(const Ledger& ledger, const Answer& answer, const std::string& loss,
                  verdict::Proof& proof);

// One for each path that answers and that no check asks for: no client needs it, closed or not.
std::vector<verdict::Verdict> endpoint_verdicts(const Universe& universe, const Ledger& ledger,
                                                const Answer& answer);
// Which server it is, what its own switches do, and what was left as it is.
void add_settings(const Universe& universe, const Answer& answer, verdict::Proof& proof);

}  // namespace pare::prove
