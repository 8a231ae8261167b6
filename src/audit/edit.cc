#include "audit/edit.h"

#include <algorithm>

#include "audit/edit_plan.h"
#include "audit/yaml_emit.h"
#include "base/json.h"
#include "base/text.h"

namespace pare::audit {
namespace {

// Renders a plan as replacements of bytes.
class Renderer {
 public:
  Renderer(std::string_view bytes, const YamlDocument& document, const EditPlan& plan)
      : bytes_(bytes), doc_(document), plan_(plan), style_(detect_style(bytes, document)) {}

  tl::expected<std::vector<Replacement>, Unread> run() {
    for (const auto& [id, value] : plan_.replaced) {
      if (auto why = replace(id, value)) return tl::unexpected(*why);
    }
    // Items first: a list may stand in the column of the mapping that holds it.
    for (const auto& [id, items] : plan_.appended) {
      if (auto why = append(id, items)) return tl::unexpected(*why);
    }
    for (const auto& [id, value] : plan_.inserted) {
      if (auto why = insert(id, value)) return tl::unexpected(*why);
    }
    for (NodeId id : plan_.removed) {
      NodeId parent = at(id).parent;
      if (plan_.gone(doc_, parent)) continue;
      if (auto why = remove(id, parent)) return tl::unexpected(*why);
    }
    return std::move(out_);
  }

 private:
  const Node& at(NodeId id) const { return doc_.at(id); }
  Unread no(NodeId id, std::string why) const { return {at(id).span.begin, std::move(why)}; }

  size_t line_start(size_t pos) const {
    size_t newline = pos == 0 ? std::string_view::npos : bytes_.rfind('\n', pos - 1);
    return newline == std::string_view::npos ? 0 : newline + 1;
  }
  // After the line's end, newline included.
  size_t next_line(size_t pos) const {
    size_t newline = bytes_.find('\n', pos);
    return newline == std::string_view::npos ? bytes_.size() : newline + 1;
  }
  size_t column(size_t pos) const { return column_of(bytes_, pos); }
  bool in_flow(NodeId id) const {
    for (NodeId up = id; up != kNoNode; up = at(up).parent) {
      if (at(up).style == NodeStyle::kFlow) return true;
    }
    return false;
  }
  bool blank(size_t from, size_t to) const {
    return bytes_.substr(from, to - from).find_first_not_of(" \t\r\n") == std::string_view::npos;
  }

  // Where the content of a node ends, block scalars' trailing blank lines left out.
  size_t content_end(NodeId id) const {
    const Node& node = at(id);
    if (node.style == NodeStyle::kBlock && node.last != kNoNode) return content_end(node.last);
    size_t end = node.span.end;
    if (node.style == NodeStyle::kLiteral || node.style == NodeStyle::kFolded) {
      // "|+" keeps blank lines: they are content.
      size_t header = bytes_.rfind('\n', node.span.begin == 0 ? 0 : node.span.begin - 1);
      size_t begin = header == std::string_view::npos ? 0 : line_start(header);
      bool keep = header != std::string_view::npos &&
                  bytes_.substr(begin, header - begin).find('+') != std::string_view::npos;
      while (!keep && end > node.span.begin && blank(end - 1, end)) --end;
      if (keep && end > node.span.begin && bytes_[end - 1] == '\n') --end;
    }
    return end;
  }

  // New lines after the line in which `id` ends.
  void add_lines(NodeId id, const std::string& lines, size_t depth) {
    size_t pos = next_line(content_end(id));
    std::string text = lines;
    bool open_end = pos == bytes_.size() && (pos == 0 || bytes_[pos - 1] != '\n');
    if (open_end) {
      text = style_.eol + text.substr(0, text.size() - style_.eol.size());
    }
    out_.push_back({{pos, pos}, text});
    depths_.push_back(depth);
  }
  void add(Span span, std::string text) {
    out_.push_back({span, std::move(text)});
    depths_.push_back(0);
  }

  NodeId key_of(NodeId value) const {
    NodeId parent = at(value).parent;
    if (parent == kNoNode || at(parent).kind != NodeKind::kMap) return kNoNode;
    for (NodeId k = at(parent).first; k != kNoNode;) {
      if (at(k).next == value) return k;
      NodeId v = at(k).next;
      k = v == kNoNode ? kNoNode : at(v).next;
    }
    return kNoNode;
  }

  std::optional<Unread> replace(NodeId id, const OrderedJson& value) {
    const Node& node = at(id);
    bool absent = node.span.begin == node.span.end;
    if (!node.tag.empty() || (absent && !node.anchor.empty())) {
      return no(id, "a tag or an anchor stands in the place");
    }
    NodeId key = key_of(id);
    bool structured = value.is_structured() && !value.empty();
    if (structured && key != kNoNode && !in_flow(at(id).parent)) return open_block(id, key, value);
    std::string text = structured
                           ? emit_flow(value, quoted_style(id))
                           : emit_scalar(value, quoted_style(id) ? NodeStyle::kDouble : node.style);
    if (absent && key == kNoNode) return no(id, "nothing stands in the place");
    if (absent && (node.span.begin == 0 || bytes_[node.span.begin - 1] != ':')) {
      return no(id, "nothing stands in the place");
    }
    add(node.span, absent ? " " + text : text);
    return std::nullopt;
  }

  // "key:", "key: {}" or "key: ~" becomes a block below the key.
  std::optional<Unread> open_block(NodeId id, NodeId key, const OrderedJson& value) {
    const Node& node = at(id);
    size_t colon = bytes_.find(':', at(key).span.end);
    if (colon == std::string_view::npos || line_start(colon) != line_start(at(key).span.begin) ||
        line_start(node.span.begin) != line_start(colon)) {
      return no(id, "the key's value stands on another line");
    }
    if (!at(key).anchor.empty() || at(key).style == NodeStyle::kLiteral) {
      return no(id, "the key is anchored");
    }
    size_t indent = column(at(key).span.begin) + (value.is_array() ? style_.list : style_.map);
    if (node.span.end > colon + 1) add({colon + 1, node.span.end}, "");
    add_lines(id, emit_block(value, indent, style_), indent);
    return std::nullopt;
  }

  // JSON-like documents want JSON-like additions.
  bool quoted_style(NodeId near) const {
    for (NodeId up = at(near).parent; up != kNoNode; up = at(up).parent) {
      if (at(up).kind == NodeKind::kMap && at(up).style == NodeStyle::kFlow) {
        return at(at(up).first).style == NodeStyle::kDouble;
      }
      if (at(up).style != NodeStyle::kFlow) return false;
    }
    return false;
  }

  std::optional<Unread> insert(NodeId map, const OrderedJson& keys) {
    if (at(map).style == NodeStyle::kFlow) return insert_flow(map, keys);
    const Node& first = at(at(map).first);
    if (first.kind != NodeKind::kScalar || !first.anchor.empty() || !first.tag.empty()) {
      return no(map, "the mapping's first key cannot be measured");
    }
    size_t indent = column(first.span.begin);
    add_lines(map, emit_block(keys, indent, style_), indent);
    return std::nullopt;
  }

  std::optional<Unread> insert_flow(NodeId map, const OrderedJson& keys) {
    bool quoted = at(at(map).first).style == NodeStyle::kDouble;
    std::string text;
    for (const auto& [key, value] : keys.items()) {
      text += (text.empty() ? "" : ", ") +
              (quoted ? base::write_json(OrderedJson(key)) : emit_scalar(key, NodeStyle::kPlain)) +
              ": " + emit_flow(value, quoted);
    }
    return extend_flow(map, text);
  }

  // After the last entry of a flow collection, on a line of its own where entries have one.
  std::optional<Unread> extend_flow(NodeId id, const std::string& text) {
    const Node& node = at(id);
    size_t last = std::max(at(node.last).span.end, node.span.begin + 1);
    if (node.last != kNoNode && at(node.last).span.begin == at(node.last).span.end) {
      return no(id, "the collection ends in an absent value");
    }
    std::string_view rest = bytes_.substr(last, node.span.end - 1 - last);
    if (rest.find('#') != std::string_view::npos) return no(id, "a comment stands in the place");
    size_t comma = rest.find(',');
    NodeId head = node.kind == NodeKind::kMap ? key_of(node.last) : node.last;
    size_t line = line_start(at(head).span.begin);
    bool own_line = blank(line, at(head).span.begin) && line > node.span.begin;
    std::string gap = own_line ? style_.eol + std::string(at(head).span.begin - line, ' ') : " ";
    if (comma != std::string_view::npos) {
      add({last + comma + 1, last + comma + 1}, gap + text);
    } else {
      add({last, last}, "," + gap + text);
    }
    return std::nullopt;
  }

  std::optional<Unread> append(NodeId list, const std::vector<OrderedJson>& items) {
    const Node& node = at(list);
    if (node.style == NodeStyle::kFlow) {
      std::string text;
      bool quoted = quoted_style(node.first) || at(node.first).style == NodeStyle::kDouble;
      for (const OrderedJson& item : items) {
        text += (text.empty() ? "" : ", ") + emit_flow(item, quoted);
      }
      return extend_flow(list, text);
    }
    if (node.span.begin >= bytes_.size() || bytes_[node.span.begin] != '-') {
      return no(list, "the list's first dash was not found");
    }
    size_t indent = column(node.span.begin);
    add_lines(list, emit_block(OrderedJson(items), indent, style_), indent);
    return std::nullopt;
  }

  std::optional<Unread> remove(NodeId id, NodeId parent) {
    bool map = at(parent).kind == NodeKind::kMap;
    NodeId last = map ? at(id).next : id;
    if (at(parent).style == NodeStyle::kFlow) return remove_flow(id, last, parent);
    size_t begin = at(id).span.begin;
    if (!map) {
      // Back to the item's dash.
      size_t dash = bytes_.rfind('-', begin == 0 ? 0 : begin - 1);
      if (bytes_[begin] == '-' && at(id).style == NodeStyle::kBlock) dash = std::string_view::npos;
      if (dash == std::string_view::npos || !blank(dash + 1, begin)) {
        return no(id, "the item's dash was not found");
      }
      begin = dash;
    }
    size_t line = line_start(begin);
    if (!blank(line, begin))
      return map ? join_next(id, last) : std::optional(no(id, "the item shares its line"));
    size_t end = next_line(content_end(last));
    if (end == bytes_.size() && line > 0 && bytes_[end - 1] != '\n') {
      --line;
      if (line > 0 && bytes_[line - 1] == '\r') --line;
    }
    add({line, end}, "");
    return std::nullopt;
  }

  // "- a: 1\n  b: 2" without a: b moves up behind the dash.
  std::optional<Unread> join_next(NodeId key, NodeId value) {
    NodeId next = at(value).next;
    if (next == kNoNode || plan_.removed.count(next) != 0) {
      return no(key, "the key shares its line with others");
    }
    Span span{at(key).span.begin, at(next).span.begin};
    if (bytes_.substr(span.begin, span.end - span.begin).find('#') != std::string_view::npos ||
        column(span.begin) != column(span.end)) {
      return no(key, "a comment stands beside the key");
    }
    add(span, "");
    return std::nullopt;
  }

  std::optional<Unread> remove_flow(NodeId id, NodeId last, NodeId parent) {
    NodeId before = kNoNode;
    for (NodeId i = at(parent).first; i != kNoNode && i != id; i = at(i).next) before = i;
    NodeId next = at(last).next;
    Span span{at(id).span.begin, at(last).span.end};
    if (before != kNoNode && plan_.removed.count(before) == 0) {
      span.begin = at(before).span.end;
    } else if (next != kNoNode) {
      span.end = at(next).span.begin;
    }
    if (bytes_.substr(span.begin, span.end - span.begin).find('#') != std::string_view::npos) {
      return no(id, "a comment stands beside the item");
    }
    add(span, "");
    return std::nullopt;
  }

  std::string_view bytes_;
  const YamlDocument& doc_;
  const EditPlan& plan_;
  EmitStyle style_;
  std::vector<Replacement> out_;
  std::vector<size_t> depths_;

 public:
  // Additions at one place go deepest first, or the outer ones would cut the inner ones off.
  static void order(std::vector<Replacement>* out, const std::vector<size_t>& depths) {
    std::vector<size_t> index(out->size());
    for (size_t i = 0; i < index.size(); ++i) index[i] = i;
    std::stable_sort(index.begin(), index.end(), [&](size_t a, size_t b) {
      const Span& x = (*out)[a].span;
      const Span& y = (*out)[b].span;
      if (x.begin != y.begin) return x.begin < y.begin;
      if (x.end != y.end) return x.end < y.end;
      return depths[a] > depths[b];
    });
    std::vector<Replacement> sorted;
    for (size_t i : index) sorted.push_back(std::move((*out)[i]));
    *out = std::move(sorted);
  }
  const std::vector<size_t>& depths() const { return depths_; }
};

bool equals(const YamlDocument& document, NodeId id, const OrderedJson& value) {
  const Node& node = document.at(id);
  if (value.is_object()) {
    if (node.kind != NodeKind::kMap || node.count != 2 * value.size()) return false;
    NodeId k = node.first;
    for (const auto& [key, item] : value.items()) {
      if (document.at(k).text != key || !equals(document, document.at(k).next, item)) return false;
      k = document.at(document.at(k).next).next;
    }
    return true;
  }
  if (value.is_array()) {
    if (node.kind != NodeKind::kSeq || node.count != value.size()) return false;
    NodeId i = node.first;
    for (const OrderedJson& item : value) {
      if (!equals(document, i, item)) return false;
      i = document.at(i).next;
    }
    return true;
  }
  if (node.kind != NodeKind::kScalar) return false;
  Scalar scalar = resolve_scalar(node);
  if (value.is_boolean()) return scalar.type == ScalarType::kBool && scalar.boolean == value;
  if (value.is_number()) return scalar.type == ScalarType::kInt && scalar.integer == value;
  return scalar.type == ScalarType::kString && node.text == value.get<std::string>();
}

class Comparison {
 public:
  Comparison(const YamlDocument& before, const YamlDocument& after, const EditPlan& plan)
      : before_(before), after_(after), plan_(plan) {}

  bool same(NodeId a, NodeId b) const {
    auto replaced = plan_.replaced.find(a);
    if (replaced != plan_.replaced.end()) return equals(after_, b, replaced->second);
    const Node& x = before_.at(a);
    const Node& y = after_.at(b);
    if (x.kind != y.kind || x.tag != y.tag || x.anchor != y.anchor) return false;
    if (x.first == kNoNode && y.first == kNoNode) return x.text == y.text;
    bool map = x.kind == NodeKind::kMap;
    NodeId j = y.first;
    for (NodeId i = x.first; i != kNoNode; i = before_.at(i).next) {
      if (plan_.removed.count(i) != 0) {
        if (map) i = before_.at(i).next;
        continue;
      }
      if (j == kNoNode || !same(i, j)) return false;
      j = after_.at(j).next;
    }
    return added(a, j);
  }

 private:
  // What stands after the old entries is exactly what was added.
  bool added(NodeId a, NodeId j) const {
    if (auto keys = plan_.inserted.find(a); keys != plan_.inserted.end()) {
      for (const auto& [key, value] : keys->second.items()) {
        if (j == kNoNode || after_.at(j).text != key) return false;
        j = after_.at(j).next;
        if (j == kNoNode || !equals(after_, j, value)) return false;
        j = after_.at(j).next;
      }
    }
    if (auto items = plan_.appended.find(a); items != plan_.appended.end()) {
      for (const OrderedJson& item : items->second) {
        if (j == kNoNode || !equals(after_, j, item)) return false;
        j = after_.at(j).next;
      }
    }
    return j == kNoNode;
  }

  const YamlDocument& before_;
  const YamlDocument& after_;
  const EditPlan& plan_;
};
}  // namespace

Operation set_value(NodeId map, std::vector<std::string> path, OrderedJson value) {
  Operation op;
  op.kind = Operation::kSet;
  op.map = map;
  op.path = std::move(path);
  op.value = std::move(value);
  return op;
}

Operation append_value(NodeId map, std::vector<std::string> path, OrderedJson value) {
  Operation op = set_value(map, std::move(path), std::move(value));
  op.kind = Operation::kAppend;
  return op;
}

Operation remove_key(NodeId map, std::vector<std::string> path) {
  Operation op = set_value(map, std::move(path), nullptr);
  op.kind = Operation::kRemoveKey;
  return op;
}

Operation remove_item(NodeId item) {
  Operation op;
  op.kind = Operation::kRemoveItem;
  op.item = item;
  return op;
}

Operation replace_text(Span span, std::string text) {
  Operation op;
  op.kind = Operation::kReplace;
  op.span = span;
  op.text = std::move(text);
  return op;
}

Operation add_document(std::string text) {
  Operation op;
  op.kind = Operation::kAddDocument;
  op.text = std::move(text);
  return op;
}

tl::expected<std::vector<Replacement>, Unread> render(std::string_view bytes,
                                                      const YamlDocument& document, Dialect dialect,
                                                      const std::vector<Operation>& operations) {
  auto plan = plan_edits(document, dialect, operations);
  if (!plan) return tl::unexpected(plan.error());
  Renderer renderer(bytes, document, *plan);
  auto out = renderer.run();
  if (out) Renderer::order(&*out, renderer.depths());
  return out;
}

std::optional<std::string> apply_replacements(std::string_view bytes,
                                              std::vector<Replacement> replacements) {
  std::stable_sort(
      replacements.begin(), replacements.end(), [](const Replacement& a, const Replacement& b) {
        return a.span.begin != b.span.begin ? a.span.begin < b.span.begin : a.span.end < b.span.end;
      });
  std::string result;
  size_t done = 0;
  for (const Replacement& replacement : replacements) {
    if (replacement.span.begin < done || replacement.span.end > bytes.size()) return std::nullopt;
    result += bytes.substr(done, replacement.span.begin - done);
    result += replacement.text;
    done = replacement.span.end;
  }
  result += bytes.substr(done);
  return result;
}

bool edited_as_meant(const YamlDocument& before, const YamlDocument& after, Dialect dialect,
                     const std::vector<Operation>& operations) {
  auto plan = plan_edits(before, dialect, operations);
  if (!plan || before.root == kNoNode || after.root == kNoNode) return false;
  return Comparison(before, after, *plan).same(before.root, after.root);
}

}  // namespace pare::audit
