#include <algorithm>
#include <array>

#include "base/text.h"
#include "target/compose.h"

namespace pare::target::compose {

namespace {

enum class Rule {
  kDefault,   // mappings by key, lists one after the other, all else replaced
  kReplace,   // whatever it is
  kPairs,     // "A=B" lists and mappings are the same thing
  kByTarget,  // lists whose items are told apart by where they go
};

struct Row {
  std::string_view key;  // below services.NAME
  Rule rule;
};

// compose-go override/merge.go and override/uncity.go
constexpr std::array<Row, 26> kRows = {{
    {"command", Rule::kReplace},       {"entrypoint", Rule::kReplace},
    {"image", Rule::kReplace},         {"healthcheck.test", Rule::kReplace},
    {"environment", Rule::kPairs},     {"labels", Rule::kPairs},
    {"annotations", Rule::kPairs},     {"sysctls", Rule::kPairs},
    {"extra_hosts", Rule::kPairs},     {"build.args", Rule::kPairs},
    {"build.labels", Rule::kPairs},    {"deploy.labels", Rule::kPairs},
    {"depends_on", Rule::kPairs},      {"networks", Rule::kPairs},
    {"volumes", Rule::kByTarget},      {"ports", Rule::kByTarget},
    {"devices", Rule::kByTarget},      {"secrets", Rule::kByTarget},
    {"configs", Rule::kByTarget},      {"tmpfs", Rule::kByTarget},
    {"cap_add", Rule::kByTarget},      {"cap_drop", Rule::kByTarget},
    {"env_file", Rule::kByTarget},     {"expose", Rule::kByTarget},
    {"security_opt", Rule::kByTarget}, {"group_add", Rule::kByTarget},
}};

Rule rule_of(const std::vector<std::string>& path) {
  if (path.size() < 3 || path[0] != "services") return Rule::kDefault;
  std::string key = base::join(std::vector<std::string>(path.begin() + 2, path.end()), ".");
  for (const Row& row : kRows) {
    if (row.key == key) return row.rule;
  }
  return Rule::kDefault;
}

// A list of "A=B" (or of names alone) as a mapping.
void to_pairs(Tree& tree) {
  if (!tree.is_seq()) return;
  Tree map = tree;
  map.kind = Tree::Kind::kMap;
  map.seq.clear();
  for (Tree& item : tree.seq) {
    std::string text = item.text_or();
    size_t cut = std::min(text.find('='), text.size());
    Tree value = item;
    value.text = cut < text.size() ? text.substr(cut + 1) : "";
    if (cut == text.size() && !item.broken) value.kind = Tree::Kind::kNull;
    Tree::Entry entry{text.substr(0, cut), item.line, std::move(value)};
    if (Tree::Entry* known = map.find(entry.key)) {
      *known = std::move(entry);
    } else {
      map.map.push_back(std::move(entry));
    }
  }
  tree = std::move(map);
}

// What tells an item of a list apart from the others: where a mount or a port ends up.
std::string identity(const Tree& item, const std::string& list) {
  if (item.is_map()) {
    std::string out;
    for (std::string_view key : {"target", "path", "source", "published", "protocol", "host_ip"}) {
      const Tree* value = item.get(key);
      bool counts = list == "ports" || out.empty();
      if (value != nullptr && counts) out += value->text_or() + "|";
    }
    return out;
  }
  std::string text = item.text_or();
  if (list == "volumes" || list == "devices" || list == "tmpfs") {
    std::vector<std::string> parts = base::split(text, ':');
    bool first = parts.size() == 1 || list == "tmpfs";
    return (first ? parts[0] : parts[1]) + "|";
  }
  return text + "|";
}

void merge_list(Tree& base, Tree over, const std::string& list) {
  for (Tree& item : over.seq) {
    std::string id = identity(item, list);
    auto same = std::find_if(base.seq.begin(), base.seq.end(),
                             [&](const Tree& known) { return identity(known, list) == id; });
    if (same == base.seq.end()) {
      base.seq.push_back(std::move(item));
    } else {
      *same = std::move(item);
    }
  }
}

// One word where a list may stand.
void to_list(Tree& tree) {
  if (!tree.is_scalar()) return;
  Tree list = tree;
  list.kind = Tree::Kind::kSeq;
  list.seq = {tree};
  tree = std::move(list);
}

}  // namespace

void merge(Tree& base, Tree over, const std::vector<std::string>& path) {
  if (over.tag == "!override") {
    over.tag.clear();
    base = std::move(over);
    return;
  }
  Rule rule = rule_of(path);
  if (rule == Rule::kPairs) {
    to_pairs(base);
    to_pairs(over);
  }
  if (rule == Rule::kByTarget) {
    to_list(base);
    to_list(over);
  }
  if (rule == Rule::kReplace || base.kind != over.kind || base.is_scalar() || base.is_null()) {
    if (!over.is_null()) base = std::move(over);
  } else if (base.is_seq()) {
    if (rule == Rule::kByTarget) return merge_list(base, std::move(over), path.back());
    for (Tree& item : over.seq) base.seq.push_back(std::move(item));
  } else {
    std::vector<std::string> below = path;
    below.emplace_back();
    for (Tree::Entry& entry : over.map) {
      Tree::Entry* known = base.find(entry.key);
      below.back() = entry.key;
      if (entry.value.tag == "!reset") {
        base.map.erase(std::remove_if(base.map.begin(), base.map.end(),
                                      [&](const Tree::Entry& e) { return e.key == entry.key; }),
                       base.map.end());
      } else if (known == nullptr) {
        base.map.push_back(std::move(entry));
      } else {
        known->line = entry.line;
        merge(known->value, std::move(entry.value), below);
      }
    }
  }
}

}  // namespace pare::target::compose
