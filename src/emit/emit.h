// Proof -> platform text. Pure: returns files, writes none.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "verdict/verdict.h"

namespace pare::emit {

struct File {
  std::string name;  // relative, e.g. "deployment.yaml"
  std::string content;
};

struct Options {
  bool unconfirmed = false;  // emit although the proof is not confirmed; written into every file
};

// One row a platform.
struct Emitter {
  std::string name;  // "kubernetes", "docker", "oci", "seccomp"
  std::string summary;
  Result<std::vector<File>> (*emit)(const verdict::Proof&, const Options&);
};
const std::vector<Emitter>& emitter_table();

// kUsage for an unknown platform, an unconfirmed proof without the option, or one that the proof
// did not ask about and that differs on an axis (the message has the command that would ask).
Result<std::vector<File>> emit(const verdict::Proof& proof, const std::string& to,
                               const Options& options);

}  // namespace pare::emit
