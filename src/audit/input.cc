#include "audit/input.h"

#include <algorithm>
#include <unordered_set>

#include "base/text.h"

namespace pare::audit {
namespace {

std::string_view base_name(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

FileKind kind_by_name(std::string_view path) {
  std::string name = base::lower(base_name(path));
  auto ends = [&](std::string_view suffix) { return base::ends_with(name, suffix); };
  if (ends(".yaml") || ends(".yml") || ends(".json")) return FileKind::kYaml;
  if (base::starts_with(name, "dockerfile") || base::starts_with(name, "containerfile") ||
      ends(".dockerfile")) {
    return FileKind::kDockerfile;
  }
  if (ends(".sh") || ends(".bash") || ends(".txt")) return FileKind::kScript;
  if (ends(".md") || ends(".markdown")) return FileKind::kMarkdown;
  return FileKind::kUnknown;
}

bool line_begins(std::string_view bytes, std::string_view word) {
  for (size_t at = bytes.find(word); at != std::string_view::npos; at = bytes.find(word, at + 1)) {
    if (at == 0 || bytes[at - 1] == '\n') return true;
  }
  return false;
}

FileKind kind_by_content(std::string_view bytes) {
  size_t first = bytes.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  if (first == std::string_view::npos) return FileKind::kUnknown;
  if (bytes[first] == '{' || bytes[first] == '[') return FileKind::kYaml;
  if (line_begins(bytes, "apiVersion:") || line_begins(bytes, "services:")) return FileKind::kYaml;
  if (bytes.substr(0, 2) == "#!") return FileKind::kScript;
  if (line_begins(bytes, "FROM ")) return FileKind::kDockerfile;
  bool fences = bytes.find("```") != std::string_view::npos;
  if (bytes.find("docker run") != std::string_view::npos ||
      bytes.find("podman run") != std::string_view::npos) {
    return fences ? FileKind::kMarkdown : FileKind::kScript;
  }
  return FileKind::kUnknown;
}

void find_duplicates(const ParsedDocument& document, FileModel* model) {
  const YamlDocument& yaml = document.yaml;
  for (const Node& map : yaml.nodes) {
    if (map.kind != NodeKind::kMap || map.count < 4) continue;
    std::unordered_set<std::string_view> seen;
    for (NodeId k = map.first; k != kNoNode;) {
      NodeId v = yaml.at(k).next;
      const Node& key = yaml.at(k);
      if (key.kind == NodeKind::kScalar && key.text != "<<" && !seen.insert(key.text).second) {
        model->flaws.push_back(
            {Flaw::kDuplicateKey, key.span, document.index,
             "key '" + std::string(key.text.substr(0, 80)) + "' stands twice in this mapping"});
      }
      k = v == kNoNode ? kNoNode : yaml.at(v).next;
    }
  }
}

// Which reader a document is for, by its own words.
void read_document(const ParsedDocument& document, size_t slot, size_t file, FileModel* model) {
  View root = document.root();
  DocumentNote note;
  note.file = file;
  note.document = document.index;
  note.place = place_of(root);
  if (root.has("apiVersion") || root.has("kind")) {
    read_kubernetes(document, slot, file, model);
    return;
  }
  if (root.get("services").is_map()) {
    read_compose(document, slot, file, model);
    return;
  }
  View first = root.is_seq() && !root.items().empty() ? root.items().front() : root;
  if (first.get("config").is_map() || first.get("Config").is_map()) {
    read_image_config(document, slot, file, model);
    return;
  }
  note.kind = root.is_map() ? "mapping" : root.is_seq() ? "sequence" : "scalar";
  note.why = "neither a Kubernetes object, a compose file nor an image config";
  model->notes.push_back(std::move(note));
}

std::string template_hint(std::string_view part, std::string why) {
  if (!has_template(part)) return why;
  return "a template: render it first (helm template) and audit what comes out (" + why + ")";
}

void read_yaml(const SourceFile& file, size_t index, FileModel* model) {
  if (auto bad = check_encoding(file.bytes)) {
    model->unread.push_back(*bad);
    return;
  }
  std::vector<Part> parts = split_documents(file.bytes);
  if (parts.empty()) {
    model->notes.push_back({index, 0, {}, "file", "", false, "empty"});
    return;
  }
  for (const Part& part : parts) {
    auto documents = parse_yaml(file.bytes, part.span);
    if (!documents) {
      std::string_view text =
          std::string_view(file.bytes).substr(part.span.begin, part.span.end - part.span.begin);
      model->unread.push_back(
          {documents.error().offset, template_hint(text, documents.error().why)});
      continue;
    }
    for (YamlDocument& yaml : *documents) {
      if (yaml.root == kNoNode) continue;
      size_t slot = model->documents.size();
      model->documents.push_back({std::move(yaml), part.index, Dialect::kKubernetes});
      ParsedDocument& document = model->documents.back();
      View root = document.root();
      if (root.get("services").is_map() && !root.has("apiVersion")) {
        document.dialect = Dialect::kCompose;
      }
      find_duplicates(document, model);
      read_document(document, slot, index, model);
    }
  }
}
}  // namespace

FileKind file_kind(std::string_view name, std::string_view bytes) {
  FileKind kind = kind_by_name(name);
  return kind == FileKind::kUnknown ? kind_by_content(bytes) : kind;
}

bool worth_opening(std::string_view name) {
  // A directory's prose in .txt files is not worth reading; a user may still name one.
  return kind_by_name(name) != FileKind::kUnknown && !base::ends_with(base::lower(name), ".txt");
}

void read_file(const SourceFile& file, size_t index, FileModel* model) {
  model->kind = file_kind(file.name, file.bytes);
  switch (model->kind) {
    case FileKind::kYaml:
      return read_yaml(file, index, model);
    case FileKind::kDockerfile:
      return read_dockerfile(file, index, model);
    case FileKind::kScript:
      return read_commands(file, index, false, model);
    case FileKind::kMarkdown:
      return read_commands(file, index, true, model);
    case FileKind::kUnknown:
      break;
  }
  model->unread.push_back({0,
                           "no kind of file that pare knows: name it .yaml, .json, .sh, .md or "
                           "Dockerfile"});
}

Place place_of(View view) {
  return {view.span(), view.written()};
}

Place key_place(View parent, std::string_view key) {
  View name = parent.key_of(key);
  return name ? place_of(name) : place_of(parent);
}

Field<bool> bool_field(View parent, std::string_view key, size_t document, FileModel* model) {
  Field<bool> field;
  View view = parent.get(key);
  if (!view) return field;
  field.place = place_of(view);
  field.value = view.as_bool();
  if (field.value) return field;
  std::string text = view.text_or();
  field.unknown = !view.is_scalar() || has_template(text) || has_variable(text);
  if (!field.unknown) {
    model->flaws.push_back(
        {Flaw::kWrongType, view.span(), document,
         std::string(key) + " must be true or false, not the text '" + text.substr(0, 40) + "'"});
  }
  return field;
}

Field<std::string> text_field(View parent, std::string_view key) {
  Field<std::string> field;
  View view = parent.get(key);
  if (!view) return field;
  field.place = place_of(view);
  if (auto text = view.as_text()) field.value = std::string(*text);
  field.unknown = !field.value || has_template(*field.value) || has_variable(*field.value);
  return field;
}

ImageParts split_image(std::string_view reference) {
  ImageParts parts;
  size_t at = reference.find('@');
  if (at != std::string_view::npos) {
    parts.digest = reference.substr(at + 1);
    reference = reference.substr(0, at);
  }
  size_t slash = reference.rfind('/');
  size_t colon = reference.rfind(':');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    parts.tag = reference.substr(colon + 1);
    reference = reference.substr(0, colon);
  }
  parts.name = reference;
  return parts;
}

void finish_container(Container* container) {
  std::vector<std::string> words = container->command;
  container->server = target::recognise_server(container->image.value.value_or(""), words);
  for (const std::string& word : words) {
    if (word.find('\n') != std::string::npos || word.find("&&") != std::string::npos ||
        word.find("; ") != std::string::npos) {
      container->shell_text = true;
    }
  }
}

}  // namespace pare::audit
