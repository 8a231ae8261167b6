#include "trial/volumes.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/file.h"
#include "base/text.h"
#include "sys/process.h"

namespace pare::trial {

namespace fs = std::filesystem;

namespace {

// An overlay's root takes owner and mode from its upper layer, so the layer has to look like what
// it covers.
Status copy_root_attributes(const std::string& from, const std::string& to) {
  struct stat st {};
  if (stat(from.c_str(), &st) != 0) return fail_errno("cannot read " + from, errno);
  if (chown(to.c_str(), st.st_uid, st.st_gid) != 0 || chmod(to.c_str(), st.st_mode & 07777) != 0) {
    return fail_errno("cannot set the owner of " + to, errno);
  }
  return {};
}

bool is_empty_directory(const std::string& path) {
  std::error_code ec;
  return fs::is_empty(path, ec) || ec;
}

// `chown -R`, links themselves included.
Status give_tree(const std::string& path, const privilege::User& owner) {
  auto give = [&](const std::string& one) -> Status {
    if (lchown(one.c_str(), owner.uid, owner.gid) == 0) return {};
    return fail_errno("cannot set the owner of " + one, errno);
  };
  PARE_CHECK_OK(give(path));
  if (!fs::is_directory(path)) return {};
  std::error_code ec;
  for (fs::recursive_directory_iterator it(path, ec), end; !ec && it != end; it.increment(ec)) {
    PARE_CHECK_OK(give(it->path()));
  }
  if (!ec) return {};
  return fail(ErrorKind::kHost, "cannot walk " + path + ": " + ec.message());
}

// rename(2), or a full copy (whiteouts, attributes) where that would cross file systems.
Status move_tree(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return {};
  if (errno != EXDEV) return fail_errno("cannot keep " + from + " as " + to, errno);
  sys::Command copy;
  copy.argv = {"cp", "-a", "--", from, to};
  PARE_TRY(sys::Finished finished, sys::run(copy, std::chrono::hours(12)));
  if (finished.code != 0) {
    return fail(ErrorKind::kHost, "cannot keep the volume's state in " + to + ": " +
                                      std::string(base::trim(finished.err)));
  }
  return {};
}

}  // namespace

Result<Volumes> Volumes::prepare(engine::Engine& engine, const target::Target& target,
                                 const std::string& state, const std::string& warm) {
  Volumes volumes(state, warm);
  PARE_CHECK_OK(base::make_directories(state + "/empty"));
  for (const target::Volume& volume : target.volumes) {
    PARE_TRY(std::string source, engine.volume_source(volume));
    Entry entry{source, "", volume.path, !volume.read_only};
    struct stat st {};
    if (source.empty() || (stat(source.c_str(), &st) != 0 && errno == ENOENT)) {
      entry.source = state + "/empty";  // as Docker would make it: empty, and not the user's yet
    } else if (!S_ISDIR(st.st_mode)) {
      entry.file = fs::path(source).filename();
      entry.source = fs::path(source).parent_path();
    }
    volumes.entries_.push_back(entry);
  }
  return volumes;
}

Result<Volumes::Mounted> Volumes::mount(const std::string& label, bool cold,
                                        const privilege::User& owner,
                                        const std::vector<privilege::VolumeAccess>& grants) const {
  Mounted mounted;
  mounted.directory_ = state_ + "/volumes-" + label;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    std::string here = mounted.directory_ + "/" + std::to_string(i);
    for (const char* part : {"/upper", "/work", "/merged"}) {
      PARE_CHECK_OK(base::make_directories(here + part));
    }
    std::vector<std::string> lower;
    if (!cold && access(warm_layer(i).c_str(), F_OK) == 0) lower.push_back(warm_layer(i));
    lower.push_back(entry.source);
    PARE_CHECK_OK(copy_root_attributes(lower.front(), here + "/upper"));
    bool owned = std::any_of(grants.begin(), grants.end(), [&](const privilege::VolumeAccess& v) {
      return v.path == entry.path && v.owned;
    });
    PARE_TRY(sys::Mount overlay,
             sys::Mount::overlay({lower, here + "/upper", here + "/work", false, owned},
                                 here + "/merged"));
    mounted.overlays_.push_back(std::move(overlay));
    if (owned) PARE_CHECK_OK(give_tree(here + "/merged/" + entry.file, owner));
    if (entry.writable) mounted.layers_.push_back({entry.path, here + "/upper"});
    std::string merged = here + "/merged";
    mounted.mounts_.push_back(
        {entry.file.empty() ? merged : merged + "/" + entry.file, entry.path});
  }
  return mounted;
}

Status Volumes::keep(Mounted mounted) const {
  mounted.overlays_.clear();
  for (size_t i = 0; i < entries_.size(); ++i) {
    std::string upper = mounted.directory_ + "/" + std::to_string(i) + "/upper";
    if (is_empty_directory(upper)) continue;
    PARE_CHECK_OK(base::make_directories(warm_));
    std::error_code ec;
    fs::remove_all(warm_layer(i), ec);
    PARE_CHECK_OK(move_tree(upper, warm_layer(i)));
  }
  return {};
}

Volumes::Mounted& Volumes::Mounted::operator=(Mounted&& other) noexcept {
  if (this == &other) return *this;
  discard();
  overlays_ = std::move(other.overlays_);
  mounts_ = std::move(other.mounts_);
  layers_ = std::move(other.layers_);
  directory_ = std::move(other.directory_);
  other.directory_.clear();
  return *this;
}

Volumes::Mounted::~Mounted() {
  discard();
}

void Volumes::Mounted::discard() noexcept {
  overlays_.clear();
  if (directory_.empty()) return;
  std::error_code ec;
  fs::remove_all(directory_, ec);
  directory_.clear();
}

std::string Volumes::Mounted::host_path(const std::string& container_path) const {
  for (const engine::VolumeMount& mount : mounts_) {
    if (container_path == mount.path) return mount.source;
    if (base::starts_with(container_path, mount.path + "/")) {
      return mount.source + container_path.substr(mount.path.size());
    }
  }
  return "";
}

}  // namespace pare::trial
