// A Target is what the user runs today, in one form whatever it was written in.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "privilege/platforms.h"
#include "privilege/policy.h"

namespace pare::target {

enum class Kind {
  kRootfs,  // a directory tree + argv, for the oci engine
  kImage,   // an image reference, for the docker engine
};

struct EnvVar {
  std::string name;
  std::string value;
  bool secret = false;  // its value never leaves the process: names and digests only
};

struct Volume {
  std::string source;      // host path (bind) or volume name (named); empty: anonymous
  std::string path;        // absolute, in the container
  bool named = false;      // a Docker volume by name
  bool read_only = false;  // as asked
};

struct PublishedPort {
  std::string host_address;  // empty: all interfaces
  uint16_t host_port = 0;    // 0: chosen by the engine
  uint16_t port = 0;         // in the container
  std::string protocol = "tcp";
};

struct Ulimit {
  std::string name;  // "memlock", "nofile", ...
  int64_t soft = 0;  // -1: unlimited
  int64_t hard = 0;
};

struct PasswdEntry {
  std::string name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string home;
};

// What the image or root file system says of itself; filled by Engine::resolve.
struct ImageFacts {
  std::string digest;  // "sha256:..."; empty for a root file system
  std::string pinned;  // "name@sha256:...": what pulls this very image; empty: no registry has it
  std::vector<std::string> entrypoint;  // of the image config
  std::vector<std::string> command;
  std::vector<EnvVar> env;
  std::string user;  // USER, as written
  std::string workdir;
  std::vector<std::string> volumes;        // VOLUME paths
  std::vector<std::string> exposed_ports;  // EXPOSE, "8000/tcp"
  std::vector<PasswdEntry> passwd;
};

// An option that grants nothing ("--memory" "8g"): engines that know it apply it as written, and
// emitters for the same platform repeat it.
struct KeptOption {
  std::string option;  // long form, with its dashes
  std::string value;   // "true" for a flag
};

struct Target {
  Kind kind = Kind::kRootfs;
  std::string image;                    // kImage: reference
  std::string rootfs;                   // kRootfs: absolute directory
  std::string name;                     // --name or derived; for emitted objects
  std::vector<std::string> entrypoint;  // --entrypoint; empty: the image's
  std::vector<std::string> command;     // arguments after the image, or the argv of a rootfs
  std::vector<EnvVar> env;
  std::string workdir;
  std::string user;  // "uid[:gid]" or names; empty: the image's
  std::vector<uint32_t> group_add;
  std::vector<std::string> group_add_names;  // looked up in the image's /etc/group by resolve
  std::vector<Volume> volumes;
  std::vector<std::string> tmpfs;                    // paths asked as tmpfs
  std::map<std::string, std::string> tmpfs_options;  // by path, as in "exec,size=64m", if any
  std::vector<PublishedPort> ports;
  std::vector<std::string> expose;  // --expose, "8000/tcp"; published when publish_all
  bool publish_all = false;         // resolve adds the image's exposed ports to `ports`
  std::optional<privilege::CapabilitySet> capabilities;  // --asked; nullopt: platform's default
  std::vector<std::string> cap_add, cap_drop;
  bool privileged = false;
  bool read_only_rootfs = false;
  bool no_new_privileges = false;
  bool seccomp_unconfined = false;
  bool seccomp_runtime_default = false;  // the runtime's profile is asked for (seccompProfile)
  std::string seccomp_file;              // --security-opt seccomp=FILE
  std::string network = "";              // "", "bridge", "none", "host", or a network's name
  bool host_pid = false, host_ipc = false, host_uts = false;
  std::vector<std::string> lsm_options;  // "apparmor=...", "label=...": applied in every trial
  std::vector<std::string> devices;
  std::string gpus;  // --gpus value; empty: none
  std::optional<uint64_t> shm_bytes;
  std::optional<uint64_t> pids_limit;
  std::vector<Ulimit> ulimits;
  std::map<std::string, std::string> sysctls;
  bool init = false;
  bool tty = false, open_stdin = false;
  std::string runtime;  // --runtime, e.g. "nvidia"; empty: the engine's default
  std::vector<KeptOption> kept;
  std::vector<std::string> written;  // the words that the user wrote, secrets masked; for reports

  ImageFacts facts;
  // Resolved (Engine::resolve): argv that execve gets, numeric user.
  std::vector<std::string> argv;
  privilege::User resolved_user;
};

// What stands before the arguments: --entrypoint, else the image's. --entrypoint "" means none.
std::vector<std::string> entry_point(const Target& target);
// What execve gets of it as written; empty: nothing says what to run. Needs the image's facts.
std::vector<std::string> argv_of(const Target& target);
// The argv of a resolved target with other arguments than its own, where a policy has such.
std::vector<std::string> argv_of(const Target& target,
                                 const std::optional<std::vector<std::string>>& arguments);

// What `target` is granted today: the top of the lattice. Needs a resolved target.
privilege::Policy asked_policy(const Target& target, const privilege::Platform& platform);

// The `target` object of proof.json. Secret values are left out.
nlohmann::json to_json(const Target& target, const privilege::Policy& asked);
// Its inverse, as far as emitters and a later run need it; secret values come back empty.
Result<Target> target_from_json(const nlohmann::json& json, const std::string& what);

// True where a variable's name looks like a key (…_KEY, …_TOKEN, …SECRET…, …PASSWORD…).
bool looks_secret(std::string_view name);

// A supplementary group as in docker's --group-add, by number or name. kUsage when it is neither.
Status add_group(Target& target, const std::string& group);

// A user as in docker's --user ("1000", "1000:1000", "name", "name:group") by the image's passwd.
Result<privilege::User> resolve_user(const std::string& user,
                                     const std::vector<PasswdEntry>& passwd);

// /etc/passwd's text (passwd(5)); lines that do not parse are left out.
std::vector<PasswdEntry> parse_passwd(const std::string& text);

}  // namespace pare::target
