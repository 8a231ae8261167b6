#include "target/yaml_view.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <unordered_map>

namespace pare::target::yaml {
namespace {

constexpr int kMaxMerges = 32;  // merge keys inside merged maps

struct Word {
  std::string_view text;
  ScalarType type;
  bool value;
};
constexpr std::array<Word, 27> kWords = {{
    {"y", ScalarType::kBool, true},      {"Y", ScalarType::kBool, true},
    {"yes", ScalarType::kBool, true},    {"Yes", ScalarType::kBool, true},
    {"YES", ScalarType::kBool, true},    {"true", ScalarType::kBool, true},
    {"True", ScalarType::kBool, true},   {"TRUE", ScalarType::kBool, true},
    {"on", ScalarType::kBool, true},     {"On", ScalarType::kBool, true},
    {"ON", ScalarType::kBool, true},     {"n", ScalarType::kBool, false},
    {"N", ScalarType::kBool, false},     {"no", ScalarType::kBool, false},
    {"No", ScalarType::kBool, false},    {"NO", ScalarType::kBool, false},
    {"false", ScalarType::kBool, false}, {"False", ScalarType::kBool, false},
    {"FALSE", ScalarType::kBool, false}, {"off", ScalarType::kBool, false},
    {"Off", ScalarType::kBool, false},   {"OFF", ScalarType::kBool, false},
    {"", ScalarType::kNull, false},      {"~", ScalarType::kNull, false},
    {"null", ScalarType::kNull, false},  {"Null", ScalarType::kNull, false},
    {"NULL", ScalarType::kNull, false},
}};

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

// strconv.ParseInt(text, 0, 64) after the underscores are gone.
std::optional<int64_t> parse_go_int(std::string_view text) {
  bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    char mark = static_cast<char>(std::tolower(static_cast<unsigned char>(text[1])));
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  for (char c : text) {
    int digit = digit_value(c);
    if (digit >= base) return std::nullopt;
    if (value > (std::numeric_limits<uint64_t>::max() >> 1) / static_cast<uint64_t>(base)) {
      return std::nullopt;
    }
    value = value * static_cast<uint64_t>(base) + static_cast<uint64_t>(digit);
  }
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return negative ? -static_cast<int64_t>(value) : static_cast<int64_t>(value);
}

std::optional<double> parse_float(const std::string& text) {
  if (text.find_first_not_of("0123456789+-.eE") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  if (end != text.c_str() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

Scalar number_of(std::string_view text) {
  std::string plain(text);
  plain.erase(std::remove(plain.begin(), plain.end(), '_'), plain.end());
  if (auto integer = parse_go_int(plain)) {
    return {ScalarType::kInt, false, *integer, static_cast<double>(*integer)};
  }
  if (auto number = parse_float(plain)) return {ScalarType::kFloat, false, 0, *number};
  return {};
}

bool is_merge(const Node& key) {
  return key.kind == NodeKind::kScalar && key.style == NodeStyle::kPlain && key.text == "<<";
}
}  // namespace

Scalar resolve_scalar(const Node& node) {
  constexpr std::string_view kPrefix = "tag:yaml.org,2002:";
  std::string_view tag = node.tag;
  if (tag.substr(0, kPrefix.size()) == kPrefix) tag.remove_prefix(kPrefix.size());
  if (tag == "str" || tag == "!" || tag == "binary") return {};
  if (node.style != NodeStyle::kPlain && tag.empty()) return {};
  for (const Word& word : kWords) {
    if (word.text == node.text) return {word.type, word.value, 0, 0};
  }
  char first = node.text.empty() ? ' ' : node.text[0];
  bool numeric = (first >= '0' && first <= '9') || first == '-' || first == '+' || first == '.';
  return numeric ? number_of(node.text) : Scalar{};
}

View::View(const YamlDocument& document, NodeId id, Dialect dialect)
    : document_(&document), dialect_(dialect) {
  if (id == kNoNode || id >= document.nodes.size()) return;
  written_ = id;
  id_ = follow(id);
}

NodeId View::follow(NodeId id) const {
  const Node& node = document_->at(id);
  return node.kind == NodeKind::kAlias ? node.target : id;
}

View::Pair View::find_merged(NodeId value, std::string_view key, int depth) const {
  NodeId id = follow(value);
  const Node& node = document_->at(id);
  if (node.kind == NodeKind::kMap) return find_in(id, key, depth + 1);
  if (node.kind != NodeKind::kSeq) return {};
  for (NodeId item = node.first; item != kNoNode; item = document_->at(item).next) {
    NodeId map = follow(item);  // earlier maps of the list take precedence
    if (document_->at(map).kind != NodeKind::kMap) continue;
    Pair found = find_in(map, key, depth + 1);
    if (found.value != kNoNode) return found;
  }
  return {};
}

View::Pair View::find_in(NodeId map, std::string_view key, int depth) const {
  Pair direct, merged;
  if (depth > kMaxMerges) return {};
  const Node& node = document_->at(map);
  for (NodeId k = node.first; k != kNoNode;) {
    NodeId v = document_->at(k).next;
    if (v == kNoNode) break;
    const Node& name = document_->at(follow(k));
    if (is_merge(document_->at(k))) {
      Pair found = find_merged(v, key, depth);
      if (found.value != kNoNode) {
        merged = found;
        if (dialect_ == Dialect::kKubernetes) direct = {};  // go-yaml v2 decodes in order
      }
    } else if (name.kind == NodeKind::kScalar && name.text == key) {
      direct = {k, v};
    }
    k = document_->at(v).next;
  }
  return direct.value != kNoNode ? direct : merged;
}

View::Pair View::find(std::string_view key) const {
  return is_map() ? find_in(id_, key, 0) : Pair{};
}

View View::get(std::string_view key) const {
  Pair pair = find(key);
  if (pair.value == kNoNode) return {};
  View value(*document_, pair.value, dialect_);
  return value.is_null() ? View{} : value;
}

View View::get(std::initializer_list<std::string_view> path) const {
  View view = *this;
  for (std::string_view key : path) view = view.get(key);
  return view;
}

View View::key_of(std::string_view key) const {
  Pair pair = find(key);
  return pair.key == kNoNode ? View{} : View(*document_, pair.key, dialect_);
}

std::vector<View> View::items() const {
  std::vector<View> result;
  if (!is_seq()) return result;
  result.reserve(node().count);
  for (NodeId item = node().first; item != kNoNode; item = document_->at(item).next) {
    result.emplace_back(*document_, item, dialect_);
  }
  return result;
}

// Pairs in the order in which they are applied: a later one overrides an earlier one.
void View::collect(NodeId map, int depth, std::vector<Pair>* out) const {
  if (depth > kMaxMerges) return;
  std::vector<Pair> own;
  for (NodeId k = document_->at(map).first; k != kNoNode;) {
    NodeId v = document_->at(k).next;
    if (v == kNoNode) break;
    if (is_merge(document_->at(k))) {
      collect_merged(v, depth, out);
    } else if (dialect_ == Dialect::kCompose) {
      own.push_back({k, v});
    } else {
      out->push_back({k, v});
    }
    k = document_->at(v).next;
  }
  out->insert(out->end(), own.begin(), own.end());
}

void View::collect_merged(NodeId value, int depth, std::vector<Pair>* out) const {
  NodeId id = follow(value);
  const Node& node = document_->at(id);
  if (node.kind == NodeKind::kMap) return collect(id, depth + 1, out);
  if (node.kind != NodeKind::kSeq) return;
  std::vector<NodeId> maps;
  for (NodeId i = node.first; i != kNoNode; i = document_->at(i).next) maps.push_back(follow(i));
  for (size_t i = maps.size(); i-- > 0;) {
    if (document_->at(maps[i]).kind == NodeKind::kMap) collect(maps[i], depth + 1, out);
  }
}

std::vector<std::pair<std::string_view, View>> View::entries() const {
  std::vector<std::pair<std::string_view, View>> result;
  if (!is_map()) return result;
  std::vector<Pair> pairs;
  collect(id_, 0, &pairs);
  std::unordered_map<std::string_view, size_t> places;
  for (const Pair& pair : pairs) {
    const Node& key = document_->at(follow(pair.key));
    if (key.kind != NodeKind::kScalar) continue;
    auto [place, fresh] = places.emplace(key.text, result.size());
    if (fresh) result.emplace_back(key.text, View());
    result[place->second].second = View(*document_, pair.value, dialect_);
  }
  auto absent = [](const auto& entry) { return entry.second.is_null(); };
  result.erase(std::remove_if(result.begin(), result.end(), absent), result.end());
  return result;
}

std::optional<bool> View::as_bool() const {
  if (!is_scalar()) return std::nullopt;
  Scalar scalar = resolve_scalar(node());
  if (scalar.type != ScalarType::kBool) return std::nullopt;
  return scalar.boolean;
}

std::optional<int64_t> View::as_int() const {
  if (!is_scalar()) return std::nullopt;
  Scalar scalar = resolve_scalar(node());
  if (scalar.type == ScalarType::kInt) return scalar.integer;
  // 1000.0 and 1e3 become the JSON number 1000, which decodes into an integer.
  if (scalar.type == ScalarType::kFloat && std::abs(scalar.number) < 9e15 &&
      scalar.number == std::floor(scalar.number)) {
    return static_cast<int64_t>(scalar.number);
  }
  return std::nullopt;
}

std::optional<std::string_view> View::as_text() const {
  if (!is_scalar() || is_null()) return std::nullopt;
  return node().text;
}

std::optional<std::string_view> View::as_string() const {
  if (!is_scalar() || resolve_scalar(node()).type != ScalarType::kString) return std::nullopt;
  return node().text;
}

std::string View::text_or(std::string_view fallback) const {
  return std::string(as_text().value_or(fallback));
}

bool has_template(std::string_view text) {
  size_t open = text.find("{{");
  return open != std::string_view::npos && text.find("}}", open) != std::string_view::npos;
}

bool has_variable(std::string_view text) {
  for (size_t at = text.find('$'); at != std::string_view::npos; at = text.find('$', at + 1)) {
    if (at + 1 >= text.size()) return false;
    auto next = static_cast<unsigned char>(text[at + 1]);
    if (next == '$') {  // $$ is a literal dollar in compose
      ++at;
      continue;
    }
    if (next == '{' || next == '(' || next == '_' || std::isalpha(next) != 0) return true;
  }
  return false;
}

}  // namespace pare::target::yaml
