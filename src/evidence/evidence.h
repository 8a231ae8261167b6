// What a container did, as the recorder saw it (JSON: pare.evidence/v1).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace pare::evidence {

// Which replicas showed a fact: places in Evidence::replicas, ascending. Empty: never merged.
using Replicas = std::vector<uint32_t>;

enum class Phase { kPull, kServe };         // before / after the first passing readiness check
enum class Coverage { kEntry, kAttached };  // only kEntry can support a proof
std::string_view to_string(Phase phase);
Result<Phase> parse_phase(std::string_view text);

// How often one program made a call.
struct ExeCalls {
  std::string exe;  // its path; empty: unknown
  uint64_t count = 0;
  bool operator==(const ExeCalls&) const = default;
};

struct SyscallFact {
  std::string name;            // "openat"; "x86_64:600" where the number has no name; "i386:open"
  uint64_t count = 0;          // entries that were let through
  uint64_t refused = 0;        // refused by seccomp: seen at sys_exit without an entry
  Phase phase = Phase::kPull;  // the first phase it was seen in; serve: seen in serve (see serve)
  bool serve = false;          // seen after readiness
  std::string abi;             // "i386", "x32": through a foreign gate; empty: the host's own
  std::vector<ExeCalls> exes;  // by path; empty in evidence of a foreign gate or of older pare
  Replicas replicas;
};

// Arguments of calls that a seccomp profile can tell apart by them: socket family, type and
// protocol; clone and unshare flags; prctl option; ioctl request; PROT_EXEC; new ids.
struct ArgumentFact {
  std::string syscall;
  std::vector<uint64_t> values;  // without flags that say nothing (SOCK_CLOEXEC, an exit signal)
  std::string object;            // ioctl: the device's path; empty: no device
  std::optional<std::string> error;  // EPERM, EACCES, EROFS; nullopt: not refused
  uint64_t count = 0;
  Phase phase = Phase::kPull;
  Replicas replicas;
};

struct CapabilityUse {
  std::string id;  // "e12": how verdicts refer to it
  std::string syscall;
  std::string object;  // path, address or empty
  std::string exe;
  uint32_t uid = 0;
  bool granted = true;
  std::optional<uint32_t> owner;  // uid that owns `object`, where it is a path that still exists
  std::optional<uint32_t> owner_gid;
  Replicas replicas;
};

struct CapabilityFact {
  std::string name;  // without CAP_
  uint64_t granted = 0;
  uint64_t refused = 0;
  bool advisory = false;  // only known advisory sites (overcommit) checked it
  Phase phase = Phase::kPull;
  bool serve = false;
  std::vector<CapabilityUse> uses;
  Replicas replicas;
};

struct FileFact {
  std::string id;
  std::string path;              // resolved; as requested when it failed
  std::vector<std::string> ops;  // open-read (failed only), write, create, mkdir, unlink, rename,
                                 // chmod, chown, link, symlink, truncate, utime, mknod,
                                 // setxattr, device (a device node was opened),
                                 // stat (failed only), connect (unix, failed only)
  std::optional<std::string> error;  // "EROFS"; nullopt: it succeeded
  std::string exe;
  uint32_t uid = 0;
  Phase phase = Phase::kPull;
  std::optional<uint32_t> owner;  // of the path (or of its nearest existing parent)
  std::optional<uint32_t> owner_gid;
  uint64_t count = 1;
  Replicas replicas;
};

// A path, known of some inference server, that was asked for without credentials. Those that
// answered 404, or nothing, are left out; 401 and 403 say that it is there and closed.
struct EndpointFact {
  std::string path;    // "/metrics"
  std::string method;  // as it was asked; a method that the server refuses (405) does no harm
  int status = 0;      // HTTP status
  std::string role;    // "metrics" | "admin"
  bool operator==(const EndpointFact&) const = default;
};

struct ListenerFact {
  uint16_t port = 0;
  std::string protocol = "tcp";
  std::string address;  // "0.0.0.0", "::", "127.0.0.1"
  std::string speaks;   // "openai", "http", ...; empty: not asked
  std::string role = "unknown";
  std::vector<EndpointFact> endpoints;
  Replicas replicas;
  std::string server;  // its family in data/servers, by its own words; empty: not known
};

struct EgressFact {
  std::string id;
  std::string destination;  // address
  uint16_t port = 0;
  std::string protocol = "tcp";  // tcp udp icmp raw
  std::string name;              // from DNS; empty: never asked
  uint64_t attempts = 0;
  std::string outcome;  // "connected", "unreachable", "refused", "timeout", "sent", "denied"
  Phase phase = Phase::kPull;
  std::optional<uint64_t> period_ms;
  Replicas replicas;
};

struct DnsFact {
  std::string name, type;
  uint64_t count = 0;
  Replicas replicas;
};

struct ExecFact {
  std::string path;
  uint64_t count = 0;
  std::optional<std::string> error;
  Replicas replicas;
};

struct IoUringFact {
  std::string opcode, object;
  uint64_t count = 0;
  Replicas replicas;
};

struct Peaks {
  uint64_t tasks = 0, memory_bytes = 0, shm_bytes = 0, open_files = 0;
};

// How full a writable path became.
struct AreaFact {
  std::string path;
  uint64_t peak_bytes = 0;
};

struct LogFact {
  struct Line {
    std::string line;
    uint64_t count = 0;
  };
  double bytes_per_second = 0;
  std::vector<Line> repeated;
};

struct Loss {
  uint64_t events = 0;
  std::vector<std::string> maps;  // maps that were full
  bool any() const { return events > 0 || !maps.empty(); }
};

struct Evidence {
  Coverage coverage = Coverage::kEntry;
  std::string capability_hook;  // "tracepoint", "fexit", "kprobe"
  std::string ready;            // RFC 3339; empty: never ready
  std::vector<SyscallFact> syscalls;
  std::vector<ArgumentFact> arguments;
  std::vector<std::string> runtime_syscalls;  // of the runtime after it loaded the filter
  std::vector<CapabilityFact> capabilities;
  std::vector<FileFact> files;
  std::vector<ListenerFact> listeners;
  std::vector<EgressFact> egress;
  std::vector<DnsFact> dns;
  std::vector<IoUringFact> io_uring;
  std::vector<ExecFact> execs;
  Peaks peaks;
  std::vector<AreaFact> areas;
  LogFact log;
  Loss loss;
  // Of merged evidence: the runs that it was merged from, by digest; else empty.
  std::vector<std::string> replicas;
};

nlohmann::json to_json(const Evidence& evidence);
// kUnread naming `what` and the field: another schema or version, a missing field, a wrong type, a
// number out of range.
Result<Evidence> evidence_from_json(const nlohmann::json& json, const std::string& what);

}  // namespace pare::evidence
