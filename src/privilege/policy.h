// A Policy is one choice on every axis: a point in the lattice. An engine makes a container of a
// Target under a Policy; the prover walks from the asked policy downwards.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "privilege/capability.h"
#include "privilege/privilege.h"

namespace pare::privilege {

struct User {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;  // supplementary
  auto operator<=>(const User&) const = default;
};

// A path that stays writable under a read-only root file system.
struct Writable {
  std::string path;          // absolute, in the container
  std::string as = "tmpfs";  // "tmpfs"; later: "volume"
  uint64_t peak_bytes = 0;   // most that was seen in it; 0 unknown
  bool exec = false;         // files in it are executed or mapped executable
  bool copy_up = false;      // starts with what the image has there
  bool operator==(const Writable&) const = default;
};

// What a tmpfs for it is limited to: twice the peak in whole MiB, at least 16 MiB. 0 (no limit but
// the platform's) when no peak is known.
uint64_t tmpfs_bytes(const Writable& writable);

struct VolumeAccess {
  std::string path;
  bool writable = false;
  bool owned = false;  // its whole tree is given to the policy's user before the start
  bool operator==(const VolumeAccess&) const = default;
};

struct PortGrant {
  uint16_t port = 0;
  std::string protocol = "tcp";    // "tcp" | "udp"
  std::string role = "inference";  // "inference" | "metrics" | "admin" | "unknown"
  uint16_t instead = 0;            // where the target listens today, when its own setting moved it
  bool operator==(const PortGrant&) const = default;
};

// How a refused outbound attempt fails.
enum class Refusal {
  kUnreachable,  // no route: ENETUNREACH at once
  kRefused,      // RST: ECONNREFUSED
  kDropped,      // silence
};
std::string_view to_string(Refusal refusal);

struct EgressGrant {
  std::string name;   // DNS name or address; "any" for all
  uint16_t port = 0;  // 0: all
  bool operator==(const EgressGrant&) const = default;
};

// Narrows a listed call to certain arguments: (argument & mask) has to be one of `values`. Where a
// call has entries for several arguments, each has to hold. The kernel looks at 32 bits of an int
// and leaves the rest to chance, so its mask is 0xffffffff.
struct SeccompArgument {
  std::string syscall;
  unsigned index = 0;  // 0..5
  uint64_t mask = UINT64_MAX;
  std::vector<uint64_t> values;
  bool operator==(const SeccompArgument&) const = default;
};

// seccomp(2) allow-list. Compiled by libseccomp; spelled in Docker's and the OCI's JSON by emit.
struct SeccompProfile {
  std::string arch = "x86_64";
  std::string default_action = "EPERM";    // errno name for calls that are not listed
  std::vector<std::string> enosys;         // refused with ENOSYS, so that libc falls back
  std::vector<std::string> syscalls;       // allowed, start-up and serve together; sorted
  std::vector<std::string> serve;          // those of `syscalls` seen after readiness; sorted
  std::vector<SeccompArgument> arguments;  // none for a call: with any
  bool operator==(const SeccompProfile&) const = default;
};

struct Policy {
  User user;
  CapabilitySet capabilities;
  bool no_new_privileges = false;
  bool rootfs_writable = true;
  std::vector<Writable> writable;
  std::vector<VolumeAccess> volumes;  // one entry for each volume of the target
  std::vector<PortGrant> ports;       // reachable from outside
  bool egress_any = false;            // else `egress` lists what is reachable; empty: nothing
  std::vector<EgressGrant> egress;
  Refusal refusal = Refusal::kUnreachable;
  bool seccomp_default = false;              // the engine's own default profile
  std::optional<SeccompProfile> seccomp;     // overrides seccomp_default; neither: unconfined
  std::vector<std::string> devices;          // device nodes beyond the platform's own
  std::vector<std::string> host_namespaces;  // "network", "pid", "ipc", "uts"
  std::optional<uint64_t> pids_max;
  std::optional<uint64_t> memlock_bytes;  // RLIMIT_MEMLOCK; nullopt: the platform's default
  std::optional<uint64_t> shm_bytes;      // /dev/shm; nullopt: the platform's default
  std::map<std::string, std::string> sysctls;
  std::map<std::string, std::string> environment;     // changes to the target's environment
  std::optional<std::vector<std::string>> arguments;  // replaces the target's command
  bool operator==(const Policy&) const = default;
};

// The `policy` object of proof.json. from_json: kUnread with the offending field.
nlohmann::json to_json(const Policy& policy);
Result<Policy> policy_from_json(const nlohmann::json& json);

}  // namespace pare::privilege
