// Writes YAML (1.2, and read the same by 1.1 parsers) with comments: ordered maps, block style,
// strings quoted wherever a parser might take them for something else.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pare::emit {

class Yaml {
 public:
  static Yaml map() { return Yaml(Kind::kMap); }
  static Yaml list() { return Yaml(Kind::kList); }
  static Yaml null() {
    Yaml yaml(Kind::kPlain);
    yaml.text_ = "null";
    return yaml;
  }
  // Implicit, so that values read like literals: set("replicas", 1).
  Yaml(std::string text) : kind_(Kind::kString), text_(std::move(text)) {}
  Yaml(std::string_view text) : Yaml(std::string(text)) {}
  Yaml(const char* text) : Yaml(std::string(text)) {}
  Yaml(bool value) : kind_(Kind::kPlain), text_(value ? "true" : "false") {}
  Yaml(int value) : kind_(Kind::kPlain), text_(std::to_string(value)) {}
  Yaml(uint32_t value) : kind_(Kind::kPlain), text_(std::to_string(value)) {}
  Yaml(uint64_t value) : kind_(Kind::kPlain), text_(std::to_string(value)) {}
  Yaml(const std::vector<std::string>& items);

  // Appends; the comment's lines go above the entry. Keys are written as given to set().
  Yaml& set(std::string key, Yaml value, std::string comment = "");
  Yaml& add(Yaml item, std::string comment = "");
  bool empty() const { return values_.empty(); }

  // The document, with a newline at its end. No "---".
  std::string text() const;

 private:
  enum class Kind { kMap, kList, kString, kPlain };
  explicit Yaml(Kind kind) : kind_(kind) {}
  void write(std::string& out, size_t indent, bool first_inline) const;
  bool block() const { return (kind_ == Kind::kMap || kind_ == Kind::kList) && !empty(); }
  std::string scalar() const;

  Kind kind_;
  std::string text_;
  // One element an entry each; keys are empty in a list.
  std::vector<Yaml> values_;
  std::vector<std::string> keys_, comments_;
};

// One scalar: plain where every parser reads it back as the same string, else double-quoted.
std::string yaml_string(std::string_view text);

// Every line of `text` behind "# " (a blank line is "#"), with a newline at the end.
std::string comment_lines(std::string_view text);

}  // namespace pare::emit
