#include "target/tree.h"

#include <algorithm>
#include <unordered_set>

#include "base/text.h"

namespace pare::target {

using yaml::kNoNode;
using yaml::NodeId;
using yaml::NodeKind;

const Tree::Entry* Tree::find(std::string_view key) const {
  for (const Entry& entry : map) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

Tree::Entry* Tree::find(std::string_view key) {
  return const_cast<Entry*>(std::as_const(*this).find(key));
}

const Tree* Tree::get(std::string_view key) const {
  const Entry* entry = find(key);
  return entry == nullptr || entry->value.is_null() ? nullptr : &entry->value;
}

const Tree* Tree::get(std::initializer_list<std::string_view> path) const {
  const Tree* at = this;
  for (std::string_view key : path) {
    if (at != nullptr) at = at->get(key);
  }
  return at;
}

std::string Tree::text_or(std::string_view fallback) const {
  return is_scalar() ? text : std::string(fallback);
}

namespace {

// Offsets to lines.
class Lines {
 public:
  explicit Lines(std::string_view text) {
    for (size_t at = 0; at < text.size(); ++at) {
      if (text[at] == '\n') ends_.push_back(at);
    }
  }
  uint32_t line(size_t offset) const {
    auto at = std::lower_bound(ends_.begin(), ends_.end(), offset);
    return static_cast<uint32_t>(at - ends_.begin()) + 1;
  }

 private:
  std::vector<size_t> ends_;
};

class Converter {
 public:
  Converter(const Lines& lines, const yaml::YamlDocument& document, uint32_t file,
            yaml::Dialect dialect)
      : lines_(lines), document_(document), file_(file), dialect_(dialect) {}

  Tree convert(NodeId id) {
    const yaml::Node& written = document_.at(id);
    const yaml::Node& node =
        written.kind == NodeKind::kAlias ? document_.at(written.target) : written;
    Tree tree;
    tree.file = file_;
    tree.line = lines_.line(node.span.begin);
    tree.tag = node.tag;
    if (++count_ > kMaxTree) refuse(tree.line, "has more than 100,000 nodes");
    if (why_) return tree;
    if (node.kind == NodeKind::kScalar) {
      yaml::Scalar scalar = yaml::resolve_scalar(node);
      tree.kind = scalar.type == yaml::ScalarType::kNull ? Tree::Kind::kNull : Tree::Kind::kScalar;
      tree.type = scalar.type;
      tree.text = node.text;
    } else if (node.kind == NodeKind::kSeq) {
      tree.kind = Tree::Kind::kSeq;
      for (NodeId i = node.first; i != kNoNode; i = document_.at(i).next) {
        tree.seq.push_back(convert(i));
      }
    } else {
      convert_map(node, &tree);
    }
    return tree;
  }

  // Why the document cannot be used, and in which line.
  const std::optional<std::pair<uint32_t, std::string>>& why() const { return why_; }

 private:
  void refuse(uint32_t line, std::string why) {
    if (!why_) why_ = {line, std::move(why)};
  }

  static void put(Tree* tree, Tree::Entry entry, bool replace) {
    Tree::Entry* known = tree->find(entry.key);
    if (known == nullptr) {
      tree->map.push_back(std::move(entry));
    } else if (replace) {
      *known = std::move(entry);
    }
  }

  void convert_map(const yaml::Node& node, Tree* tree) {
    tree->kind = Tree::Kind::kMap;
    std::unordered_set<std::string> own;
    bool merged = false;
    for (NodeId k = node.first; k != kNoNode;) {
      NodeId v = document_.at(k).next;
      if (v == kNoNode || why_) return;
      const yaml::Node& written = document_.at(k);
      const yaml::Node& key =
          written.kind == NodeKind::kAlias ? document_.at(written.target) : written;
      uint32_t line = lines_.line(written.span.begin);
      if (key.kind != NodeKind::kScalar) return refuse(line, "has a key that is not a word");
      if (key.text == "<<" && key.style == yaml::NodeStyle::kPlain) {
        merged = true;
        merge(convert(v), line, own, tree);
      } else if (!own.insert(std::string(key.text)).second) {
        return refuse(line, "key '" + std::string(key.text) + "' stands twice in one mapping");
      } else {
        Tree::Entry entry{std::string(key.text), line, convert(v)};
        if (merged) {
          put(tree, std::move(entry), true);
        } else {
          tree->map.push_back(std::move(entry));
        }
      }
      k = document_.at(v).next;
    }
  }

  // go-yaml v3 (compose): what the mapping itself says wins. v2 (Kubernetes): what comes later.
  void merge(Tree value, uint32_t line, const std::unordered_set<std::string>& own, Tree* tree) {
    if (value.is_map()) {
      for (Tree::Entry& entry : value.map) {
        bool replace = dialect_ == yaml::Dialect::kKubernetes || own.count(entry.key) == 0;
        put(tree, std::move(entry), replace);
      }
      return;
    }
    if (!value.is_seq()) return refuse(line, "<<: is neither a mapping nor a list of mappings");
    // Earlier ones of a list win: they are put last.
    std::reverse(value.seq.begin(), value.seq.end());
    for (Tree& item : value.seq) {
      if (!item.is_map()) return refuse(line, "<<: lists something that is no mapping");
      merge(std::move(item), line, own, tree);
    }
  }

  const Lines& lines_;
  const yaml::YamlDocument& document_;
  uint32_t file_;
  yaml::Dialect dialect_;
  size_t count_ = 0;
  std::optional<std::pair<uint32_t, std::string>> why_;
};

std::string shown(const SourceFile& file) {
  return file.path == "-" ? "<stdin>" : file.path;
}

tl::unexpected<Error> unread(const SourceFile& file, uint32_t line, const std::string& why) {
  std::string hint;
  if (yaml::has_template(file.text) && why.find("twice") == std::string::npos) {
    hint = "; it looks like a template: render it first (helm template)";
  }
  return fail(ErrorKind::kUnread, shown(file) + ":" + std::to_string(line) + ": " + why + hint);
}

}  // namespace

Result<std::vector<Tree>> read_trees(const SourceFile& file, uint32_t index,
                                     yaml::Dialect dialect) {
  Lines lines(file.text);
  if (auto bad = yaml::check_encoding(file.text)) {
    return unread(file, lines.line(bad->offset), bad->why);
  }
  std::vector<Tree> trees;
  for (const yaml::Part& part : yaml::split_documents(file.text)) {
    auto documents = yaml::parse_yaml(file.text, part.span);
    if (!documents) {
      return unread(file, lines.line(documents.error().offset), documents.error().why);
    }
    for (const yaml::YamlDocument& document : *documents) {
      if (document.root == kNoNode) continue;
      Converter converter(lines, document, index, dialect);
      Tree tree = converter.convert(document.root);
      if (converter.why()) return unread(file, converter.why()->first, converter.why()->second);
      trees.push_back(std::move(tree));
    }
  }
  return trees;
}

yaml::Dialect dialect_of(const SourceFile& file) {
  for (const std::string& line : base::split(file.text, '\n')) {
    if (base::starts_with(line, "services:") || base::starts_with(line, "include:")) {
      return yaml::Dialect::kCompose;
    }
    if (base::starts_with(line, "apiVersion:") || base::starts_with(line, "kind:")) break;
  }
  return yaml::Dialect::kKubernetes;
}

}  // namespace pare::target
