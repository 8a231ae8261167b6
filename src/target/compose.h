// Compose files (compose-spec) -> one workload a service.
#pragma once

#include <string>
#include <vector>

#include "target/interpolate.h"
#include "target/reader.h"

namespace pare::target::compose {

// The files as one model: variables filled in, `include` and `extends` followed, later files laid
// over earlier ones.
struct Project {
  std::vector<SourceFile> files;         // the user's, then those that they include and extend
  std::vector<std::string> directories;  // what relative paths in each file start from
  Environment environment;               // the caller's over .env
  std::string name;
  Tree root;
};

Result<Project> load_project(const std::vector<SourceFile>& files, std::vector<Tree> documents,
                             const FileOptions& options);

// `over` laid over `base` (compose-spec 13-merge.md). `path`: the keys from the file's root.
void merge(Tree& base, Tree over, const std::vector<std::string>& path);

// One service of a project.
Workload read_service(const Project& project, const Tree::Entry& service,
                      const FileOptions& options);

Result<std::vector<Workload>> read_compose(const std::vector<SourceFile>& files,
                                           std::vector<Tree> documents, const FileOptions& options);

// Words of a command line, as compose splits one (mattn/go-shellwords): quotes and backslashes.
Result<std::vector<std::string>> split_words(std::string_view text);

}  // namespace pare::target::compose
