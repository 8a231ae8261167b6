#include "cli/checks_file.h"

#include "base/file.h"
#include "base/json.h"
#include "target/tree.h"

namespace pare::cli {

namespace {

using base::Json;
using target::Tree;

// Numbers stay as they are written: a body's 1.0 is not 1.
Json json_of(const Tree& tree) {
  using target::yaml::ScalarType;
  switch (tree.kind) {
    case Tree::Kind::kNull:
      return nullptr;
    case Tree::Kind::kMap: {
      Json map = Json::object();
      for (const Tree::Entry& entry : tree.map) map[entry.key] = json_of(entry.value);
      return map;
    }
    case Tree::Kind::kSeq: {
      Json list = Json::array();
      for (const Tree& item : tree.seq) list.push_back(json_of(item));
      return list;
    }
    case Tree::Kind::kScalar:
      break;
  }
  if (tree.type == ScalarType::kNull) return nullptr;
  if (tree.type == ScalarType::kString) return tree.text;
  Json value = Json::parse(tree.text, nullptr, false);  // not every YAML number is one of JSON's
  return value.is_discarded() ? Json(tree.text) : value;
}

}  // namespace

Result<std::vector<check::Spec>> checks_of_file(const std::string& path) {
  target::SourceFile file{path, ""};
  PARE_TRY(file.text, base::read_file(path));
  PARE_TRY(std::vector<Tree> trees, target::read_trees(file, 0, target::yaml::Dialect::kCompose));
  if (trees.size() != 1) return fail(ErrorKind::kUsage, path + " does not hold one document");
  const Tree* list = trees[0].is_map() ? trees[0].get("checks") : &trees[0];
  if (list == nullptr || !list->is_seq()) {
    return fail(ErrorKind::kUsage, path + " is no list of checks, and has none under checks:");
  }
  auto specs = check::parse_checks(json_of(*list));
  if (!specs) return fail(specs.error().kind, path + ": " + specs.error().message);
  return specs;
}

}  // namespace pare::cli
