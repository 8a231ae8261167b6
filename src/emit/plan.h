// What every emitter writes, whatever its spelling: a proof's policy and target, put together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "emit/emit.h"
#include "verdict/verdict.h"

namespace pare::emit {

// A directory of the image that stays writable under a read-only root file system.
struct Scratch {
  std::string name;  // DNS-1123 label, unique among the plan's mounts
  std::string path;
  uint64_t peak = 0;       // bytes seen in it; 0: not measured
  uint64_t limit = 0;      // bytes with a margin; 0: not measured
  bool memory = true;      // small enough for memory; false: on disk
  bool exec = false;       // as it was mounted when the policy was confirmed
  bool used_exec = false;  // files in it were executed
  bool copy_up = false;    // starts with what the image has there
  std::string options;     // of docker's --tmpfs, as the target had them
};

// Options of a tmpfs that the policy's user can write. runc before 1.2 gives a tmpfs the mode of
// the directory below it whatever mode= says (libcontainer/rootfs_linux.go), so it also gets an
// owner.
std::vector<std::string> tmpfs_options(const Scratch& scratch, const privilege::User& user);

struct Mounted {
  std::string name;    // as for Scratch
  std::string source;  // what the target bound; empty: anonymous
  std::string path;
  bool named = false;     // `source` is a Docker volume
  bool writable = false;  // proved to need it
  bool file = false;      // looks like a single file (its last component has an extension)
  bool owned = false;     // proved with its tree given to the server's user
};

struct Port {
  uint16_t port = 0;
  std::string protocol;  // "tcp" | "udp"
  std::string name;      // at most 15 characters: "inference", "infer-8001", "metrics", ...
  std::string role;      // of privilege::PortGrant
  uint16_t outside = 0;  // where clients know it: another number when the server's was moved
};

// How a platform finds out that the server is ready: from the proof's checks.
struct Probe {
  enum class Kind { kTcp, kHttp, kGrpc };
  Kind kind = Kind::kTcp;
  std::string scheme = "http";
  std::string path;
  uint16_t port = 0;
  std::string check;  // the check it comes from; empty: the first port
};

struct Plan {
  std::string name;                     // DNS-1123 label
  std::string claims_of;                // whose claims, Secrets and profile it uses
  std::string selector;                 // label of the server's Pods alone, with NAME as its value
  std::string seccomp_name;             // of the file beside the others: NAME.seccomp.json
  std::string image;                    // reference, pinned by digest where one is known
  std::vector<std::string> entrypoint;  // replaces the image's; empty: the image's own
  std::vector<std::string> arguments;   // after the entry point; empty: the image's own
  std::vector<target::EnvVar> env;      // the target's, with the policy's changes
  std::vector<Scratch> scratch;
  std::vector<Mounted> volumes;
  std::vector<Port> ports;          // inference only
  std::vector<Port> metrics_ports;  // open to Options::metrics_from
  std::vector<Port> closed_ports;   // granted or seen, and not part of inference
  std::optional<Probe> probe;
  double startup_seconds = 0;            // of the slowest baseline; 0: unknown
  std::string proof_digest;              // hex
  std::vector<std::string> assumptions;  // the proof's, and those that emitting adds
};

Plan make_plan(const verdict::Proof& proof, const Options& options);

// The proof with the policy of the pull phase (volumes are filled, the network is there) in the
// place of the serving one, named NAME-pull; nullopt when the proof shows no such phase.
std::optional<verdict::Proof> pull_phase(const verdict::Proof& proof);

// What the pull that pull_phase() found is emitted from: it says which proof it is of, and has the
// server's claims, Secret and profile.
Plan pull_plan(const verdict::Proof& pull, const Plan& serving, const Options& options);

// The policy shares this namespace with the host: "network", "pid", "ipc", "uts".
bool has_namespace(const privilege::Policy& policy, std::string_view name);

// The head of an emitted file, without comment characters: what it is, proof and image digests,
// UNCONFIRMED where it is, assumptions, what the platform cannot express, how to check it.
struct Header {
  std::string title;
  std::vector<std::string> extra;        // further lines below the title
  std::vector<std::string> assumptions;  // besides the plan's
  std::vector<std::string> inexpressible;
  std::vector<std::string> check;  // commands
};
std::string header_text(const verdict::Proof& proof, const Plan& plan, const Header& header);

// A lower-case DNS-1123 label of at most 63 characters; "server" where nothing is left.
std::string dns_label(std::string_view text);

// "4KiB", "64MiB", "1.5GiB": exact or one decimal.
std::string human_bytes(uint64_t bytes);

// The verdict on a privilege ("user/root"); nullptr when the proof has none.
const verdict::Verdict* find_verdict(const verdict::Proof& proof, const std::string& privilege);

// Egress that the server needs after it is ready, one clause each; empty: none.
std::vector<std::string> egress_clauses(const privilege::Policy& policy);

}  // namespace pare::emit
