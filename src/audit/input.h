// Reading one file of any kind into workloads, context objects and notes. Pure: bytes in, model
// out.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "audit/model.h"
#include "audit/yaml.h"

namespace pare::audit {

struct SourceFile {
  std::string name;  // as the user wrote it; "-" is standard input
  std::string bytes;
};

enum class FileKind : uint8_t { kYaml, kDockerfile, kScript, kMarkdown, kUnknown };
// By name, then by content.
FileKind file_kind(std::string_view name, std::string_view bytes);
// By name alone: whether a directory walk should open the file at all.
bool worth_opening(std::string_view name);

struct ParsedDocument {
  YamlDocument yaml;
  size_t index = 0;  // in the file, as kubectl counts
  Dialect dialect = Dialect::kKubernetes;
  View root() const { return View(yaml, yaml.root, dialect); }
};

// What is wrong with the writing itself, whatever it says.
struct Flaw {
  enum Kind : uint8_t { kDuplicateKey, kWrongType, kMergeOverride } kind = kDuplicateKey;
  Span span;
  size_t document = 0;
  std::string message;
};

constexpr size_t kNoSlot = static_cast<size_t>(-1);

struct FileModel {
  FileKind kind = FileKind::kUnknown;
  std::deque<ParsedDocument> documents;  // addresses stay: Views point into it
  std::vector<Workload> workloads;
  std::vector<size_t> slots;  // workloads[i] stands in documents[slots[i]], or kNoSlot
  std::vector<ServiceObject> services;
  std::vector<PolicyObject> policies;
  std::vector<DocumentNote> notes;
  std::vector<Flaw> flaws;
  std::vector<Unread> unread;
};

// Never fails: what cannot be read is in `unread`. The model points into file.bytes.
void read_file(const SourceFile& file, size_t index, FileModel* model);

// The readers of one kind each.
void read_kubernetes(const ParsedDocument& document, size_t slot, size_t file, FileModel* model);
void read_compose(const ParsedDocument& document, size_t slot, size_t file, FileModel* model);
void read_image_config(const ParsedDocument& document, size_t slot, size_t file, FileModel* model);
void read_dockerfile(const SourceFile& file, size_t index, FileModel* model);
void read_commands(const SourceFile& file, size_t index, bool markdown, FileModel* model);

// Shared by the readers.
Field<bool> bool_field(View parent, std::string_view key, size_t document, FileModel* model);
Field<std::string> text_field(View parent, std::string_view key);
Place place_of(View view);
Place key_place(View parent, std::string_view key);
// "nvcr.io/x:1.2@sha256:..." -> its tag ("" when none) and digest.
struct ImageParts {
  std::string name, tag, digest;
};
ImageParts split_image(std::string_view reference);
// ${VAR:-default} and ${VAR-default} by their defaults; `unknown` when a variable has none.
std::string with_defaults(std::string_view text, bool* unknown);
// "0.0.0.0:8000:80/tcp", "8000-8002:8000-8002", "${P:-8000}:8000" -> one entry a container port.
std::vector<PortEntry> parse_ports(std::string_view text);
// "SRC:DST[:ro,z]" or "DST".
MountEntry parse_mount(std::string_view text);
// Words of a command line; quotes are taken off, nothing is expanded.
std::vector<std::string> shell_words(std::string_view text);
void finish_container(Container* container);

}  // namespace pare::audit
