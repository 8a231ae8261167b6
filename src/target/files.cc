#include "target/files.h"

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "target/compose.h"
#include "target/kube.h"
#include "target/tree.h"

namespace pare::target {

namespace {

auto usage(std::string message) {
  return fail(ErrorKind::kUsage, std::move(message));
}

std::string shown(const SourceFile& file) {
  return file.path == "-" ? "<stdin>" : file.path;
}

std::string full_name(const Workload& workload) {
  return workload.object + (workload.kind == FileKind::kKubernetes ? "/" + workload.container : "");
}

// "KIND/OBJECT/NAME", and that without its first words.
bool is_named(const Workload& workload, const std::string& name) {
  std::string full = full_name(workload);
  return name == full || base::ends_with(full, "/" + name) || name == workload.container;
}

}  // namespace

bool is_target_file(std::string_view word) {
  return word == "-" || base::ends_with(word, ".yaml") || base::ends_with(word, ".yml") ||
         base::ends_with(word, ".json");
}

Result<std::vector<Workload>> read_target_files(const std::vector<SourceFile>& files,
                                                const FileOptions& options) {
  if (files.empty()) return usage("no file was given");
  FileOptions with_reader = options;
  if (!with_reader.read_file) with_reader.read_file = base::read_file;
  std::vector<Tree> documents;
  size_t compose = 0;
  for (const SourceFile& file : files) {
    yaml::Dialect dialect = dialect_of(file);
    PARE_TRY(std::vector<Tree> trees,
             read_trees(file, static_cast<uint32_t>(&file - files.data()), dialect));
    if (trees.empty()) return usage(shown(file) + " is empty");
    bool is_compose = dialect == yaml::Dialect::kCompose;
    if (is_compose && trees.size() > 1)
      return usage(shown(file) + ": a compose file is one document");
    compose += is_compose ? 1 : 0;
    for (Tree& tree : trees) documents.push_back(std::move(tree));
  }
  if (compose != 0 && compose != files.size()) {
    return usage("the files are of different kinds: give compose files or Kubernetes files");
  }
  if (compose != 0) return compose::read_compose(files, std::move(documents), with_reader);
  return kube::read_kubernetes(files, documents, with_reader);
}

Result<Workload> choose_workload(std::vector<Workload> workloads, const std::string& container) {
  std::vector<size_t> fitting;
  for (size_t i = 0; i < workloads.size(); ++i) {
    bool fits = container.empty() ? !workloads[i].only_by_name : is_named(workloads[i], container);
    if (fits) fitting.push_back(i);
  }
  if (fitting.size() == 1) {
    Workload& chosen = workloads[fitting[0]];
    if (chosen.refused) return tl::unexpected(*chosen.refused);
    return std::move(chosen);
  }
  std::vector<std::string> names;
  for (const Workload& workload : workloads) {
    names.push_back(full_name(workload) + " (" + workload.where +
                    (workload.only_by_name ? ", only by its name" : "") + ")");
  }
  std::string choices = base::join(names, ", ");
  if (fitting.empty() && !container.empty()) {
    return usage("no container is called '" + container + "': there is " + choices);
  }
  return usage((container.empty() ? "several containers are in these files"
                                  : "'" + container + "' is the name of several containers") +
               std::string(": name one with --container, of ") + choices);
}

}  // namespace pare::target
