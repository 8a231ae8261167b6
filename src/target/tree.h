// A YAML document as a tree of its own, aliases and merge keys followed, each node with its place:
// compose files are merged and interpolated before they are read.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "target/files.h"
#include "target/yaml_view.h"

namespace pare::target {

struct Tree {
  enum class Kind : uint8_t { kNull, kScalar, kMap, kSeq };
  struct Entry;

  Kind kind = Kind::kNull;
  yaml::ScalarType type = yaml::ScalarType::kString;  // of a scalar, as YAML 1.1 resolves it
  std::string text;                                   // a scalar's value
  std::string tag;                                    // as written: "!reset"; empty: none
  uint32_t file = 0;                                  // index into the files
  uint32_t line = 0;                                  // from 1
  std::string remark;      // interpolation: what is to be told of the value
  bool broken = false;     // interpolation: the remark is why it has no value
  std::vector<Entry> map;  // in the file's order, each key once
  std::vector<Tree> seq;

  bool is_null() const { return kind == Kind::kNull; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_map() const { return kind == Kind::kMap; }
  bool is_seq() const { return kind == Kind::kSeq; }
  // A map's value; nullptr when absent or null.
  const Tree* get(std::string_view key) const;
  const Tree* get(std::initializer_list<std::string_view> path) const;  // empty: this
  // The same with null.
  const Entry* find(std::string_view key) const;
  Entry* find(std::string_view key);
  std::string text_or(std::string_view fallback = "") const;  // a scalar's
};

struct Tree::Entry {
  std::string key;
  uint32_t line = 0;
  Tree value;
};

// The documents of a file. kUnread with FILE:LINE: bad YAML, a key that stands twice in a mapping,
// more than kMaxTree nodes once aliases are followed.
constexpr size_t kMaxTree = 100'000;
Result<std::vector<Tree>> read_trees(const SourceFile& file, uint32_t index, yaml::Dialect dialect);

// Which dialect a file is in: compose's for one with `services:` or `include:` on top.
yaml::Dialect dialect_of(const SourceFile& file);

}  // namespace pare::target
