// New YAML in the style of the document that it goes into.
#pragma once

#include <string>
#include <string_view>

#include "audit/edit.h"
#include "audit/yaml.h"

namespace pare::audit {

struct EmitStyle {
  size_t map = 2;   // a mapping below its key
  size_t list = 2;  // a list's dashes below its key
  std::string eol = "\n";
};

EmitStyle detect_style(std::string_view bytes, const YamlDocument& document);

// Bytes from the line's begin (a byte order mark not counted).
size_t column_of(std::string_view bytes, size_t pos);

// One line, quoted where the style or the value asks for it.
std::string emit_scalar(const OrderedJson& value, NodeStyle style);
std::string emit_flow(const OrderedJson& value, bool quoted);
// Whole lines of a non-empty object or array, each indented and ended.
std::string emit_block(const OrderedJson& value, size_t indent, const EmitStyle& style);

}  // namespace pare::audit
