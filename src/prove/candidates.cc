#include "prove/candidates.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/text.h"

namespace pare::prove {

using evidence::Evidence;
using evidence::FileFact;

namespace {

constexpr uint32_t kFirstOrdinaryUid = 1000;  // Debian's adduser.conf(5): FIRST_UID, LAST_UID
constexpr uint32_t kLastOrdinaryUid = 59999;
constexpr uint32_t kNonrootUid = 65532;  // "nonroot" of distroless images
constexpr uint32_t kUnknownUid = 10001;  // one that no passwd knows, as OpenShift gives
constexpr size_t kMostOrdinary = 2;

constexpr std::array<std::string_view, 6> kOwnerCapabilities = {
    "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "CHOWN", "SETUID", "SETGID"};

class Candidates {
 public:
  explicit Candidates(const Question& question)
      : target_(question.target), groups_(question.asked.user.groups) {}

  void add(uint32_t uid, std::optional<uint32_t> gid, bool special) {
    if (uid == 0 || uid == UINT32_MAX) return;
    for (const UserCandidate& known : list_) {
      if (known.user.uid == uid) return;
    }
    // A group that is asked for is judged by itself: no uid brings it along where it has another.
    bool asked = gid && std::find(groups_.begin(), groups_.end(), *gid) != groups_.end();
    list_.push_back({{uid, gid && !asked ? *gid : gid_of(uid), {}}, special});
  }

  std::vector<UserCandidate> list() && { return std::move(list_); }

 private:
  uint32_t gid_of(uint32_t uid) const {
    for (const target::PasswdEntry& entry : target_.facts.passwd) {
      if (entry.uid == uid) return entry.gid;
    }
    return uid;
  }

  const target::Target& target_;
  const std::vector<uint32_t>& groups_;
  std::vector<UserCandidate> list_;
};

std::string parent(const std::string& path) {
  size_t slash = path.find_last_of('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

// "uid 1000" is what the recorder says of setuid(2) and its like.
std::optional<uint32_t> number_after(const std::string& text, std::string_view prefix) {
  if (!base::starts_with(text, prefix)) return std::nullopt;
  auto number = base::parse_u64(std::string_view(text).substr(prefix.size()));
  if (!number || *number > UINT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

std::optional<uint32_t> group_changed_to(const Evidence& evidence) {
  for (const evidence::CapabilityFact& capability : evidence.capabilities) {
    for (const evidence::CapabilityUse& use : capability.uses) {
      auto gid = number_after(use.object, "gid ");
      if (gid && *gid != 0) return gid;
    }
  }
  return std::nullopt;
}

void add_seen(const Evidence& evidence, Candidates& candidates) {
  for (const FileFact& file : evidence.files) candidates.add(file.uid, std::nullopt, true);
  for (const evidence::CapabilityFact& capability : evidence.capabilities) {
    for (const evidence::CapabilityUse& use : capability.uses) {
      candidates.add(use.uid, std::nullopt, true);
      if (auto uid = number_after(use.object, "uid ")) {
        candidates.add(*uid, group_changed_to(evidence), true);
      }
      if (is_about_owners(capability.name) && use.owner) {
        candidates.add(*use.owner, use.owner_gid, true);
      }
    }
  }
  for (const FileFact& file : evidence.files) {
    if (file.owner) candidates.add(*file.owner, file.owner_gid, true);
  }
}

}  // namespace

bool is_about_owners(const std::string& capability) {
  return std::find(kOwnerCapabilities.begin(), kOwnerCapabilities.end(), capability) !=
         kOwnerCapabilities.end();
}

std::vector<UserCandidate> user_candidates(const Question& question,
                                           const std::vector<Evidence>& baselines) {
  const target::ImageFacts& facts = question.target.facts;
  Candidates candidates(question);
  if (auto user = target::resolve_user(facts.user, facts.passwd)) {
    candidates.add(user->uid, user->gid, false);
  }
  for (const Evidence& evidence : baselines) add_seen(evidence, candidates);
  size_t ordinary = 0;
  for (const target::PasswdEntry& entry : facts.passwd) {
    if (entry.uid < kFirstOrdinaryUid || entry.uid > kLastOrdinaryUid) continue;
    if (ordinary++ < kMostOrdinary) candidates.add(entry.uid, entry.gid, false);
  }
  candidates.add(kNonrootUid, kNonrootUid, false);
  candidates.add(kUnknownUid, kUnknownUid, false);
  return std::move(candidates).list();
}

bool under(const std::string& path, const std::string& directory) {
  if (directory == "/" || path == directory) return true;
  return base::starts_with(path, directory) && path[directory.size()] == '/';
}

bool is_write(const FileFact& fact) {
  static constexpr std::array<std::string_view, 13> kWrites = {
      "write", "create",  "mkdir",    "unlink", "rename", "chmod",   "chown",
      "link",  "symlink", "truncate", "utime",  "mknod",  "setxattr"};
  return std::any_of(fact.ops.begin(), fact.ops.end(), [](const std::string& op) {
    return std::find(kWrites.begin(), kWrites.end(), op) != kWrites.end();
  });
}

std::string writable_directory(const Evidence& evidence, const std::string& path) {
  auto created = [&](const std::string& directory) {
    return std::any_of(evidence.files.begin(), evidence.files.end(), [&](const FileFact& file) {
      return file.path == directory && !file.error &&
             std::find(file.ops.begin(), file.ops.end(), "mkdir") != file.ops.end();
    });
  };
  std::string directory = parent(path);
  while (directory != "/" && created(directory)) directory = parent(directory);
  return directory;
}

bool in_root_filesystem(const privilege::Policy& asked, const std::string& path) {
  if (path.empty() || path[0] != '/') return false;
  for (const char* provided : {"/dev", "/proc", "/sys"}) {
    if (under(path, provided)) return false;
  }
  for (const privilege::VolumeAccess& volume : asked.volumes) {
    if (under(path, volume.path)) return false;
  }
  return std::none_of(asked.writable.begin(), asked.writable.end(),
                      [&](const privilege::Writable& w) { return under(path, w.path); });
}

std::vector<std::string> written_directories(const privilege::Policy& asked,
                                             const Evidence& evidence) {
  std::set<std::string> directories;
  for (const FileFact& file : evidence.files) {
    if (file.error || !is_write(file) || !in_root_filesystem(asked, file.path)) continue;
    directories.insert(writable_directory(evidence, file.path));
  }
  return {directories.begin(), directories.end()};
}

std::vector<std::string> usual_directories(const Question& question) {
  std::set<std::string> directories = {"/run", "/tmp", "/var/tmp"};
  for (const target::EnvVar& variable : question.target.env) {
    if (variable.name == "HOME" && variable.value.size() > 1 && variable.value[0] == '/') {
      directories.insert(variable.value + "/.cache");
    }
  }
  std::vector<std::string> usual;
  for (const std::string& directory : directories) {
    if (in_root_filesystem(question.asked, directory)) usual.push_back(directory);
  }
  return usual;
}

std::map<std::string, std::string> home_variables(const std::string& directory) {
  // torch's import calls getpass.getuser(), which reads these before it asks for a passwd entry.
  return {{"HOME", directory},
          {"USER", "pare"},
          {"LOGNAME", "pare"},
          {"XDG_CACHE_HOME", directory + "/.cache"},
          {"TORCHINDUCTOR_CACHE_DIR", directory + "/torchinductor"},
          {"TRITON_CACHE_DIR", directory + "/triton"}};
}

}  // namespace pare::prove
