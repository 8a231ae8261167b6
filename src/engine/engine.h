// A Target under a Policy becomes a running container. Two implementations: oci (runc on a root
// file system, no daemon) and docker (the Engine API over its unix socket).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "privilege/platforms.h"
#include "privilege/policy.h"
#include "target/target.h"

namespace pare::engine {

// Where one volume of the target really is during one trial.
struct VolumeMount {
  std::string source;  // host directory or file, already an overlay where it has to be
  std::string path;    // in the container
};

struct CreateOptions {
  std::string id;                    // unique, [a-z0-9-], starts with "pare-"; cgroup leaf (oci)
  std::vector<VolumeMount> volumes;  // one for each target.volumes entry
  std::string log_path;              // stdout and stderr are appended here
  std::string netns;                 // oci: join this network namespace instead of a new one
  bool host_network = false;         // oci: share the host's network (egress open)
  bool open_network = false;         // docker: the target's own network instead of "none"
  // stdout and stderr go to this descriptor, which stays the caller's, instead of log_path.
  int output = -1;
  std::string seccomp;                   // a profile as JSON, instead of the policy's
  std::optional<uint64_t> memory_bytes;  // limit of the container's memory
  // Variables that the container does not get though its image sets them: a daemon adds an image's
  // own by itself. Those that the target or the policy sets stay.
  std::vector<std::string> withheld;
  // oci: more lines of /etc/hosts, each a name and its address.
  std::vector<std::pair<std::string, std::string>> hosts;
  std::chrono::milliseconds timeout{30'000};  // for the engine's own steps
};

struct ExitState {
  bool exited = false;
  int code = 0;  // 128 + signal when killed by one
  bool oom_killed = false;
};

class Container {
 public:
  Container() = default;
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;
  virtual ~Container() = default;  // kills and removes what is left; never throws

  // The last component of the container's cgroup directory, known before start().
  virtual const std::string& cgroup_leaf() const = 0;
  // Runs the entry point. An error is the engine's. What the policy itself prevents (a program
  // hidden or not executable under it) is a start all the same, that exits with 126 or 127 and
  // whose log says why.
  virtual Status start() = 0;
  // Host pid of the entry process; 0 before start() and after exit.
  virtual int pid() const = 0;
  virtual ExitState state() = 0;
  // Waits for the exit, at most `limit`.
  virtual ExitState wait(std::chrono::milliseconds limit) = 0;
  virtual Status signal(int number) = 0;
  // Runs argv inside, as the container's user; the exit code, as shells count: 126 where it could
  // not be run, 127 where it was not found, 124 where it still ran at the limit and was killed.
  // Labelled apart from the server.
  virtual Result<int> exec(const std::vector<std::string>& argv,
                           std::chrono::milliseconds limit) = 0;
  // The directory of what the run wrote to its root file system (overlay upper); empty if unknown.
  virtual std::string upper_dir() const = 0;
  virtual Status remove() = 0;
};

class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;

  virtual std::string name() const = 0;               // "oci" | "docker"
  virtual Result<std::string> runtime_version() = 0;  // "runc 1.1.5"
  // Whether the server runs on a kernel of its own (gVisor): the host's sees that kernel's calls
  // and not the server's, so nothing can be recorded, and no filter of the host's can be sealed.
  virtual bool own_kernel() const { return false; }
  // Fills facts, argv and resolved_user; checks that the image or root and its program exist
  // (kUsage, naming what is missing).
  virtual Result<target::Target> resolve(const target::Target& target) = 0;
  // The host directory behind a volume of the target (a named docker volume is looked up; an
  // anonymous one yields an empty string: the caller makes an empty directory).
  virtual Result<std::string> volume_source(const target::Volume& volume) = 0;
  // Creates, does not start.
  virtual Result<std::unique_ptr<Container>> create(const target::Target& target,
                                                    const privilege::Policy& policy,
                                                    const privilege::Platform& platform,
                                                    const CreateOptions& options) = 0;
  // Removes every container that carries `session` in its id, whoever made it; used by clean.
  virtual Status sweep(const std::string& session) = 0;
  // Contents of a file of the image or root file system ("/etc/passwd"); kUsage when absent.
  virtual Result<std::string> read_image_file(const target::Target& target,
                                              const std::string& path) = 0;
  // uid and gid of a path in the image; nullopt when it does not exist or cannot be looked up.
  virtual std::optional<std::pair<uint32_t, uint32_t>> owner(const target::Target& target,
                                                             const std::string& path) = 0;
};

struct OciOptions {
  std::string runtime = "runc";  // runc | crun | runsc
  std::string state_dir;         // per session, on a disk file system: bundles and overlays
};
Result<std::unique_ptr<Engine>> make_oci(const OciOptions& options);

struct DockerOptions {
  std::string socket = "/var/run/docker.sock";  // DOCKER_HOST=unix://...
  std::string session;                          // label pare.session=...
  std::string state_dir;
};
Result<std::unique_ptr<Engine>> make_docker(const DockerOptions& options);

// OCI runtime-spec config.json (1.0.2) for a resolved target; also what `emit --to oci` is compared
// with. rootfs: the merged root directory.
std::string oci_config_json(const target::Target& target, const privilege::Policy& policy,
                            const privilege::Platform& platform, const CreateOptions& options,
                            const std::string& rootfs);

}  // namespace pare::engine
