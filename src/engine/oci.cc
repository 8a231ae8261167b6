#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "engine/engine.h"
#include "engine/oci_config.h"
#include "engine/oci_container.h"
#include "sys/path.h"
#include "sys/rootfs.h"

namespace pare::engine {

using target::Target;

namespace {

constexpr uint64_t kBundleBytes = 256 << 20;  // an upper bound: a bundle has a few KiB

// What only an image or a daemon makes sense of.
struct Refused {
  bool (*asked)(const Target&);
  std::string_view what;
};
constexpr std::array<Refused, 6> kRefused = {{
    {[](const Target& t) { return t.kind != target::Kind::kRootfs; },
     "an image by its name (give --rootfs DIR, or --image oci:DIR)"},
    {[](const Target& t) { return !t.gpus.empty(); }, "--gpus"},
    {[](const Target& t) { return t.init; }, "--init"},
    {[](const Target& t) { return t.tty; }, "--tty"},
    {[](const Target& t) { return !t.lsm_options.empty(); },
     "--security-opt for AppArmor or SELinux"},
    {[](const Target& t) { return !t.kept.empty(); }, "resource options such as --memory"},
}};

Status check_supported(const Target& target) {
  for (const Refused& row : kRefused) {
    if (!row.asked(target)) continue;
    return fail(ErrorKind::kUsage, "the oci engine does not take " + std::string(row.what) +
                                       ": leave it out, or use --engine docker");
  }
  return {};
}

Result<std::string> real_root(const std::string& rootfs) {
  if (rootfs.empty()) {
    return fail(ErrorKind::kUsage, "no root file system was given: use --rootfs DIR");
  }
  std::unique_ptr<char, decltype(&free)> resolved(realpath(rootfs.c_str(), nullptr), free);
  if (!resolved) {
    int err = errno;
    if (err == ENOENT) {
      return fail(ErrorKind::kUsage, "root file system " + rootfs + " does not exist", err);
    }
    return fail_errno("cannot open root file system " + rootfs, err);
  }
  struct stat st {};
  if (stat(resolved.get(), &st) != 0 || !S_ISDIR(st.st_mode)) {
    return fail(ErrorKind::kUsage, "root file system " + rootfs + " is not a directory");
  }
  return std::string(resolved.get());
}

// group(5): the gid of a name.
Result<uint32_t> group_id(const std::string& name, const std::string& groups) {
  for (const std::string& line : base::split(groups, '\n')) {
    std::vector<std::string> fields = base::split(line, ':');
    if (fields.size() < 3 || fields[0] != name) continue;
    if (auto gid = base::parse_u64(fields[2])) return static_cast<uint32_t>(*gid);
  }
  return fail(ErrorKind::kUsage, "group '" + name + "' is not in the root's /etc/group");
}

std::string path_variable(const Target& target) {
  for (const std::string& entry : effective_env(target, {})) {
    if (base::starts_with(entry, "PATH=")) return entry.substr(5);
  }
  return "";
}

bool valid_id(const std::string& id) {
  return base::starts_with(id, "pare-") && id.size() <= 128 &&
         id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}

// Names of the directories in `directory` that contain `part`.
std::vector<std::string> directories_with(const std::string& directory, const std::string& part) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  while (const dirent* entry = dir ? readdir(dir.get()) : nullptr) {
    std::string name = entry->d_name;
    if (entry->d_type == DT_DIR && name.find(part) != std::string::npos) names.push_back(name);
  }
  return names;
}

class OciEngine : public Engine {
 public:
  static Result<std::unique_ptr<Engine>> open(const OciOptions& options);
  ~OciEngine() override;

  std::string name() const override { return "oci"; }
  Result<std::string> runtime_version() override { return runtime_.version(); }
  bool own_kernel() const override { return runtime_.own_kernel(); }
  Result<Target> resolve(const Target& target) override;
  Result<std::string> volume_source(const target::Volume& volume) override;
  Result<std::unique_ptr<Container>> create(const Target& target, const privilege::Policy& policy,
                                            const privilege::Platform& platform,
                                            const CreateOptions& options) override;
  Status sweep(const std::string& session) override;
  Result<std::string> read_image_file(const Target& target, const std::string& path) override {
    return sys::read_in_root(target.rootfs, path);
  }
  std::optional<std::pair<uint32_t, uint32_t>> owner(const Target& target,
                                                     const std::string& path) override;

 private:
  OciEngine(OciRuntime runtime, BundlePlaces places, sys::Mount memory)
      : runtime_(std::move(runtime)), places_(std::move(places)), memory_(std::move(memory)) {}

  OciRuntime runtime_;
  BundlePlaces places_;
  sys::Mount memory_;
};

Result<std::unique_ptr<Engine>> OciEngine::open(const OciOptions& options) {
  PARE_TRY(OciRuntime runtime, OciRuntime::find(options.runtime));
  if (geteuid() != 0) {
    return fail(ErrorKind::kHost, "the oci engine starts containers as root: run pare with sudo");
  }
  if (options.state_dir.empty() || options.state_dir[0] != '/') {
    return fail(ErrorKind::kUsage, "the oci engine needs an absolute state directory");
  }
  PARE_CHECK_OK(base::make_directories(options.state_dir, 0700));
  BundlePlaces places{options.state_dir + "/bundles-XXXXXX", options.state_dir};
  if (mkdtemp(places.memory.data()) == nullptr) {
    return fail_errno("cannot create a directory in " + options.state_dir, errno);
  }
  auto memory = sys::Mount::tmpfs(places.memory, kBundleBytes);
  if (!memory) {
    rmdir(places.memory.c_str());
    return tl::unexpected(memory.error());
  }
  return std::unique_ptr<Engine>(
      new OciEngine(std::move(runtime), std::move(places), std::move(*memory)));
}

OciEngine::~OciEngine() {
  (void)memory_.unmount();
  rmdir(places_.memory.c_str());
}

Result<Target> OciEngine::resolve(const Target& target) {
  PARE_CHECK_OK(check_supported(target));
  Target resolved = target;
  PARE_TRY(resolved.rootfs, real_root(target.rootfs));
  // A root without passwd is fine: numbers need none.
  resolved.facts.passwd =
      target::parse_passwd(sys::read_in_root(resolved.rootfs, "/etc/passwd").value_or(""));
  const std::string& user = target.user.empty() ? target.facts.user : target.user;
  PARE_TRY(resolved.resolved_user, target::resolve_user(user, resolved.facts.passwd));
  resolved.resolved_user.groups = target.group_add;
  std::string groups = sys::read_in_root(resolved.rootfs, "/etc/group").value_or("");
  for (const std::string& name : target.group_add_names) {
    PARE_TRY(uint32_t gid, group_id(name, groups));
    resolved.resolved_user.groups.push_back(gid);
  }
  resolved.argv = target::argv_of(target);
  if (resolved.argv.empty()) {
    return fail(ErrorKind::kUsage, "no command was given: name the program after --");
  }
  PARE_CHECK_OK(sys::find_program_in_root(resolved.rootfs, resolved.argv[0],
                                          effective_workdir(resolved), path_variable(resolved))
                    .map([](const std::string&) {}));
  return resolved;
}

Result<std::string> OciEngine::volume_source(const target::Volume& volume) {
  if (volume.named) {
    return fail(ErrorKind::kUsage, "volume '" + volume.source +
                                       "' is a name: the oci engine takes host paths, such as "
                                       "--volume /srv/models:" +
                                       volume.path);
  }
  if (!volume.source.empty() && access(volume.source.c_str(), F_OK) != 0) {
    return fail(ErrorKind::kUsage,
                "volume " + volume.source + " (for " + volume.path + ") does not exist", errno);
  }
  return volume.source;
}

Result<std::unique_ptr<Container>> OciEngine::create(const Target& target,
                                                     const privilege::Policy& policy,
                                                     const privilege::Platform& platform,
                                                     const CreateOptions& options) {
  if (!valid_id(options.id)) {
    return fail(ErrorKind::kUsage, "'" + options.id +
                                       "' is not a container id: it starts with pare- and has "
                                       "lower-case letters, digits and dashes alone");
  }
  PARE_TRY(sys::Cgroup cgroup, oci_cgroup(options.id));
  PARE_TRY(Bundle bundle, Bundle::make(places_, target, policy, platform, options));
  return std::make_unique<OciContainer>(runtime_, std::move(bundle), std::move(cgroup),
                                        policy.seccomp.has_value() || !options.seccomp.empty(),
                                        options);
}

Status OciEngine::sweep(const std::string& session) {
  if (session.size() < 8) {
    return fail(ErrorKind::kUsage, "'" + session + "' is too short for a session id to sweep");
  }
  PARE_CHECK_OK(kill_runtime_processes(session));
  PARE_TRY(auto hierarchies, sys::cgroup_hierarchies());
  for (const sys::CgroupHierarchy& hierarchy : hierarchies) {
    for (const std::string& id : directories_with(hierarchy.mount + "/pare", session)) {
      PARE_TRY(sys::Cgroup cgroup, oci_cgroup(id));
      PARE_CHECK_OK(remove_oci_cgroup(cgroup));
    }
  }
  remove_empty_parent();  // its owner may have died just before it would have
  PARE_CHECK_OK(sys::unmount_marked(session));
  for (const std::string& place : {places_.memory, places_.disk}) {
    for (const std::string& id : directories_with(place, session)) {
      PARE_CHECK_OK(sys::remove_tree(sys::join_path(place, id)));
    }
  }
  return {};
}

std::optional<std::pair<uint32_t, uint32_t>> OciEngine::owner(const Target& target,
                                                              const std::string& path) {
  auto fd = sys::open_in_root(target.rootfs, path, O_PATH);
  struct stat st {};
  if (!fd || fstat(fd->get(), &st) != 0) return std::nullopt;
  return std::pair(st.st_uid, st.st_gid);
}

}  // namespace

Result<std::unique_ptr<Engine>> make_oci(const OciOptions& options) {
  return OciEngine::open(options);
}

}  // namespace pare::engine
