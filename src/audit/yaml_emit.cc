#include "audit/yaml_emit.h"

#include <cctype>

#include "base/json.h"

namespace pare::audit {
namespace {

// Reads back as the same string without quotes, by YAML 1.1 and 1.2 readers alike.
bool plain_is_safe(const std::string& text) {
  if (text.empty() || (std::isalpha(static_cast<unsigned char>(text[0])) == 0 && text[0] != '/')) {
    return false;
  }
  for (char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '.' && c != '/' &&
        c != '-') {
      return false;
    }
  }
  Node node;
  node.text = text;
  return resolve_scalar(node).type == ScalarType::kString;
}

std::string single_quoted(const std::string& text) {
  std::string result = "'";
  for (char c : text) result += c == '\'' ? "''" : std::string(1, c);
  return result + "'";
}

std::string emit_entry(const OrderedJson& value, size_t indent, const EmitStyle& style) {
  if (value.is_structured() && !value.empty()) {
    size_t step = value.is_array() ? style.list : style.map;
    return style.eol + emit_block(value, indent + step, style);
  }
  return " " + emit_scalar(value, NodeStyle::kPlain) + style.eol;
}
}  // namespace

size_t column_of(std::string_view bytes, size_t pos) {
  size_t newline = pos == 0 ? std::string_view::npos : bytes.rfind('\n', pos - 1);
  size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
  if (bytes.substr(begin, 3) == "\xef\xbb\xbf" && pos >= begin + 3) begin += 3;
  return pos - begin;
}

EmitStyle detect_style(std::string_view bytes, const YamlDocument& document) {
  EmitStyle style;
  size_t newline = bytes.find('\n');
  if (newline != std::string_view::npos && newline > 0 && bytes[newline - 1] == '\r') {
    style.eol = "\r\n";
  }
  bool map_known = false, list_known = false;
  for (const Node& map : document.nodes) {
    if (map.kind != NodeKind::kMap || map.style != NodeStyle::kBlock) continue;
    for (NodeId k = map.first; k != kNoNode;) {
      NodeId v = document.at(k).next;
      if (v == kNoNode) break;
      const Node& value = document.at(v);
      size_t key_column = column_of(bytes, document.at(k).span.begin);
      size_t column = column_of(bytes, value.span.begin);
      if (value.style == NodeStyle::kBlock && value.first != kNoNode && column >= key_column) {
        size_t step = column - key_column;
        if (value.kind == NodeKind::kMap && !map_known && step > 0 && step <= 8) {
          style.map = step;
          map_known = true;
        } else if (value.kind == NodeKind::kSeq && !list_known && step <= 8) {
          style.list = step;
          list_known = true;
        }
      }
      k = value.next;
    }
    if (map_known && list_known) break;
  }
  return style;
}

std::string emit_scalar(const OrderedJson& value, NodeStyle style) {
  if (!value.is_string()) return base::write_json(value);
  std::string text = value.get<std::string>();
  if (style == NodeStyle::kSingle && text.find('\n') == std::string::npos) {
    return single_quoted(text);
  }
  if (style == NodeStyle::kDouble || !plain_is_safe(text)) return base::write_json(value);
  return text;
}

std::string emit_flow(const OrderedJson& value, bool quoted) {
  if (!value.is_structured()) {
    return emit_scalar(value, quoted ? NodeStyle::kDouble : NodeStyle::kPlain);
  }
  std::string text;
  for (const auto& [key, item] : value.items()) {
    if (!text.empty()) text += ", ";
    if (value.is_object()) text += emit_flow(key, quoted) + ": ";
    text += emit_flow(item, quoted);
  }
  return value.is_object() ? "{" + text + "}" : "[" + text + "]";
}

std::string emit_block(const OrderedJson& value, size_t indent, const EmitStyle& style) {
  std::string text;
  const std::string pad(indent, ' ');
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      text += pad + emit_scalar(key, NodeStyle::kPlain) + ":" + emit_entry(item, indent, style);
    }
    return text;
  }
  for (const OrderedJson& item : value) {
    if (!item.is_object() || item.empty()) {
      text += pad + "- " + emit_flow(item, false) + style.eol;
      continue;
    }
    std::string block = emit_block(item, indent + 2, style);
    block[indent] = '-';
    text += block;
  }
  return text;
}

}  // namespace pare::audit
