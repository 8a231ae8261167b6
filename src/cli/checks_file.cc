#include "cli/checks_file.h"

#include "base/file.h"
#include "target/tree_json.h"

namespace pare::cli {

using target::Tree;

Result<std::vector<check::Spec>> checks_of_file(const std::string& path) {
  target::SourceFile file{path, ""};
  PARE_TRY(file.text, base::read_file(path));
  PARE_TRY(std::vector<Tree> trees, target::read_trees(file, 0, target::yaml::Dialect::kCompose));
  if (trees.size() != 1) return fail(ErrorKind::kUsage, path + " does not hold one document");
  const Tree* list = trees[0].is_map() ? trees[0].get("checks") : &trees[0];
  if (list == nullptr || !list->is_seq()) {
    return fail(ErrorKind::kUsage, path + " is no list of checks, and has none under checks:");
  }
  auto specs = check::parse_checks(target::json_of<base::Json>(*list));
  if (!specs) return fail(specs.error().kind, path + ": " + specs.error().message);
  return specs;
}

}  // namespace pare::cli
