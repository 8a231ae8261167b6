#include "record/areas.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>

namespace pare::record {

using Clock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds kBetweenWalks{1};
constexpr size_t kMostMeanwhile = 2'000;  // entries; some milliseconds
constexpr uint64_t kBlock = 512;          // of st_blocks (stat(2))

void raise(std::optional<uint64_t>& peak, std::optional<uint64_t> value) {
  if (value) peak = std::max(peak.value_or(0), *value);
}

}  // namespace

std::optional<uint64_t> bytes_below(const std::string& directory, size_t most) {
  namespace fs = std::filesystem;
  uint64_t bytes = 0;
  std::set<std::pair<dev_t, ino_t>> linked;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    if (most-- == 0) return std::nullopt;
    struct stat st {};
    if (lstat(it->path().c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    if (st.st_nlink > 1 && !linked.emplace(st.st_dev, st.st_ino).second) continue;
    bytes += static_cast<uint64_t>(st.st_blocks) * kBlock;
  }
  return bytes;
}

AreaSampler::AreaSampler(std::vector<Area> areas) {
  for (Area& area : areas) areas_.push_back({std::move(area), std::nullopt});
}

void AreaSampler::sample(const UsedBytes& used_bytes, bool last) {
  const auto now = Clock::now();
  const bool walk = last || now >= next_walk_;
  for (Watched& watched : areas_) {
    if (watched.area.layer.empty())
      raise(watched.peak, used_bytes(watched.area.path));
    else if (walk)
      raise(watched.peak, bytes_below(watched.area.layer, last ? SIZE_MAX : kMostMeanwhile));
  }
  if (walk) next_walk_ = now + kBetweenWalks;
}

std::vector<evidence::AreaFact> AreaSampler::facts() const {
  std::vector<evidence::AreaFact> facts;
  for (const Watched& watched : areas_)
    if (watched.peak) facts.push_back({watched.area.path, *watched.peak});
  std::sort(facts.begin(), facts.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return facts;
}

}  // namespace pare::record
