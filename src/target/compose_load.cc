#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <set>

#include "base/text.h"
#include "target/compose.h"

namespace pare::target::compose {

namespace {

constexpr size_t kMaxFiles = 64;
constexpr int kMaxDepth = 32;  // of extends and include

auto usage(std::string message) {
  return fail(ErrorKind::kUsage, std::move(message));
}

std::string directory_of(const std::string& path) {
  if (path == "-") return ".";
  std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string below(const std::string& directory, const std::string& path) {
  if (!path.empty() && path[0] == '/') return path;
  return (std::filesystem::path(directory) / path).lexically_normal().string();
}

// A tree that stands in for nothing.
Tree empty_map() {
  Tree tree;
  tree.kind = Tree::Kind::kMap;
  return tree;
}

class Loader {
 public:
  Loader(Project& project, const FileOptions& options) : project_(project), options_(options) {}

  Result<Tree> load(std::vector<Tree> documents, const Environment& environment, int depth) {
    Tree root = empty_map();
    for (Tree& document : documents) {
      if (!document.is_map()) return usage(where(document) + ": a compose file is a mapping");
      interpolate(document, environment);
      PARE_CHECK_OK(add_included(document, root, environment, depth));
      PARE_CHECK_OK(follow_extends(document, root, environment));
      merge(root, std::move(document), {});
    }
    return root;
  }

  // .env of a directory under what is known already.
  Result<Environment> with_dotenv(const std::string& path, const Environment& over) {
    Environment all = over;
    auto text = options_.read_file(path);
    if (!text) return all;  // most projects have none
    PARE_TRY(std::vector<EnvVar> env, parse_dotenv(*text, path, over));
    for (EnvVar& variable : env) all.emplace(variable.name, variable.value);
    return all;
  }

 private:
  std::string where(const Tree& tree) const {
    return project_.files[tree.file].path + ":" + std::to_string(tree.line);
  }

  Result<std::vector<Tree>> open(const std::string& path, const std::string& directory,
                                 const Tree& at) {
    if (project_.files.size() >= kMaxFiles) {
      return usage(where(at) + ": more than 64 files are included or extended");
    }
    auto text = options_.read_file(path);
    if (!text) return usage(where(at) + ": " + text.error().message);
    project_.files.push_back({path, std::move(*text)});
    project_.directories.push_back(directory);
    return read_trees(project_.files.back(), static_cast<uint32_t>(project_.files.size() - 1),
                      yaml::Dialect::kCompose);
  }

  // ---- include

  Status add_included(Tree& document, Tree& root, const Environment& environment, int depth) {
    const Tree* list = document.get("include");
    if (list == nullptr) return {};
    if (depth > kMaxDepth) return usage(where(*list) + ": include is nested too deep");
    for (const Tree& item : list->seq) {
      const Tree* path = item.is_map() ? item.get("path") : &item;
      if (path == nullptr) return usage(where(item) + ": include needs a path");
      std::vector<std::string> paths;
      for (const Tree& one : path->is_seq() ? path->seq : std::vector<Tree>{*path}) {
        paths.push_back(below(project_.directories[item.file], one.text_or()));
      }
      if (paths.empty()) continue;
      const Tree* own = item.get("project_directory");
      std::string directory = own == nullptr
                                  ? directory_of(paths[0])
                                  : below(project_.directories[item.file], own->text_or());
      const Tree* env_file = item.get("env_file");
      std::string dotenv = env_file == nullptr || !env_file->is_scalar()
                               ? below(directory, ".env")
                               : below(project_.directories[item.file], env_file->text);
      PARE_TRY(Environment local, with_dotenv(dotenv, environment));
      std::vector<Tree> documents;
      for (const std::string& one : paths) {
        PARE_TRY(std::vector<Tree> trees, open(one, directory, item));
        for (Tree& tree : trees) documents.push_back(std::move(tree));
      }
      PARE_TRY(Tree included, load(std::move(documents), local, depth + 1));
      merge(root, std::move(included), {});
    }
    return {};
  }

  // ---- extends

  Status follow_extends(Tree& document, const Tree& earlier, const Environment& environment) {
    Tree::Entry* services = document.find("services");
    if (services == nullptr || !services->value.is_map()) return {};
    Tree before = services->value;
    for (Tree::Entry& service : services->value.map) {
      PARE_TRY(service.value,
               extended(service.value, service.key, before, earlier, environment, 0));
    }
    return {};
  }

  // The service with what it extends below it. `services`: of its file, not extended yet.
  Result<Tree> extended(const Tree& service, const std::string& name, const Tree& services,
                        const Tree& earlier, const Environment& environment, int depth) {
    const Tree* extends = service.get("extends");
    if (extends == nullptr) return service;
    if (depth > kMaxDepth)
      return usage(where(*extends) + ": extends is nested too deep or circular");
    const Tree* service_name = extends->is_map() ? extends->get("service") : extends;
    const Tree* file = extends->get("file");
    std::string wanted = service_name == nullptr ? "" : service_name->text_or();
    Tree over = service;
    over.map.erase(std::remove_if(over.map.begin(), over.map.end(),
                                  [](const Tree::Entry& e) { return e.key == "extends"; }),
                   over.map.end());
    Tree base;
    if (file != nullptr) {
      PARE_TRY(base, from_file(*file, wanted, environment, depth));
    } else {
      const Tree* found = services.get(wanted);
      bool self = wanted == name;
      if (found == nullptr || self) found = earlier.get({"services", wanted});
      if (found == nullptr) {
        return usage(where(*extends) + ": service " + name + " extends " + wanted +
                     ", which is not in these files");
      }
      PARE_TRY(base, extended(*found, wanted, services, earlier, environment, depth + 1));
    }
    merge_service(base, std::move(over), name);
    return base;
  }

  Result<Tree> from_file(const Tree& file, const std::string& wanted,
                         const Environment& environment, int depth) {
    std::string path = below(project_.directories[file.file], file.text_or());
    auto known = opened_.find(path);
    if (known == opened_.end()) {
      PARE_TRY(std::vector<Tree> trees, open(path, directory_of(path), file));
      for (Tree& tree : trees) interpolate(tree, environment);
      known = opened_.emplace(path, std::move(trees)).first;
    }
    const std::vector<Tree>& documents = known->second;
    const Tree* services = documents.empty() ? nullptr : documents[0].get("services");
    const Tree* found = services == nullptr ? nullptr : services->get(wanted);
    if (found == nullptr) return usage(where(file) + ": " + path + " has no service " + wanted);
    return extended(*found, wanted, *services, empty_map(), environment, depth + 1);
  }

  static void merge_service(Tree& base, Tree over, const std::string& name) {
    // What compose does not hand down (extends, "Restrictions").
    static const std::set<std::string> kOwn = {"depends_on", "volumes_from", "links"};
    base.map.erase(std::remove_if(base.map.begin(), base.map.end(),
                                  [](const Tree::Entry& e) { return kOwn.count(e.key) != 0; }),
                   base.map.end());
    base.line = over.line;
    base.file = over.file;
    merge(base, std::move(over), {"services", name});
  }

  Project& project_;
  const FileOptions& options_;
  std::map<std::string, std::vector<Tree>> opened_;  // by extends
};

// docker compose's default: the directory's name.
std::string project_name(const Project& project) {
  const Tree* own = project.root.get("name");
  if (own != nullptr && !own->text_or().empty()) return own->text_or();
  auto variable = project.environment.find("COMPOSE_PROJECT_NAME");
  if (variable != project.environment.end()) return variable->second;
  std::error_code ec;
  auto path = std::filesystem::absolute(project.directories[0], ec).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  std::string name = base::lower(path.filename().string());
  name.erase(
      std::remove_if(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '_'; }),
      name.end());
  return name.empty() ? "default" : name;
}

void check_top(const Tree& root, Reader& reader) {
  Keys keys(reader, &root, "the compose file");
  for (const Tree::Entry& entry : root.map) {
    if (base::starts_with(entry.key, "x-")) keys.get(entry.key);
  }
  static constexpr std::array<KeyRule, 9> kRules = {{{"services"},
                                                     {"volumes"},
                                                     {"networks"},
                                                     {"secrets"},
                                                     {"configs"},
                                                     {"include"},
                                                     {"version"},
                                                     {"name"},
                                                     {"models"}}};
  keys.finish(kRules);
}

bool is_active(const Tree& service, const std::vector<std::string>& asked) {
  const Tree* profiles = service.get("profiles");
  if (profiles == nullptr || profiles->seq.empty()) return true;
  for (const Tree& profile : profiles->seq) {
    for (const std::string& one : asked) {
      if (one == "*" || one == profile.text_or()) return true;
    }
  }
  return false;
}

}  // namespace

Result<Project> load_project(const std::vector<SourceFile>& files, std::vector<Tree> documents,
                             const FileOptions& options) {
  Project project;
  project.files = files;
  for (SourceFile& file : project.files) {
    if (file.path == "-") file.path = "<stdin>";
  }
  std::string directory = directory_of(files[0].path);
  project.directories.assign(files.size(), directory);
  Loader loader(project, options);
  PARE_TRY(project.environment, loader.with_dotenv(below(directory, ".env"), options.environment));
  PARE_TRY(project.root, loader.load(std::move(documents), project.environment, 0));
  project.name = project_name(project);
  return project;
}

Result<std::vector<Workload>> read_compose(const std::vector<SourceFile>& files,
                                           std::vector<Tree> documents,
                                           const FileOptions& options) {
  PARE_TRY(Project project, load_project(files, std::move(documents), options));
  const Tree* services = project.root.get("services");
  std::string shown = project.files[0].path;
  if (services == nullptr || !services->is_map() || services->map.empty()) {
    return usage(shown + " has no services");
  }
  std::vector<std::string> profiles = options.profiles;
  if (auto more = project.environment.find("COMPOSE_PROFILES"); more != project.environment.end()) {
    for (std::string& one : base::split(more->second, ',')) profiles.push_back(std::move(one));
  }
  Reader reader(project.files, options, false);
  check_top(project.root, reader);
  if (reader.refused()) return tl::unexpected(*reader.refused());
  std::vector<Workload> out;
  for (const Tree::Entry& service : services->map) {
    out.push_back(read_service(project, service, options));
    out.back().only_by_name = !is_active(service.value, profiles);
    for (const std::string& note : reader.notes()) out.back().assumptions.push_back(note);
  }
  return out;
}

}  // namespace pare::target::compose
