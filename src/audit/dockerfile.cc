// A Dockerfile: the image that its last stage makes, as far as the text says.
#include <algorithm>
#include <map>

#include "audit/input.h"
#include "base/text.h"

namespace pare::audit {
namespace {

struct Instruction {
  std::string word;  // upper case
  std::string text;  // arguments, continuations joined
  Span span;
};

std::string_view line_at(std::string_view bytes, size_t at) {
  return bytes.substr(at, std::min(bytes.size(), bytes.find('\n', at)) - at);
}

// <<EOF ... EOF after RUN and COPY (Dockerfile syntax 1.4).
std::string heredoc_end(std::string_view text) {
  size_t at = text.find("<<");
  if (at == std::string_view::npos || text.substr(at, 3) == "<<<") return "";
  at += 2;
  if (at < text.size() && text[at] == '-') ++at;
  while (at < text.size() && (text[at] == '"' || text[at] == '\'')) ++at;
  size_t end = at;
  while (end < text.size() &&
         (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_')) {
    ++end;
  }
  return std::string(text.substr(at, end - at));
}

std::vector<Instruction> parse(std::string_view bytes) {
  std::vector<Instruction> result;
  for (size_t at = 0; at < bytes.size();) {
    std::string_view line = line_at(bytes, at);
    size_t begin = at + std::min(line.size(), line.find_first_not_of(" \t\r"));
    at += line.size() + 1;
    std::string_view words = base::trim(line);
    if (words.empty() || words[0] == '#') continue;
    Instruction instruction;
    size_t space = std::min(words.size(), words.find_first_of(" \t"));
    instruction.word = base::upper(words.substr(0, space));
    std::string text(words.substr(space));
    while (!text.empty() && (text.back() == '\\' || text.back() == '`') && at <= bytes.size()) {
      text.back() = ' ';
      std::string_view more = line_at(bytes, std::min(at, bytes.size()));
      at += more.size() + 1;
      std::string_view content = base::trim(more);
      if (!content.empty() && content[0] == '#') {
        text += '\\';  // a comment inside a continuation continues it
        if (at >= bytes.size()) text.pop_back();
        if (at >= bytes.size()) break;
        continue;
      }
      text += content;
    }
    if (instruction.word == "RUN" || instruction.word == "COPY") {
      std::string end = heredoc_end(text);
      while (!end.empty() && at < bytes.size()) {
        std::string_view more = line_at(bytes, at);
        at += more.size() + 1;
        if (base::trim(more) == end) break;
        text += "\n";
        text += more;
      }
    }
    instruction.text = std::string(base::trim(text));
    size_t last = std::min(bytes.size(), at == 0 ? 0 : at - 1);
    instruction.span = {begin, std::max(begin, last)};
    result.push_back(std::move(instruction));
  }
  return result;
}

// ["a", "b"] or a shell command.
std::vector<std::string> exec_words(const std::string& text) {
  if (text.empty() || text[0] != '[') return {"/bin/sh", "-c", text};
  std::string inside = text.substr(
      1, text.rfind(']') == std::string::npos ? std::string::npos : text.rfind(']') - 1);
  std::replace(inside.begin(), inside.end(), ',', ' ');
  return shell_words(inside);
}

struct Stage {
  std::string base;
  Container container;
};

void take_env(const Instruction& i, Container* c) {
  std::vector<std::string> words = shell_words(i.text);
  if (words.empty()) return;
  if (words[0].find('=') == std::string::npos) {
    std::string value = words.size() > 1 ? words[1] : "";
    c->env.push_back({words[0], value, false, has_variable(value), {i.span, kNoNode}});
    if (i.word == "ARG") c->env.back().value = std::nullopt;
    return;
  }
  for (const std::string& word : words) {
    size_t equals = word.find('=');
    std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    c->env.push_back(
        {word.substr(0, equals), value, false, has_variable(value), {i.span, kNoNode}});
  }
}

void take(const Instruction& i, Container* c) {
  Place place{i.span, kNoNode};
  if (i.word == "ENV" || i.word == "ARG") return take_env(i, c);
  if (i.word == "USER") {
    c->user = {i.text, place, has_variable(i.text)};
  } else if (i.word == "EXPOSE") {
    for (const std::string& word : shell_words(i.text)) {
      for (PortEntry& entry : parse_ports(word)) {
        entry.published = false;
        entry.place = place;
        c->ports.push_back(std::move(entry));
      }
    }
  } else if (i.word == "ENTRYPOINT" || i.word == "CMD") {
    if (i.word == "ENTRYPOINT") c->command.clear();
    for (std::string& word : exec_words(i.text)) c->command.push_back(std::move(word));
    c->command_place = place;
  } else if (i.word == "HEALTHCHECK") {
    c->readiness = c->liveness = i.text != "NONE";
  } else if (i.word == "RUN" || i.word == "ADD" || i.word == "COPY") {
    c->build_steps.push_back({i.word + " " + i.text, place});
  }
}
}  // namespace

void read_dockerfile(const SourceFile& file, size_t index, FileModel* model) {
  if (auto bad = check_encoding(file.bytes)) {
    model->unread.push_back(*bad);
    return;
  }
  std::map<std::string, Stage> stages;
  Stage current;
  bool any = false;
  size_t count = 0;
  for (const Instruction& i : parse(file.bytes)) {
    if (i.word == "FROM") {
      std::vector<std::string> words = shell_words(i.text);
      words.erase(std::remove_if(words.begin(), words.end(),
                                 [](const std::string& w) { return w.substr(0, 2) == "--"; }),
                  words.end());
      std::string base_image = words.empty() ? "" : words[0];
      auto earlier = stages.find(base::lower(base_image));
      current = earlier == stages.end() ? Stage() : earlier->second;
      if (earlier == stages.end()) {
        current.container.image = {base_image, {i.span, kNoNode}, has_variable(base_image)};
      }
      current.container.place = {i.span, kNoNode};
      std::string name = words.size() > 2 ? base::lower(words[2]) : "";
      current.base = name.empty() ? std::to_string(count) : name;
      ++count;
      any = true;
    } else if (any) {
      take(i, &current.container);
    }
    if (any) stages[current.base] = current;
  }
  DocumentNote note{index, 0, {}, "Dockerfile", file.name, any, ""};
  if (!any) {
    note.why = "no FROM";
    model->unread.push_back({0, "a Dockerfile without FROM"});
    return;
  }
  Workload w;
  w.platform = Platform::kDockerfile;
  w.file = index;
  w.kind = "Dockerfile";
  size_t slash = file.name.rfind('/');
  w.name = slash == std::string::npos ? file.name : file.name.substr(slash + 1);
  w.place = current.container.place;
  note.place = w.place;
  note.name = w.name;
  current.container.name = w.name;
  finish_container(&current.container);
  w.containers.push_back(std::move(current.container));
  model->notes.push_back(std::move(note));
  model->workloads.push_back(std::move(w));
  model->slots.push_back(kNoSlot);
}

}  // namespace pare::audit
