// A tree as JSON: what merges, checks and digests compare.
#pragma once

#include <string>

#include "base/json.h"
#include "base/text.h"
#include "target/tree.h"

namespace pare::target {

// J: base::Json, or an ordered one. Booleans are YAML 1.1's; numbers stay as they are written: a
// body's 1.0 is not 1. What is a number of YAML but none of JSON's stays text.
template <typename J>
J json_of(const Tree& tree) {
  if (tree.is_map()) {
    J map = J::object();
    for (const Tree::Entry& entry : tree.map) map[entry.key] = json_of<J>(entry.value);
    return map;
  }
  if (tree.is_seq()) {
    J list = J::array();
    for (const Tree& item : tree.seq) list.push_back(json_of<J>(item));
    return list;
  }
  if (tree.is_null() || tree.type == yaml::ScalarType::kNull) return nullptr;
  if (tree.type == yaml::ScalarType::kString) return tree.text;
  if (tree.type == yaml::ScalarType::kBool) {
    std::string word = base::lower(tree.text);
    return word == "true" || word == "yes" || word == "on" || word == "y";
  }
  J plain = J::parse(tree.text, nullptr, false);
  return plain.is_discarded() ? J(tree.text) : plain;
}

// Without the members of mappings that are null, at any depth.
template <typename J>
J without_nulls(const J& json) {
  if (json.is_array()) {
    J out = J::array();
    for (const J& item : json) out.push_back(without_nulls(item));
    return out;
  }
  if (!json.is_object()) return json;
  J out = J::object();
  for (const auto& [key, value] : json.items()) {
    if (!value.is_null()) out[key] = without_nulls(value);
  }
  return out;
}

}  // namespace pare::target
