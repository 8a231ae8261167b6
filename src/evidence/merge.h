// Evidence of several replicas of one workload -> what any of them did.
#pragma once

#include <string>
#include <vector>

#include "evidence/evidence.h"

namespace pare::evidence {

// Commutative, associative and idempotent: the order, grouping and repetition of inputs do not
// matter, merged evidence among them. So a count, a peak or a rate is the highest of any one
// replica, never a sum; a phase or a ready time the earliest; a fact is that of another replica
// when all that tells it apart is equal. `replicas` says for each fact which replicas showed it.
// Coverage is kEntry when all have it; loss is kept.
Evidence merge(const std::vector<Evidence>& inputs);

// Names one run: the digest of its evidence.
std::string replica_id(const Evidence& evidence);

}  // namespace pare::evidence
