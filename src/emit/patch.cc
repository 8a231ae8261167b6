#include "emit/patch.h"

#include <algorithm>

#include "emit/docker.h"
#include "emit/emitters.h"

namespace pare::emit {

Result<std::string> merge_patch(const verdict::Proof& proof, const std::string& to,
                                const Options& options) {
  if (to != "kubernetes" && to != "compose") {
    return fail(ErrorKind::kUsage,
                "--patch edits the files of kubernetes and compose, not of " + to);
  }
  // The refusals of emit(): an unconfirmed proof, another platform.
  PARE_TRY(std::vector<File> whole, emit(proof, to, options));
  if (to == "compose") return compose_patch(proof, options);
  PARE_TRY(std::vector<File> files, emit_kustomize(proof, options));
  auto patch = std::find_if(files.begin(), files.end(),
                            [](const File& file) { return file.name == "patch.yaml"; });
  return patch->content;
}

}  // namespace pare::emit
