#include "target/pare_file.h"

#include <filesystem>

#include "base/text.h"
#include "target/compose.h"
#include "target/reader.h"
#include "target/tree_json.h"

namespace pare::target {

namespace {

using base::starts_with;

// `words` of a list or a line.
std::vector<std::string> words_of(const Tree& tree, Reader& reader, const std::string& what) {
  if (tree.is_seq()) return reader.texts(tree, what);
  auto words = reader.take(tree, compose::split_words(tree.text_or()), what);
  return words.value_or(std::vector<std::string>{});
}

class PareReader {
 public:
  explicit PareReader(const SourceFile& file)
      : files_{file}, reader_(files_, options_, false), directory_(directory_of(file.path)) {}

  Result<PareFile> read(const Tree& root) {
    Keys keys(reader_, &root, "pare.yaml");
    if (keys.text("pare").value_or("") != "v1") {
      reader_.refuse(keys.where("pare"), "pare: is the form's version, and only v1 is known");
    }
    for (const PareKey& key : pare_keys()) {
      if (const Tree* value = keys.get(key.name)) read_option(key, *value);
    }
    read_target(keys, root);
    read_checks(keys);
    keys.finish();
    if (reader_.refused()) return tl::unexpected(*reader_.refused());
    if (!reader_.notes().empty()) return fail(ErrorKind::kUsage, reader_.notes()[0]);
    return std::move(out_);
  }

 private:
  static std::string directory_of(const std::string& path) {
    std::string parent = path == "-" ? "" : std::filesystem::path(path).parent_path().string();
    return parent.empty() ? "." : parent;
  }

  // A path as seen from where pare runs.
  std::string here(const std::string& path) const {
    if (path.empty() || path[0] == '/' || directory_ == ".") return path;
    return (std::filesystem::path(directory_) / path).lexically_normal().string();
  }

  std::string with_path(const PareKey& key, const std::string& text) const {
    if (key.path == 'p') {
      size_t colon = text.find(':');
      // An image in a directory or an archive: oci:DIR.
      bool transport = key.name == "image";
      if (!transport) return here(text);
      if (starts_with(text, "oci:") || starts_with(text, "docker-archive:")) {
        return text.substr(0, colon + 1) + here(text.substr(colon + 1));
      }
      return text;
    }
    if (key.path == 'f') {
      size_t colon = std::min(text.find(':'), text.size());
      return here(text.substr(0, colon)) + text.substr(colon);
    }
    return text;
  }

  void add(const PareKey& key, const std::string& value) {
    out_.options.emplace_back(key.name, value);
  }

  void read_option(const PareKey& key, const Tree& value) {
    std::string name(key.name);
    switch (key.value) {
      case PareValue::kText:
        if (auto text = reader_.text(value, name)) add(key, with_path(key, *text));
        return;
      case PareValue::kNumber:
        if (auto number = reader_.integer(value, name)) add(key, std::to_string(*number));
        return;
      case PareValue::kFlag:
        if (reader_.boolean(value, name).value_or(false)) add(key, "true");
        return;
      case PareValue::kTexts:
        if (value.is_scalar()) return add(key, with_path(key, value.text));
        for (const std::string& text : reader_.texts(value, name)) add(key, with_path(key, text));
        return;
      case PareValue::kPairs:
        return read_pairs(key, value);
    }
  }

  // {A: b}, or [A=b].
  void read_pairs(const PareKey& key, const Tree& value) {
    if (!value.is_map()) {
      for (const std::string& text : reader_.texts(value, std::string(key.name))) {
        size_t equals = text.find('=');
        bool path = key.path == 'v' && equals != std::string::npos;
        add(key, path ? text.substr(0, equals + 1) + here(text.substr(equals + 1)) : text);
      }
      return;
    }
    for (const Tree::Entry& entry : value.map) {
      if (entry.value.is_null()) {
        add(key, entry.key);
      } else if (auto text = reader_.text(entry.value, entry.key)) {
        add(key, entry.key + "=" + (key.path == 'v' ? here(*text) : *text));
      }
    }
  }

  // What runs: `run` (a docker run line), `files`, or `command` (of rootfs or image).
  void read_target(Keys& keys, const Tree& root) {
    int given = 0;
    if (const Tree* run = keys.get("run")) {
      ++given;
      out_.words = words_of(*run, reader_, "run");
    }
    if (const Tree* files = keys.get("files")) {
      ++given;
      for (std::string& file : words_of(*files, reader_, "files")) {
        if (!is_target_file(file)) {
          reader_.refuse(*files, "files: " + file + " is no .yaml, .yml or .json file");
        }
        out_.words.push_back(here(file));
      }
    }
    if (const Tree* command = keys.get("command")) {
      ++given;
      out_.words = words_of(*command, reader_, "command");
    }
    if (given > 1) reader_.refuse(root, "run, files and command exclude each other: give one");
    if (given == 0 && !keys.has("image")) {
      reader_.refuse(root,
                     "nothing says what runs: give run (a docker run line), files, image, or "
                     "rootfs and command");
    }
  }

  void read_checks(Keys& keys) {
    const Tree* checks = keys.get("checks");
    if (checks == nullptr) return;
    if (!checks->is_seq()) return reader_.refuse(*checks, "checks is not a list");
    for (const Tree& item : checks->seq) {
      out_.checks.push_back(json_of<base::Json>(item));
      out_.check_where.push_back(reader_.where(item));
    }
  }

  std::vector<SourceFile> files_;
  FileOptions options_;
  Reader reader_;
  std::string directory_;
  PareFile out_;
};

}  // namespace

const std::vector<PareKey>& pare_keys() {
  using V = PareValue;
  static const std::vector<PareKey> kKeys = {
      {"engine"},
      {"runtime"},
      {"rootfs", V::kText, 'p'},
      {"image", V::kText, 'p'},
      {"container"},
      {"profile", V::kTexts},
      {"bind", V::kPairs, 'v'},
      {"volume", V::kTexts, 'f'},
      {"env", V::kPairs},
      {"env-file", V::kTexts, 'p'},
      {"secret", V::kPairs, 'v'},
      {"user"},
      {"group-add", V::kTexts},
      {"workdir"},
      {"asked"},
      {"port", V::kTexts},
      {"network"},
      {"netns", V::kText, 'p'},
      {"ready-within"},
      {"for", V::kTexts},
      {"budget"},
      {"repeat", V::kNumber},
      {"jobs", V::kNumber},
      {"one-by-one", V::kFlag},
      {"plan", V::kFlag},
      {"no-record", V::kFlag},
      {"out", V::kText, 'p'},
      {"resume", V::kFlag},
      {"json", V::kFlag},
  };
  return kKeys;
}

bool is_pare_file(const SourceFile& file) {
  for (const std::string& line : base::split(file.text, '\n')) {
    if (starts_with(line, "pare:")) return true;
    if (starts_with(line, "apiVersion:") || starts_with(line, "services:")) return false;
  }
  return false;
}

Result<PareFile> read_pare_file(const SourceFile& file) {
  PARE_TRY(std::vector<Tree> trees, read_trees(file, 0, yaml::Dialect::kCompose));
  if (trees.size() != 1 || !trees[0].is_map()) {
    return fail(ErrorKind::kUsage, file.path + ": pare.yaml is one document, a mapping");
  }
  return PareReader(file).read(trees[0]);
}

}  // namespace pare::target
