#include "prepare/own.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <map>

namespace pare::prepare {

namespace {

constexpr size_t kBatch = 128;
constexpr const char* kDefaultAcl = "system.posix_acl_default";

bool same_file(const struct statx& a, const struct statx& b) {
  return a.stx_ino == b.stx_ino && a.stx_dev_major == b.stx_dev_major &&
         a.stx_dev_minor == b.stx_dev_minor;
}

bool owned(const struct statx& st, const Owner& owner) {
  return st.stx_uid == owner.uid && st.stx_gid == owner.gid;
}

// linux/posix_acl_xattr.h; little endian on every architecture.
std::string acl_value(const std::vector<AclEntry>& entries) {
  std::string out;
  posix_acl_xattr_header header{htole32(POSIX_ACL_XATTR_VERSION)};
  out.append(reinterpret_cast<const char*>(&header), sizeof header);
  for (const AclEntry& entry : entries) {
    bool named = entry.kind == AclEntry::Kind::kUser || entry.kind == AclEntry::Kind::kGroup;
    posix_acl_xattr_entry raw{htole16(static_cast<uint16_t>(entry.kind)),
                              htole16(static_cast<uint16_t>(entry.permissions)),
                              htole32(named ? entry.id : UINT32_MAX)};
    out.append(reinterpret_cast<const char*>(&raw), sizeof raw);
  }
  return out;
}

Status set_default_acl(int fd, const Directory& directory, bool dry_run, Changes& changes) {
  std::string wanted = acl_value(directory.default_acl);
  std::string have(wanted.size() + 1, '\0');
  ssize_t n = fgetxattr(fd, kDefaultAcl, have.data(), have.size());
  if (n == static_cast<ssize_t>(wanted.size()) && have.compare(0, wanted.size(), wanted) == 0) {
    return {};
  }
  ++changes.changed;
  if (dry_run || fsetxattr(fd, kDefaultAcl, wanted.data(), wanted.size(), 0) == 0) return {};
  return fail_errno("cannot set the default ACL of " + directory.path, errno);
}

Status set_mode(int fd, const Directory& directory, unsigned mode, bool dry_run, Changes& changes) {
  struct stat st {};
  if (fstat(fd, &st) != 0) return fail_errno(directory.path, errno);
  if ((st.st_mode & 07777) == mode) return {};
  ++changes.changed;
  if (dry_run) return {};
  if (fchmod(fd, mode) != 0) return fail_errno("cannot set the mode of " + directory.path, errno);
  if (fstat(fd, &st) == 0 && (st.st_mode & 07777) == mode) return {};
  return fail(ErrorKind::kHost,
              directory.path +
                  ": the kernel dropped the setgid bit, as this process is not in "
                  "the directory's group: run it with that group "
                  "(supplementalGroups), or as root with CAP_SETGID");
}

Status set_owner(int fd, const std::string& path, const Owner& owner, bool dry_run,
                 Changes& changes) {
  PARE_TRY(struct statx st, look(fd, ""));
  if (owned(st, owner)) return {};
  ++changes.changed;
  if (dry_run || fchownat(fd, "", static_cast<uid_t>(owner.uid), owner.gid, AT_EMPTY_PATH) == 0) {
    return {};
  }
  return fail_errno("cannot change the owner of " + path, errno);
}

std::pair<std::string, std::string> split_last(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

Status make_one(const Volume& volume, const Directory& directory, bool dry_run, Changes& changes) {
  bool made = false;
  auto fd = volume.open_at(volume.fd(), directory.path, O_RDONLY | O_DIRECTORY);
  if (!fd && fd.error().sys_errno == ENOENT) {
    ++changes.made;
    if (dry_run) return {};
    auto [parent_path, name] = split_last(directory.path);
    PARE_TRY(UniqueFd parent, volume.open_at(volume.fd(), parent_path, O_PATH | O_DIRECTORY));
    // Nobody else gets in before its owner and mode are right.
    if (mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
      return refusal(directory.path, errno);
    }
    made = true;
    fd = volume.open_at(parent.get(), name, O_RDONLY | O_DIRECTORY);
  }
  if (!fd) return tl::unexpected(fd.error());
  // The owner last but for the mode, which chown(2) may change; CAP_FOWNER then still allows it.
  if (!directory.default_acl.empty()) {
    PARE_CHECK_OK(set_default_acl(fd->get(), directory, dry_run, changes));
  }
  if (directory.owner) {
    PARE_CHECK_OK(set_owner(fd->get(), directory.path, *directory.owner, dry_run, changes));
  }
  if (!directory.mode && !made) return {};
  return set_mode(fd->get(), directory, directory.mode.value_or(0755), dry_run, changes);
}

class Owning {
 public:
  Owning(const Volume& volume, const Spec& spec, bool dry_run, Changes& changes)
      : volume_(volume), spec_(spec), dry_run_(dry_run), changes_(changes) {
    for (const Directory& directory : spec.directories) {
      if (directory.owner) owners_[directory.path] = *directory.owner;
    }
  }

  // What the name says, what the descriptor says, and then the descriptor is changed. The link
  // count alone is not enough: a file from outside whose name in the volume was taken away after
  // the descriptor was opened has one name again, the one outside.
  Status entry(const Node& node, const std::string& name, unsigned char) {
    PARE_TRY(struct statx before, look(node.fd.get(), name.c_str()));
    PARE_TRY(bool right, judge(before, node, name));
    if (right) return {};
    PARE_TRY(UniqueFd fd, volume_.open_at(node.fd.get(), name, O_PATH));
    PARE_TRY(struct statx st, look(fd.get(), ""));
    if (!same_file(before, st)) return changed_meanwhile(node.path_of(name));
    PARE_TRY(bool done, judge(st, node, name));
    if (done) return {};
    ++changes_.changed;
    if (dry_run_ || fchownat(fd.get(), "", static_cast<uid_t>(spec_.own->uid), spec_.own->gid,
                             AT_EMPTY_PATH) == 0) {
      return {};
    }
    return fail_errno("cannot change the owner of " + node.path_of(name), errno);
  }

  Status directory(const Node& node) {
    std::string path = node.path();
    auto own = owners_.find(path);  // what the specification says of it by name comes first
    return set_owner(node.fd.get(), path, own == owners_.end() ? *spec_.own : own->second, dry_run_,
                     changes_);
  }

 private:
  // True when there is nothing to change; an Error for what must not be.
  Result<bool> judge(const struct statx& st, const Node& node, const std::string& name) {
    if (S_ISDIR(st.stx_mode)) return changed_meanwhile(node.path_of(name));
    if (S_ISCHR(st.stx_mode) || S_ISBLK(st.stx_mode)) {
      return fail(ErrorKind::kHost,
                  node.path_of(name) + " is a device: a volume holds none; remove it");
    }
    if (st.stx_nlink == 0) return true;  // removed meanwhile
    if (st.stx_nlink > 1) {
      PARE_CHECK_OK(linked(node.path_of(name)));
      return true;
    }
    return owned(st, *spec_.own);
  }
  Status linked(const std::string& path) {
    if (spec_.hard_links == HardLinks::kSkip) {
      ++changes_.skipped;
      return {};
    }
    return fail(ErrorKind::kHost, path +
                                      " has a second name, which may lie outside the volume: copy "
                                      "the file, or set 'hardLinks: skip' to leave it as it is");
  }
  static tl::unexpected<Error> changed_meanwhile(const std::string& path) {
    return fail(ErrorKind::kHost,
                path + " was changed by another writer meanwhile: stop it, and run this again");
  }

  const Volume& volume_;
  const Spec& spec_;
  bool dry_run_;
  Changes& changes_;
  std::map<std::string, Owner> owners_;
};

}  // namespace

Status make_directories(const Volume& volume, const Spec& spec, bool dry_run, Changes& changes) {
  for (const Directory& directory : spec.directories) {
    PARE_CHECK_OK(make_one(volume, directory, dry_run, changes));
  }
  return {};
}

Result<WalkResult> own_tree(const Volume& volume, const Spec& spec, unsigned threads, bool dry_run,
                            Changes& changes, std::atomic<uint64_t>& progress) {
  Owning owning(volume, spec, dry_run, changes);
  Visitor visitor;
  visitor.entry = [&](const Node& node, const std::string& name, unsigned char type) {
    return owning.entry(node, name, type);
  };
  visitor.directory = [&](const Node& node) { return owning.directory(node); };
  return walk(volume, threads, kBatch, visitor, progress);
}

}  // namespace pare::prepare
