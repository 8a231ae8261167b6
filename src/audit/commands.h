// `docker run` lines with the bytes of each word, so that fixes can edit them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audit/yaml.h"

namespace pare::audit {

struct ShellWord {
  std::string text;  // quotes taken off, nothing expanded
  Span span;
  bool quoted = false;
};

struct DockerOption {
  std::string name;  // long form: "--volume"
  std::string value;
  size_t first = 0, last = 0;  // its words
};

struct DockerCommand {
  Span span;
  size_t after_run = 0;          // the byte after "run"
  std::vector<ShellWord> words;  // what follows "run"
  std::vector<DockerOption> options;
  size_t image = 0;  // index into words; words.size() when there is none
};

// All of a script, or those of a Markdown file that stand in code.
std::vector<DockerCommand> find_commands(std::string_view text, bool markdown);
void parse_options(DockerCommand* command);

}  // namespace pare::audit
