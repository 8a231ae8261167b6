// What the init step of a volume is to do, declared: there is no script that could be tampered
// with, and the declaration itself may be pinned by digest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace pare::prepare {

struct Owner {
  uint32_t uid = 0;
  uint32_t gid = 0;
  bool operator==(const Owner&) const = default;
};

struct AclEntry {
  enum class Kind : uint16_t {  // ACL_USER_OBJ ... of linux/posix_acl.h, in the kernel's order
    kOwner = 0x01,
    kUser = 0x02,
    kOwningGroup = 0x04,
    kGroup = 0x08,
    kMask = 0x10,
    kOther = 0x20,
  };
  Kind kind = Kind::kOwner;
  uint32_t id = 0;           // kUser and kGroup
  unsigned permissions = 0;  // rwx as 4, 2, 1
};

struct Directory {
  std::string path;              // relative to the volume; "." is the volume itself
  std::optional<Owner> owner;    // nullopt: as it is
  std::optional<unsigned> mode;  // 0..07777; a new directory without one gets 0755
  std::vector<AclEntry> default_acl;
};

enum class HardLinks {
  kRefuse,  // a file with a second name may be one that lies outside: an error that names it
  kSkip,    // left as it is
};

struct Spec {
  std::string volume;
  std::vector<Directory> directories;
  std::optional<Owner> own;  // of everything in the volume
  HardLinks hard_links = HardLinks::kRefuse;
  std::string verify;          // manifest, relative to the volume: every file must match it
  std::string verify_digest;   // SHA-256 of that manifest itself, hex; empty: not pinned
  bool extra_files = false;    // verify tolerates files that the manifest does not name
  std::string write_manifest;  // relative to the volume
  uint64_t free_bytes = 0;     // that the volume must have left
  bool foreign = false;        // keep CAP_DAC_OVERRIDE: a tree that only its owner may enter
};

// YAML 1.2 or JSON; `what` names it in errors. kUsage for unknown keys, wrong values, paths that
// are absolute or hold "..".
Result<Spec> parse_spec(const std::string& text, const std::string& what);

// "1000:1000"; a lone number is uid and gid.
Result<Owner> parse_owner(const std::string& text);
// "02770", "750": octal.
Result<unsigned> parse_mode(const std::string& text);
// "PATH[:MODE[:UID:GID]]" of the command line.
Result<Directory> parse_directory(const std::string& text);
// As setfacl(1) spells it: "u::rwx,u:1000:rwx,g::r-x,o::---". Entries for owner, owning group and
// others that are left out give what `mode` gives them; the mask is computed unless it is there.
Result<std::vector<AclEntry>> parse_acl(const std::string& text, unsigned mode);

// kUsage unless it is relative, not empty, and free of "..", empty components and NUL.
Status check_inside(const std::string& path, const std::string& what);

}  // namespace pare::prepare
