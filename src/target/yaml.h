// YAML as a tree that keeps its bytes: every node knows where it stands, so that findings can point
// and fixes can edit the text. Aliases stay aliases (never expanded); what may be read from a
// document is bounded before anyone walks it.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace pare::target::yaml {

// Bytes [begin, end) of a file.
struct Span {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const Span&) const = default;
};

// Why something could not be read, and where.
struct Unread {
  size_t offset = 0;
  std::string why;
};

enum class NodeKind : uint8_t { kScalar, kMap, kSeq, kAlias };
enum class NodeStyle : uint8_t { kPlain, kSingle, kDouble, kLiteral, kFolded, kFlow, kBlock };

using NodeId = uint32_t;
constexpr NodeId kNoNode = std::numeric_limits<NodeId>::max();

struct Node {
  NodeKind kind = NodeKind::kScalar;
  NodeStyle style = NodeStyle::kPlain;
  std::string_view text;    // scalar: its value; alias: its name
  std::string_view tag;     // as resolved ("tag:yaml.org,2002:str"); empty when implicit
  std::string_view anchor;  // without &
  Span span;                // the value's own bytes; empty for an absent value ("key:")
  NodeId parent = kNoNode;
  NodeId first = kNoNode, last = kNoNode;  // children; a map's are key, value, key, value...
  NodeId next = kNoNode;                   // sibling
  NodeId target = kNoNode;                 // alias: the node it stands for
  uint32_t count = 0;                      // children
  bool aliased = false;                    // some alias stands for this node
};

// Limits, so that a hostile file costs bounded time and memory.
constexpr size_t kMaxDepth = 200;
constexpr size_t kMaxExpansion = 1'000'000;  // nodes after all aliases are followed

struct YamlDocument {
  // Not copied: the nodes' texts are views of `owned`. (A vector would copy when it grows, as
  // std::deque's move may throw.)
  YamlDocument() = default;
  YamlDocument(YamlDocument&&) = default;
  YamlDocument& operator=(YamlDocument&&) = default;
  YamlDocument(const YamlDocument&) = delete;
  YamlDocument& operator=(const YamlDocument&) = delete;

  std::vector<Node> nodes;
  NodeId root = kNoNode;
  std::deque<std::string> owned;  // values that differ from the file's bytes (folded, escaped)
  const Node& at(NodeId id) const { return nodes[id]; }
};

// A part of a stream between lines that begin with "---", as Kubernetes' clients cut it.
struct Part {
  Span span;
  size_t index = 0;  // counted as those clients count: a part of comments alone counts too
};

// The parts that have content, in order.
std::vector<Part> split_documents(std::string_view bytes);

// Valid UTF-8 without control characters that YAML forbids; else where it is not.
std::optional<Unread> check_encoding(std::string_view bytes);

// The documents of one part (usually one). `bytes` is the whole file, has passed check_encoding and
// must outlive the documents.
tl::expected<std::vector<YamlDocument>, Unread> parse_yaml(std::string_view bytes, Span part);

}  // namespace pare::target::yaml
