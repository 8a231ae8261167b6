// Edits on the text: what a fix wants is said as operations on the tree, rendered as replacements
// of bytes, so that comments, order, quotes, indentation, anchors and line ends stay as they are.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/yaml.h"

namespace pare::audit {

using OrderedJson = nlohmann::ordered_json;

struct Operation {
  enum Kind : uint8_t {
    kSet,          // path under `map` becomes `value`; missing maps are made
    kAppend,       // `value` is added to the list at path; a missing list is made
    kRemoveKey,    // the key at path goes
    kRemoveItem,   // `item` goes from its list; an emptied list goes with its key
    kReplace,      // bytes `span` become `text` (command lines)
    kAddDocument,  // `text` is added to the file as a document of its own
  } kind = kSet;
  NodeId map = kNoNode;
  std::vector<std::string> path;
  OrderedJson value;
  NodeId item = kNoNode;
  Span span;
  std::string text;
  bool operator==(const Operation&) const = default;
};

Operation set_value(NodeId map, std::vector<std::string> path, OrderedJson value);
Operation append_value(NodeId map, std::vector<std::string> path, OrderedJson value);
Operation remove_key(NodeId map, std::vector<std::string> path);
Operation remove_item(NodeId item);
Operation replace_text(Span span, std::string text);
Operation add_document(std::string text);

struct Replacement {
  Span span;
  std::string text;
  bool operator==(const Replacement&) const = default;
};

// The replacements for operations on one document, or why they cannot be made there safely (an
// alias or merge key on the way, a template in the place). `bytes` is the whole file.
tl::expected<std::vector<Replacement>, Unread> render(std::string_view bytes,
                                                      const YamlDocument& document, Dialect dialect,
                                                      const std::vector<Operation>& operations);

// The text after the replacements; nullopt when they overlap.
std::optional<std::string> apply_replacements(std::string_view bytes,
                                              std::vector<Replacement> replacements);

// True when `after` is exactly `before` with the operations carried out, node by node: nothing else
// was touched.
bool edited_as_meant(const YamlDocument& before, const YamlDocument& after, Dialect dialect,
                     const std::vector<Operation>& operations);

}  // namespace pare::audit
