// Live progress on stderr: which trial, what was taken away, how it ended.
#pragma once

#include "prove/prover.h"

namespace pare::cli {

// True where stderr is a terminal and NO_COLOR (no-color.org) is unset.
bool colour_on_stderr();
bool colour_on_stdout();
// Columns of the terminal on `fd`, 100 where it is none.
int terminal_width(int fd);

prove::Observer progress_observer();

}  // namespace pare::cli
