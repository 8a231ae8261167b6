#include "trial/annotate.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/text.h"

namespace pare::trial {

using Owner = std::optional<std::pair<uint32_t, uint32_t>>;

namespace {

constexpr size_t kLongestLine = 200;

class Owners {
 public:
  Owners(engine::Engine& engine, const target::Target& target, const VolumePath& volume_path)
      : engine_(engine), target_(target), volume_path_(volume_path) {}

  Owner find(std::filesystem::path path) {
    if (!path.is_absolute()) return std::nullopt;
    while (true) {
      auto [it, fresh] = known_.try_emplace(path.string());
      if (fresh) it->second = look_up(path.string());
      if (it->second || path == path.root_path()) return it->second;
      path = path.parent_path();
    }
  }

 private:
  Owner look_up(const std::string& path) {
    std::string host = volume_path_ ? volume_path_(path) : "";
    if (host.empty()) return engine_.owner(target_, path);
    struct stat st {};
    if (lstat(host.c_str(), &st) != 0) return std::nullopt;
    return std::make_pair(uint32_t{st.st_uid}, uint32_t{st.st_gid});
  }

  engine::Engine& engine_;
  const target::Target& target_;
  const VolumePath& volume_path_;
  std::map<std::string, Owner> known_;
};

template <typename Fact>
void set_owner(Fact& fact, const Owner& owner) {
  if (!owner) return;
  fact.owner = owner->first;
  fact.owner_gid = owner->second;
}

}  // namespace

void annotate_owners(evidence::Evidence& evidence, engine::Engine& engine,
                     const target::Target& target, const VolumePath& volume_path) {
  Owners owners(engine, target, volume_path);
  for (evidence::CapabilityFact& capability : evidence.capabilities) {
    for (evidence::CapabilityUse& use : capability.uses) set_owner(use, owners.find(use.object));
  }
  for (evidence::FileFact& file : evidence.files) set_owner(file, owners.find(file.path));
}

void annotate_listeners(evidence::Evidence& evidence,
                        const std::vector<evidence::ListenerFact>& identities) {
  for (const evidence::ListenerFact& identity : identities) {
    for (evidence::ListenerFact& fact : evidence.listeners) {
      if (fact.port != identity.port || fact.protocol != identity.protocol) continue;
      fact.speaks = identity.speaks;
      fact.role = identity.role;
      fact.endpoints = identity.endpoints;
      fact.server = identity.server;
    }
  }
}

void annotate_log(evidence::Evidence& evidence, const std::string& path,
                  std::chrono::milliseconds span) {
  auto text = base::read_file(path);
  if (!text) return;
  double seconds = std::max(0.001, static_cast<double>(span.count()) / 1000.0);
  evidence.log.bytes_per_second = static_cast<double>(text->size()) / seconds;
  std::map<std::string, uint64_t> counts;
  for (const std::string& line : base::split(*text, '\n'))
    ++counts[base::without_numbers(line).substr(0, kLongestLine)];
  for (const auto& [line, count] : counts) {
    if (count > 10 && !line.empty()) evidence.log.repeated.push_back({line, count});
  }
}

}  // namespace pare::trial
