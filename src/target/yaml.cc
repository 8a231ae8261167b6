#include "target/yaml.h"

#include <libfyaml.h>

#include <algorithm>
#include <memory>
#include <unordered_map>

#include "base/text.h"
#include "base/utf8.h"

namespace pare::target::yaml {
namespace {

constexpr std::string_view kBom = "\xef\xbb\xbf";

struct FreeParser {
  void operator()(fy_parser* parser) const { fy_parser_destroy(parser); }
};
struct FreeDiag {
  void operator()(fy_diag* diag) const { fy_diag_unref(diag); }
};

// libfyaml 0.7.12 leaks the errors that it collects, so its messages are read instead; without an
// output function they would go to stderr.
void keep_message(fy_diag*, void* user, const char* text, size_t length) {
  auto* kept = static_cast<std::string*>(user);
  if (kept->size() < 4096) kept->append(text, length);
}

struct Engine {
  std::string messages;
  std::unique_ptr<fy_diag, FreeDiag> diag;
  std::unique_ptr<fy_parser, FreeParser> parser;
};

void start(Engine* engine_pointer) {
  Engine& engine = *engine_pointer;
  fy_diag_cfg diag_cfg;
  fy_diag_cfg_default(&diag_cfg);
  diag_cfg.fp = nullptr;
  diag_cfg.output_fn = keep_message;
  diag_cfg.user = &engine.messages;
  diag_cfg.colorize = false;
  engine.diag.reset(fy_diag_create(&diag_cfg));
  fy_parse_cfg cfg = {};
  cfg.flags = static_cast<fy_parse_cfg_flags>(FYPCF_JSON_NONE);
  cfg.diag = engine.diag.get();
  engine.parser.reset(fy_parser_create(&cfg));
}

NodeStyle style_of(fy_token* token) {
  switch (token == nullptr ? FYSS_PLAIN : fy_token_scalar_style(token)) {
    case FYSS_SINGLE_QUOTED:
      return NodeStyle::kSingle;
    case FYSS_DOUBLE_QUOTED:
      return NodeStyle::kDouble;
    case FYSS_LITERAL:
      return NodeStyle::kLiteral;
    case FYSS_FOLDED:
      return NodeStyle::kFolded;
    default:
      return NodeStyle::kPlain;
  }
}

// Builds the tree from libfyaml's events.
class Builder {
 public:
  Builder(std::string_view bytes, Span part) : bytes_(bytes), part_(part), reached_(part.begin) {}

  // nullopt while all is well.
  std::optional<Unread> take(fy_event* event) {
    switch (event->type) {
      case FYET_DOCUMENT_START:
        documents_.emplace_back();
        anchors_.clear();
        return std::nullopt;
      case FYET_DOCUMENT_END:
        return check_expansion();
      case FYET_MAPPING_START:
        return open(NodeKind::kMap, event, event->mapping_start.anchor, event->mapping_start.tag);
      case FYET_SEQUENCE_START:
        return open(NodeKind::kSeq, event, event->sequence_start.anchor, event->sequence_start.tag);
      case FYET_MAPPING_END:
      case FYET_SEQUENCE_END:
        close(event);
        return std::nullopt;
      case FYET_SCALAR:
        scalar(event);
        return std::nullopt;
      case FYET_ALIAS:
        return alias(event);
      default:
        return std::nullopt;
    }
  }
  std::vector<YamlDocument> finish() { return std::move(documents_); }
  // Where the text that was understood ends.
  size_t reached() const { return reached_; }

 private:
  YamlDocument& doc() { return documents_.back(); }
  Node& node(NodeId id) { return doc().nodes[id]; }

  size_t offset(const fy_mark* mark) const {
    if (mark == nullptr) return reached_;
    return std::min(part_.begin + mark->input_pos, part_.end);
  }

  // A value that is also the file's bytes is a view of them; else it is kept beside.
  std::string_view keep(std::string_view value, Span span) {
    std::string_view source = bytes_.substr(span.begin, span.end - span.begin);
    if (value == source) return source;
    if (source.size() == value.size() + 2 && source.substr(1, value.size()) == value) {
      return source.substr(1, value.size());
    }
    return doc().owned.emplace_back(value);
  }

  std::string_view keep_token(fy_token* token) {
    size_t length = 0;
    const char* text = token == nullptr ? nullptr : fy_token_get_text(token, &length);
    if (text == nullptr) return {};
    return doc().owned.emplace_back(text, length);
  }

  NodeId add(NodeKind kind, Span span, fy_token* anchor, fy_token* tag) {
    auto id = static_cast<NodeId>(doc().nodes.size());
    doc().nodes.emplace_back();
    node(id).kind = kind;
    node(id).span = span;
    if (anchor != nullptr) {
      node(id).anchor = keep_token(anchor);
      anchors_[std::string(node(id).anchor)] = id;
    }
    if (tag != nullptr) node(id).tag = keep_token(tag);
    if (open_.empty()) {
      doc().root = id;
    } else {
      node(id).parent = open_.back();
      Node& parent = node(open_.back());
      if (parent.last == kNoNode) {
        parent.first = id;
      } else {
        node(parent.last).next = id;
      }
      parent.last = id;
      ++parent.count;
    }
    reached_ = std::max(reached_, span.end);
    return id;
  }

  std::optional<Unread> open(NodeKind kind, fy_event* event, fy_token* anchor, fy_token* tag) {
    size_t begin = offset(fy_event_start_mark(event));
    char bracket = kind == NodeKind::kMap ? '{' : '[';
    // A block collection's start mark has no extent.
    bool flow = begin < part_.end && bytes_[begin] == bracket &&
                offset(fy_event_end_mark(event)) == begin + 1;
    NodeId id = add(kind, {begin, begin}, anchor, tag);
    node(id).style = flow ? NodeStyle::kFlow : NodeStyle::kBlock;
    open_.push_back(id);
    if (open_.size() > kMaxDepth) return Unread{begin, "nested deeper than 200 levels"};
    return std::nullopt;
  }

  void close(fy_event* event) {
    Node& closed = node(open_.back());
    open_.pop_back();
    if (closed.style == NodeStyle::kFlow) {
      closed.span.end = std::max(offset(fy_event_end_mark(event)), closed.span.begin);
    } else if (closed.last != kNoNode) {
      // The event's own mark is where the next token begins; the content ended before.
      closed.span.begin = std::min(closed.span.begin, node(closed.first).span.begin);
      closed.span.end = std::max(node(closed.last).span.end, closed.span.begin);
    }
    reached_ = std::max(reached_, closed.span.end);
  }

  void scalar(fy_event* event) {
    fy_token* token = event->scalar.value;
    size_t length = 0;
    const char* text = token == nullptr ? nullptr : fy_token_get_text(token, &length);
    std::string_view value(text == nullptr ? "" : text, text == nullptr ? 0 : length);
    const fy_mark* start = fy_event_start_mark(event);
    Span span{reached_, reached_};
    if (token != nullptr && start != nullptr) {
      span = {offset(start), offset(fy_event_end_mark(event))};
      span.end = std::max(span.begin, span.end);
    }
    NodeStyle style = style_of(token);
    if (style == NodeStyle::kSingle || style == NodeStyle::kDouble) span = with_quotes(span);
    // Files glued together have a byte order mark before a later document's first key.
    if (style == NodeStyle::kPlain && value.substr(0, kBom.size()) == kBom) {
      value.remove_prefix(kBom.size());
      span.begin = std::min(span.end, span.begin + kBom.size());
    }
    NodeId id = add(NodeKind::kScalar, span, event->scalar.anchor, event->scalar.tag);
    node(id).text = keep(value, span);
    node(id).style = style;
    if (span.begin == span.end) place_absent(node(id));
  }

  // libfyaml's marks leave the quotes out.
  Span with_quotes(Span span) const {
    if (span.begin > part_.begin) --span.begin;
    if (span.end < part_.end) ++span.end;
    return span;
  }

  // An absent value stands right after its key's colon.
  void place_absent(Node& absent) {
    if (absent.parent == kNoNode || node(absent.parent).kind != NodeKind::kMap) return;
    size_t at = bytes_.find_first_not_of(" \t", reached_);
    if (at < part_.end && bytes_[at] == ':') absent.span = {at + 1, at + 1};
  }

  std::optional<Unread> alias(fy_event* event) {
    Span span{offset(fy_event_start_mark(event)), offset(fy_event_end_mark(event))};
    if (span.begin > part_.begin && bytes_[span.begin - 1] == '*') --span.begin;
    NodeId id = add(NodeKind::kAlias, span, nullptr, nullptr);
    std::string name(keep_token(event->alias.anchor));
    node(id).text = doc().owned.back();
    auto found = anchors_.find(name);
    if (found == anchors_.end()) {
      return Unread{span.begin, "alias *" + name + " has no anchor before it"};
    }
    for (NodeId up = node(id).parent; up != kNoNode; up = node(up).parent) {
      if (up == found->second) {
        return Unread{span.begin, "anchor &" + name + " contains itself"};
      }
    }
    node(id).target = found->second;
    node(found->second).aliased = true;
    return std::nullopt;
  }

  // Nodes are in pre-order, so a subtree is a range of ids, and an alias comes after its target's
  // range has ended: one pass of prefix sums weighs the document as if all aliases were followed.
  std::optional<Unread> check_expansion() {
    const std::vector<Node>& nodes = doc().nodes;
    bool aliases = std::any_of(nodes.begin(), nodes.end(),
                               [](const Node& n) { return n.kind == NodeKind::kAlias; });
    if (!aliases) return std::nullopt;
    std::vector<size_t> end(nodes.size()), prefix(nodes.size() + 1, 0);
    for (size_t i = nodes.size(); i-- > 0;) {
      end[i] = nodes[i].last == kNoNode ? i + 1 : end[nodes[i].last];
    }
    for (size_t i = 0; i < nodes.size(); ++i) {
      size_t weight = 1;
      if (nodes[i].target != kNoNode) {
        weight += prefix[end[nodes[i].target]] - prefix[nodes[i].target];
      }
      prefix[i + 1] = prefix[i] + weight;
      if (prefix[i + 1] > kMaxExpansion + nodes.size()) {
        return Unread{nodes[i].span.begin,
                      "aliases expand to more than a million nodes; Kubernetes refuses such a "
                      "document too"};
      }
    }
    return std::nullopt;
  }

  std::string_view bytes_;
  Span part_;
  size_t reached_;
  std::vector<YamlDocument> documents_;
  std::vector<NodeId> open_;
  std::unordered_map<std::string, NodeId> anchors_;
};

bool is_separator(std::string_view line) {
  return line.substr(0, 3) == "---" &&
         (line.size() == 3 || line[3] == ' ' || line[3] == '\t' || line[3] == '\r');
}

// More than blank lines, comments, directives and markers.
bool has_content(std::string_view part) {
  while (!part.empty()) {
    std::string_view line = part.substr(0, part.find('\n'));
    part.remove_prefix(std::min(part.size(), line.size() + 1));
    if (line.substr(0, kBom.size()) == kBom) line.remove_prefix(kBom.size());
    if (is_separator(line)) line.remove_prefix(3);
    if (line.substr(0, 3) == "..." || line.substr(0, 1) == "%") continue;
    size_t at = line.find_first_not_of(" \t\r");
    if (at != std::string_view::npos && line[at] != '#') return true;
  }
  return false;
}

size_t offset_of_line(std::string_view text, size_t line, size_t column) {
  size_t at = 0;
  for (size_t i = 1; i < line; ++i) {
    size_t end = text.find('\n', at);
    if (end == std::string_view::npos) return text.size();
    at = end + 1;
  }
  return std::min(text.size(), at + (column == 0 ? 0 : column - 1));
}

// "<memory-@...>:LINE:COLUMN: error: WHAT" of the first message.
Unread parse_error(std::string_view message, std::string_view text, size_t begin) {
  constexpr std::string_view kMark = ": error: ";
  size_t mark = message.find(kMark);
  if (mark == std::string_view::npos) return {begin, "not YAML"};
  std::string_view what = message.substr(mark + kMark.size());
  what = what.substr(0, what.find('\n'));
  std::string_view place = message.substr(0, mark);
  size_t second = place.rfind(':');
  size_t first = second == std::string_view::npos || second == 0 ? std::string_view::npos
                                                                 : place.rfind(':', second - 1);
  if (first == std::string_view::npos) return {begin, std::string(what)};
  auto line = base::parse_u64(place.substr(first + 1, second - first - 1));
  auto column = base::parse_u64(place.substr(second + 1));
  return {begin + offset_of_line(text, line.value_or(1), column.value_or(1)), std::string(what)};
}
}  // namespace

std::vector<Part> split_documents(std::string_view bytes) {
  std::vector<Part> parts;
  size_t begin = 0, index = 0;
  size_t directives = std::string_view::npos;  // where directives before a "---" begin
  auto close = [&](size_t end) {
    std::string_view part = bytes.substr(begin, end - begin);
    if (has_content(part)) parts.push_back({{begin, end}, index});
    std::string_view line = part.substr(0, part.find('\n'));
    bool bare = is_separator(line) && line.size() + 1 >= part.size();
    if (!part.empty() && !bare) ++index;
    begin = end;
  };
  for (size_t at = 0; at < bytes.size();) {
    size_t end = std::min(bytes.size(), bytes.find('\n', at));
    std::string_view line = bytes.substr(at, end - at);
    if (is_separator(line)) close(std::min(at, directives));
    if (line.substr(0, 1) != "%") {
      directives = std::string_view::npos;
    } else if (directives == std::string_view::npos) {
      directives = at;
    }
    at = end + 1;
  }
  close(bytes.size());
  return parts;
}

std::optional<Unread> check_encoding(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    auto byte = static_cast<unsigned char>(bytes[at]);
    if (byte == 0x7f || (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r')) {
      return Unread{at, "a control character that YAML forbids"};
    }
    size_t length = base::utf8_length(bytes.substr(at));
    if (length == 0) return Unread{at, "not UTF-8"};
    at += length;
  }
  return std::nullopt;
}

tl::expected<std::vector<YamlDocument>, Unread> parse_yaml(std::string_view bytes, Span part) {
  std::string_view text = bytes.substr(part.begin, part.end - part.begin);
  Engine engine;
  start(&engine);
  if (!engine.parser || fy_parser_set_string(engine.parser.get(), text.data(), text.size()) != 0) {
    return tl::unexpected(Unread{part.begin, "libfyaml could not start"});
  }
  Builder builder(bytes, part);
  std::optional<Unread> error;
  while (!error) {
    fy_event* event = fy_parser_parse(engine.parser.get());
    if (event == nullptr) break;
    error = builder.take(event);
    fy_parser_event_free(engine.parser.get(), event);
  }
  if (error) return tl::unexpected(*error);
  if (fy_parser_get_stream_error(engine.parser.get())) {
    return tl::unexpected(parse_error(engine.messages, text, part.begin));
  }
  // libfyaml ends some inputs early without a word: what it left over must be blank.
  std::string_view rest = bytes.substr(builder.reached(), part.end - builder.reached());
  size_t tail = rest.find('\n');
  if (tail != std::string_view::npos && has_content(rest.substr(tail + 1))) {
    return tl::unexpected(Unread{builder.reached() + tail + 1, "the YAML parser stopped here"});
  }
  return builder.finish();
}

}  // namespace pare::target::yaml
