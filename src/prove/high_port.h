// A port that any uid may bind, by the server's own setting.
#pragma once

#include "prove/universe.h"
#include "verdict/verdict.h"

namespace pare::prove {

// By the words or variables that hold the number today, else by what the server's family is known
// for. Empty unless it moves every port of the baseline that is below the first free one.
Switches move_ports(const Universe& universe);

// What universe.port_move() says to people and emitters.
verdict::Fix move_fix(const Universe& universe);

}  // namespace pare::prove
