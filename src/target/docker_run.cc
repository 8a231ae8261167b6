#include "target/docker_run.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <iterator>

#include "base/text.h"
#include "target/docker_run_options.h"

namespace pare::target {

using docker_run::Line;
using docker_run::Row;
using docker_run::rows;

namespace {

auto usage(std::string message) {
  return fail(ErrorKind::kUsage, std::move(message));
}

const Row* find_row(std::string_view name) {
  for (const Row& row : rows()) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

const Row* find_row(char letter) {
  for (const Row& row : rows()) {
    if (row.letter == letter) return &row;
  }
  return nullptr;
}

tl::unexpected<Error> unknown_option(const std::string& name) {
  std::vector<std::string> names;
  for (const Row& row : rows()) names.emplace_back(row.name);
  std::string near = base::nearest(name, names);
  return usage("docker run option " + std::string(name.size() == 1 ? "-" : "--") + name +
               " is not supported" + (near.empty() ? "" : "; did you mean --" + near + "?"));
}

Status apply(const Row& row, Line& line, const std::string& value) {
  std::string name = "--" + std::string(row.name);
  if (!row.refused.empty()) {
    return usage("docker run option " + name + " is not supported: " + std::string(row.refused));
  }
  Status done;
  if (row.set != nullptr) {
    done = row.set(line, value);
  } else {
    line.target.kept.push_back({name, value});
  }
  if (!done) done.error().message = "docker run option " + name + ": " + done.error().message;
  return done;
}

// Reads options from words[at] on, up to the image's index, as pflag does without interspersal.
class OptionReader {
 public:
  OptionReader(Line& line, const std::vector<std::string>& words, size_t at)
      : line_(line), words_(words), at_(at) {}

  Result<size_t> read() {
    for (; at_ < words_.size(); ++at_) {
      const std::string& word = words_[at_];
      if (word == "--") return at_ + 1;
      if (word.size() < 2 || word[0] != '-') return at_;
      PARE_CHECK_OK(word[1] == '-' ? long_option(word) : letters(word));
    }
    return at_;
  }

 private:
  Status long_option(const std::string& word) {
    size_t equals = word.find('=');
    std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const Row* row = find_row(name);
    if (row == nullptr) return unknown_option(name);
    if (equals != std::string::npos) return give(*row, word.substr(equals + 1));
    if (!row->takes_value) return give(*row, "true");
    return give_next(*row);
  }

  // "-it", "-p8000:8000", "-itp 80", "-e=A=B" (pflag drops one '=').
  Status letters(const std::string& word) {
    for (size_t i = 1; i < word.size(); ++i) {
      const Row* row = find_row(word[i]);
      if (row == nullptr) return unknown_option(std::string(1, word[i]));
      bool equals = i + 1 < word.size() && word[i + 1] == '=';
      if (equals) return give(*row, word.substr(i + 2));
      if (row->takes_value) {
        return i + 1 < word.size() ? give(*row, word.substr(i + 1)) : give_next(*row);
      }
      PARE_CHECK_OK(give(*row, "true"));
    }
    return {};
  }

  Status give_next(const Row& row) {
    if (at_ + 1 >= words_.size()) {
      return usage("docker run option --" + std::string(row.name) + " lacks its value");
    }
    ++at_;
    return give(row, words_[at_]);
  }

  Status give(const Row& row, const std::string& value) {
    line_.masked.clear();
    PARE_CHECK_OK(apply(row, line_, value));
    if (!line_.masked.empty()) {
      // The value ends the word that it stands in.
      std::string& written = line_.target.written[at_];
      written = written.substr(0, written.size() - value.size()) + line_.masked;
    }
    return {};
  }

  Line& line_;
  const std::vector<std::string>& words_;
  size_t at_;
};

// The index of the program in the words; their size when there is none.
size_t skip_sudo(const std::vector<std::string>& words) {
  size_t at = 0;
  if (at < words.size() && words[at] == "sudo") {
    // Flags without a value, and NAME=VALUE.
    static constexpr std::string_view kFlags[] = {"-E", "-n", "-H", "-S", "-i", "--preserve-env"};
    for (++at; at < words.size(); ++at) {
      bool flag = std::find(std::begin(kFlags), std::end(kFlags), words[at]) != std::end(kFlags);
      bool assignment = words[at][0] != '-' && words[at].find('=') != std::string::npos;
      if (!flag && !assignment) break;
    }
  }
  return at;
}

// The index of the word behind `run`; 0 when this is no such line.
size_t behind_run(const std::vector<std::string>& words) {
  size_t at = skip_sudo(words);
  if (at >= words.size()) return 0;
  std::string program = std::filesystem::path(words[at]).filename();
  if (program != "docker" && program != "podman" && program != "nerdctl") return 0;
  ++at;
  if (at < words.size() && words[at] == "container") ++at;
  return at < words.size() && words[at] == "run" ? at + 1 : 0;
}

// "nvcr.io/nvidia/tritonserver:24.01-py3" -> "tritonserver".
std::string derived_name(const std::string& image) {
  std::string name = image.substr(0, image.find('@'));
  name = name.substr(name.rfind('/') + 1);
  name = base::lower(name.substr(0, name.find(':')));
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '-';
  }
  size_t first = name.find_first_not_of('-');
  if (first == std::string::npos) return "target";
  return name.substr(first, name.find_last_not_of('-') - first + 1);
}

Status check_paths(const Target& target) {
  std::vector<std::string> paths = target.tmpfs;
  for (const Volume& volume : target.volumes) paths.push_back(volume.path);
  std::sort(paths.begin(), paths.end());
  auto twice = std::adjacent_find(paths.begin(), paths.end());
  if (twice == paths.end()) return {};
  return usage("the docker run line mounts two things at " + *twice + ": leave one out");
}

}  // namespace

bool is_docker_run(const std::vector<std::string>& words) {
  return behind_run(words) != 0;
}

Result<Target> parse_docker_run(const std::vector<std::string>& words,
                                const Environment& environment) {
  size_t start = behind_run(words);
  if (start == 0) {
    return usage(
        "not a docker run line: it has to begin with docker (podman, nerdctl) run, without options "
        "between the two");
  }
  Line line{Target{}, environment, {}, {}};
  Target& t = line.target;
  t.kind = Kind::kImage;
  t.written = words;
  size_t image = 0;
  PARE_TRY(image, OptionReader(line, words, start).read());
  if (image >= words.size() || words[image].empty()) {
    return usage("the docker run line names no image");
  }
  t.image = words[image];
  t.command.assign(words.begin() + static_cast<long>(image) + 1, words.end());
  t.written.erase(t.written.begin(), t.written.begin() + static_cast<long>(skip_sudo(words)));
  for (EnvVar& variable : t.env) set_env(line.file_env, std::move(variable));
  t.env = std::move(line.file_env);
  if (t.name.empty()) t.name = derived_name(t.image);
  PARE_CHECK_OK(check_paths(t));
  return std::move(line.target);
}

Environment caller_environment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    std::string text = *entry;
    size_t equals = text.find('=');
    if (equals != std::string::npos) environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return environment;
}

}  // namespace pare::target
