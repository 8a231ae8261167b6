// Digests of a volume's files, in the form that `sha256sum -c` reads; links are in comments, which
// it passes over.
#pragma once

#include <atomic>
#include <map>
#include <string>

#include "base/result.h"
#include "prepare/volume.h"
#include "prepare/walk.h"

namespace pare::prepare {

struct Manifest {
  std::map<std::string, std::string> files;  // path -> SHA-256, hex
  std::map<std::string, std::string> links;  // path -> SHA-256 of where it points
};

// kUsage names the line that is wrong; a path that leaves the volume is.
Result<Manifest> parse_manifest(const std::string& text, const std::string& what);
std::string to_text(const Manifest& manifest);

struct Digested {
  Manifest manifest;
  uint64_t bytes = 0;
  WalkResult walk;
};

// Digests of everything in the volume but the file `except`. Devices, sockets and FIFOs are
// refused: they have no content.
Result<Digested> digest(const Volume& volume, const std::string& except, unsigned threads,
                        std::atomic<uint64_t>& progress);

// Each difference, one sentence: missing, changed, not named by the manifest (unless `extra`).
std::vector<std::string> differences(const Manifest& expected, const Manifest& found, bool extra);

}  // namespace pare::prepare
