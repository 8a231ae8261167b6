// `docker run` lines (also podman's and nerdctl's) in shell scripts and Markdown.
#include "audit/commands.h"

#include <algorithm>
#include <array>

#include "audit/input.h"
#include "base/text.h"

namespace pare::audit {
namespace {

// Options of `docker run` that take no value (docker run --help, 27.0).
constexpr std::array<std::string_view, 16> kFlags = {"--detach",
                                                     "--disable-content-trust",
                                                     "--help",
                                                     "--init",
                                                     "--interactive",
                                                     "--no-healthcheck",
                                                     "--oom-kill-disable",
                                                     "--privileged",
                                                     "--publish-all",
                                                     "--quiet",
                                                     "--read-only",
                                                     "--rm",
                                                     "--sig-proxy",
                                                     "--tty",
                                                     "--replace",
                                                     "--rmi"};
constexpr std::string_view kShortFlags = "ditPq";
struct Long {
  char letter;
  std::string_view name;
};
constexpr std::array<Long, 12> kLong = {{{'v', "--volume"},
                                         {'p', "--publish"},
                                         {'e', "--env"},
                                         {'u', "--user"},
                                         {'h', "--hostname"},
                                         {'w', "--workdir"},
                                         {'m', "--memory"},
                                         {'l', "--label"},
                                         {'c', "--cpu-shares"},
                                         {'P', "--publish-all"},
                                         {'i', "--interactive"},
                                         {'a', "--attach"}}};

std::string_view long_name(char letter) {
  for (const Long& row : kLong) {
    if (row.letter == letter) return row.name;
  }
  return "";
}

bool takes_value(std::string_view name) {
  return std::find(kFlags.begin(), kFlags.end(), name) == kFlags.end();
}

bool ends_command(char c) {
  return c == ';' || c == '|' || c == '&' || c == '>' || c == '<' || c == ')' || c == '`';
}

// One word from `at`, which is no blank. Continuations are blanks.
ShellWord take_word(std::string_view text, size_t* at) {
  ShellWord word;
  word.span.begin = *at;
  char quote = 0;
  int depth = 0;  // inside ${...} or $(...)
  for (; *at < text.size(); ++*at) {
    char c = text[*at];
    if (quote == 0 && depth == 0 &&
        (c == ' ' || c == '\t' || c == '\n' || c == '\r' ||
         (ends_command(c) && c != '<' && c != '>'))) {
      break;
    }
    if (quote == 0 && depth == 0 && (c == '<' || c == '>')) {
      if (c == '>' && word.text.find('<') == std::string::npos) break;
    }
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
      word.quoted = true;
    } else if (quote != 0 && c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'' && *at + 1 < text.size()) {
      char next = text[*at + 1];
      if (next == '\n' || next == '\r') {
        if (quote == 0) break;
        ++*at;
      } else {
        word.text += next;
        ++*at;
      }
    } else {
      if (c == '$' && quote != '\'' && *at + 1 < text.size() &&
          (text[*at + 1] == '{' || text[*at + 1] == '(')) {
        ++depth;
        word.text += c;
        c = text[++*at];
      } else if ((c == '}' || c == ')') && depth > 0) {
        --depth;
      }
      word.text += c;
    }
  }
  word.span.end = *at;
  return word;
}

size_t skip_blanks(std::string_view text, size_t at) {
  while (at < text.size()) {
    if (text[at] == ' ' || text[at] == '\t') {
      ++at;
    } else if (text[at] == '\\' &&
               (text.substr(at + 1, 1) == "\n" || text.substr(at + 1, 2) == "\r\n")) {
      at += text[at + 1] == '\n' ? 2 : 3;
    } else {
      break;
    }
  }
  return at;
}

bool word_boundary(std::string_view text, size_t at) {
  return at == 0 ||
         std::string_view(" \t\n`$(;&|\"'!").find(text[at - 1]) != std::string_view::npos;
}

// Where "docker run" (docker container run, podman run, nerdctl run) begins, and where its words
// do.
struct Start {
  size_t begin = std::string_view::npos, words = 0;
};

// The word that ends right before the blanks before `at`; its begin, or npos.
size_t word_before(std::string_view text, size_t at, std::string_view word) {
  size_t end = at;
  while (end > 0 && (text[end - 1] == ' ' || text[end - 1] == '\t')) --end;
  if (end == at || end < word.size()) return std::string_view::npos;
  return text.substr(end - word.size(), word.size()) == word ? end - word.size()
                                                             : std::string_view::npos;
}

Start next_start(std::string_view text, size_t from) {
  for (size_t at = text.find("run", from); at != std::string_view::npos;
       at = text.find("run", at + 1)) {
    size_t after = at + 3;
    if (after < text.size() &&
        std::string_view(" \t\\\r\n").find(text[after]) == std::string_view::npos) {
      continue;
    }
    size_t middle = word_before(text, at, "container");
    for (std::string_view tool : {"docker", "podman", "nerdctl"}) {
      size_t begin = word_before(text, middle == std::string_view::npos ? at : middle, tool);
      if (begin != std::string_view::npos && begin >= from && word_boundary(text, begin)) {
        return {begin, after};
      }
    }
  }
  return {};
}

// Where Markdown's fences stand.
std::vector<size_t> find_fences(std::string_view text) {
  std::vector<size_t> fences;
  for (size_t line = 0; line < text.size();) {
    size_t end = std::min(text.size(), text.find('\n', line));
    std::string_view content = base::trim(text.substr(line, end - line));
    if (content.substr(0, 3) == "```" || content.substr(0, 3) == "~~~") fences.push_back(line);
    line = end + 1;
  }
  return fences;
}

// In Markdown only fenced or indented blocks, `$ ` prompts and inline code are commands.
bool in_code(std::string_view text, const std::vector<size_t>& fences, size_t at) {
  auto before = std::lower_bound(fences.begin(), fences.end(), at) - fences.begin();
  if (before % 2 == 1) return true;
  size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
  std::string_view line = text.substr(begin, at - begin);
  return line.substr(0, 4) == "    " || line.substr(0, 1) == "\t" ||
         line.find('`') != std::string_view::npos || base::trim(line) == "$";
}

bool is_comment(std::string_view text, size_t at) {
  size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
  std::string_view line = base::trim(text.substr(begin, at - begin));
  return !line.empty() && line[0] == '#';
}
}  // namespace

std::vector<DockerCommand> find_commands(std::string_view text, bool markdown) {
  std::vector<DockerCommand> commands;
  std::vector<size_t> fences;
  if (markdown) fences = find_fences(text);
  for (size_t from = 0; from < text.size();) {
    Start start = next_start(text, from);
    if (start.begin == std::string_view::npos) break;
    from = start.words;
    if (markdown ? !in_code(text, fences, start.begin) : is_comment(text, start.begin)) continue;
    DockerCommand command;
    command.span.begin = start.begin;
    command.after_run = start.words;
    size_t at = start.words;
    while (true) {
      at = skip_blanks(text, at);
      if (at >= text.size() || text[at] == '\n' || text[at] == '\r' ||
          (ends_command(text[at]) && text[at] != '<') || text[at] == '#') {
        break;
      }
      size_t before = at;
      ShellWord word = take_word(text, &at);
      if (at == before) break;
      command.words.push_back(std::move(word));
    }
    command.span.end = command.words.empty() ? start.words : command.words.back().span.end;
    parse_options(&command);
    from = std::max(from, command.span.end);
    commands.push_back(std::move(command));
  }
  return commands;
}

void parse_options(DockerCommand* command) {
  size_t i = 0;
  const auto& words = command->words;
  for (; i < words.size(); ++i) {
    const std::string& word = words[i].text;
    if (word.empty() || word[0] != '-' || word == "-" || word == "--") break;
    DockerOption option;
    option.first = option.last = i;
    std::string_view text = word;
    if (text.substr(0, 2) == "--") {
      size_t equals = text.find('=');
      option.name = text.substr(0, equals);
      if (option.name == "--net") option.name = "--network";
      if (equals != std::string_view::npos) {
        option.value = text.substr(equals + 1);
      } else if (takes_value(option.name) && i + 1 < words.size()) {
        option.value = words[++i].text;
        option.last = i;
      }
      command->options.push_back(std::move(option));
      continue;
    }
    size_t k = 1;  // bundled letters: -it, -p8000:8000
    while (k < text.size() && kShortFlags.find(text[k]) != std::string_view::npos) {
      command->options.push_back({std::string(long_name(text[k])), "", i, i});
      ++k;
    }
    if (k >= text.size()) continue;
    option.name = long_name(text[k]);
    if (option.name.empty()) option.name = std::string("-") + text[k];
    std::string_view rest = text.substr(k + 1);
    if (!rest.empty()) {
      option.value = rest.substr(rest[0] == '=' ? 1 : 0);
    } else if (i + 1 < words.size()) {
      option.value = words[++i].text;
      option.last = i;
    }
    command->options.push_back(std::move(option));
  }
  if (i < words.size() && words[i].text == "--") ++i;
  command->image = i;
}

}  // namespace pare::audit
