// What a YAML tree means to the program that will read it: Kubernetes' clients (sigs.k8s.io/yaml,
// go-yaml v2: YAML 1.1 booleans, 0777 octal, last duplicate wins, a later << overrides) or compose
// (go-yaml v3: explicit keys win over <<).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "target/yaml.h"

namespace pare::target::yaml {

enum class Dialect : uint8_t { kKubernetes, kCompose };

enum class ScalarType : uint8_t { kNull, kBool, kInt, kFloat, kString };

struct Scalar {
  ScalarType type = ScalarType::kString;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;
};

// goyaml.v2/resolve.go: y/yes/on, 0777, 0o777, 0x1f, 0b1, 1_000, ~.
Scalar resolve_scalar(const Node& node);

// A place in a document, aliases followed. Cheap to copy; an absent place answers every question
// with "nothing".
class View {
 public:
  View() = default;
  View(const YamlDocument& document, NodeId id, Dialect dialect = Dialect::kKubernetes);

  bool present() const { return id_ != kNoNode; }
  explicit operator bool() const { return present(); }
  NodeId id() const { return id_; }            // the node itself, past aliases
  NodeId written() const { return written_; }  // as it stands in its parent: may be an alias
  const Node& node() const { return document_->at(id_); }
  const YamlDocument& document() const { return *document_; }
  Dialect dialect() const { return dialect_; }
  Span span() const { return present() ? document_->at(written_).span : Span{}; }

  bool is_map() const { return present() && node().kind == NodeKind::kMap; }
  bool is_seq() const { return present() && node().kind == NodeKind::kSeq; }
  bool is_scalar() const { return present() && node().kind == NodeKind::kScalar; }
  bool is_null() const { return is_scalar() && resolve_scalar(node()).type == ScalarType::kNull; }

  // The value of a key as the reader would see it; absent for null (Go decodes null to nothing).
  View get(std::string_view key) const;
  View get(std::initializer_list<std::string_view> path) const;
  View key_of(std::string_view key) const;  // the key's own node
  bool has(std::string_view key) const { return get(key).present(); }

  // A sequence's items; a map's effective (key, value) pairs, each key once.
  std::vector<View> items() const;
  std::vector<std::pair<std::string_view, View>> entries() const;

  std::optional<bool> as_bool() const;
  std::optional<int64_t> as_int() const;
  std::optional<std::string_view> as_text() const;    // any scalar but null, as written
  std::optional<std::string_view> as_string() const;  // only what reads as a string
  std::string text_or(std::string_view fallback = "") const;

 private:
  struct Pair {
    NodeId key = kNoNode, value = kNoNode;
  };
  Pair find(std::string_view key) const;
  Pair find_in(NodeId map, std::string_view key, int depth) const;
  Pair find_merged(NodeId value, std::string_view key, int depth) const;
  void collect(NodeId map, int depth, std::vector<Pair>* out) const;
  void collect_merged(NodeId value, int depth, std::vector<Pair>* out) const;
  NodeId follow(NodeId id) const;

  const YamlDocument* document_ = nullptr;
  NodeId id_ = kNoNode;
  NodeId written_ = kNoNode;
  Dialect dialect_ = Dialect::kKubernetes;
};

// "{{ ... }}" of Helm, "${VAR}" and "$VAR" of compose and shells: the value is not known.
bool has_template(std::string_view text);
bool has_variable(std::string_view text);

}  // namespace pare::target::yaml
