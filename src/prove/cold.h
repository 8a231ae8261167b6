// What only a cold start may need: volumes as the user has them, nothing downloaded yet.
#pragma once

#include <set>

#include "prove/universe.h"

namespace pare::prove {

// What the cold baseline used and `choice` withholds, as long as that run changed a volume: else a
// cold start is like any other. Groups are among them: what the first baseline made with their help
// belongs to the server's uid ever after.
std::set<Privilege> only_when_cold(const Universe& universe, const Choice& choice);

}  // namespace pare::prove
