// How full the writable areas of the container became.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "evidence/evidence.h"

namespace pare::record {

// A writable path of the container. Where its content lies in a layer of its own on the host,
// `layer` names that directory; else it is a tmpfs, which is asked in the container.
struct Area {
  std::string path;
  std::string layer;
};

class AreaSampler {
 public:
  // Bytes of the tmpfs at a path of the container; nullopt where none is mounted.
  using UsedBytes = std::function<std::optional<uint64_t>(const std::string&)>;

  explicit AreaSampler(std::vector<Area> areas);
  // A layer of many files is walked only at the `last` one, however long that takes: what the
  // sampling thread does meanwhile is more urgent.
  void sample(const UsedBytes& used_bytes, bool last);
  // By path; those that were never seen are left out.
  std::vector<evidence::AreaFact> facts() const;

 private:
  struct Watched {
    Area area;
    std::optional<uint64_t> peak;
  };
  std::vector<Watched> areas_;
  std::chrono::steady_clock::time_point next_walk_;
};

// Bytes on disk of the files below a directory (as du(1) counts), links to one file once. nullopt
// where there are more than `most` entries.
std::optional<uint64_t> bytes_below(const std::string& directory, size_t most);

}  // namespace pare::record
