// The files that say what runs today: Kubernetes objects (also as `helm template` renders them),
// compose files. Each container in them becomes a Workload with its Target, or with why
// it cannot become one. Nothing that stands in a file is dropped without a word: a key is used, or
// grants nothing, or is named with its line in `assumptions`, or is refused.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "target/docker_values.h"
#include "target/target.h"

namespace pare::target {

struct SourceFile {
  std::string path;  // as the user named it; "-" is shown as <stdin>
  std::string text;
};

enum class FileKind { kKubernetes, kCompose };

// A file that a volume holds: a key of a ConfigMap or Secret, a compose config.
struct VolumeFile {
  std::string path;  // relative, below the volume
  std::string content;
  unsigned mode = 0644;
};

// What Target::volumes[volume] holds. Whoever runs the target writes the files to a directory of
// its own, gives them to `uid`:`gid` and sets the volume's source to it (to the one file where
// `single`).
struct VolumeContent {
  size_t volume = 0;
  std::vector<VolumeFile> files;
  bool single = false;  // the volume is the one file itself
  bool secret = false;
  uint32_t uid = 0, gid = 0;
};

struct Workload {
  FileKind kind = FileKind::kKubernetes;
  std::string platform;       // "kubernetes" | "docker": what --for means for such a file
  std::string object;         // "Deployment/llm"; a compose file: "service/llm"
  std::string container;      // its name; a compose service's own
  std::string where;          // "deploy.yaml:12"
  bool only_by_name = false;  // an init container, a service of a profile that nobody asked for
  Target target;
  std::optional<Error> refused;          // why there is no target; `target` is then worth nothing
  std::vector<std::string> assumptions;  // "deploy.yaml:12: ..." what is not modelled, and how
  std::vector<VolumeContent> contents;
  // compose: the names under secrets: and configs:, whose values are files and no variables.
  std::vector<std::string> file_secrets;
  // The container must not run as root (runAsNonRoot): where that is written. Only the resolved
  // user shows whether it does.
  std::string non_root_where;
};

struct FileOptions {
  // Variables for ${NAME} and for names without a value; before those of a `.env`.
  Environment environment;
  // compose: services with one of these profiles are read too; a service that is named by
  // `container` is read whatever its profiles are.
  std::vector<std::string> profiles;
  std::string container;  // as --container: NAME or OBJECT/NAME; empty: what there is
  // --bind: "pvc/NAME", "emptydir/NAME", "volume/NAME", "configmap/NAME", "secret/NAME" -> host
  // directory. emptydir and volume go by the name inside the Pod or compose file.
  std::map<std::string, std::string> binds;
  // --secret: a variable's name, or "SECRET/KEY" of a Kubernetes Secret -> its value.
  std::map<std::string, std::string> secrets;
  // Nothing will run: values of secrets, directories behind claims and the like may be missing.
  bool not_to_run = false;
  // How .env, env_file, a compose secret's file and another file of `extends` are read. Empty:
  // base::read_file.
  std::function<Result<std::string>(const std::string& path)> read_file;
};

// Whether a word on the command line names such a file rather than a program: "-", or *.yaml, *.yml
// or *.json.
bool is_target_file(std::string_view word);

// Every container of the files, in their order. All files are of one kind; compose files after the
// first override it, as `docker compose -f A -f B`. An error: no YAML, mixed kinds, nothing that
// runs in it; kUsage or kUnread with FILE:LINE.
Result<std::vector<Workload>> read_target_files(const std::vector<SourceFile>& files,
                                                const FileOptions& options);

// The one that is meant: by `container` ("NAME", "OBJECT/NAME", "KIND/OBJECT/NAME"), else the only
// one that is no init container. kUsage names the choices; a refused one's own error.
Result<Workload> choose_workload(std::vector<Workload> workloads, const std::string& container);

}  // namespace pare::target
