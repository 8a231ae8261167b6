// A command line in a check, split as a POSIX shell would, without ever running one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pare::check {

struct Word {
  std::string value;     // quotes removed
  std::string_view raw;  // as written, within the text that was split
};

struct Command {
  std::vector<Word> words;
  std::string_view rest;  // after the first unquoted ';', without it; empty: there was none
};

// Quotes ('', "" with \" \\ \$ \`) and backslashes are understood. What only a shell can do (|, &,
// <, >, backquotes, $NAME, parentheses) is kUsage naming the character, as is an open quote.
Result<Command> split_command(std::string_view text);

}  // namespace pare::check
