#include "cli/target_options.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/checks_file.h"
#include "cli/target_files.h"
#include "engine/oci_image.h"
#include "record/recorder.h"
#include "target/docker_run.h"

namespace pare::cli {

namespace {

// HOST:PATH[:ro|:rw]
Result<target::Volume> parse_volume(const std::string& text) {
  std::vector<std::string> parts = base::split(text, ':');
  bool ro = parts.size() == 3 && parts[2] == "ro";
  bool rw = parts.size() == 2 || (parts.size() == 3 && parts[2] == "rw");
  if ((!ro && !rw) || parts[0].empty() || !base::starts_with(parts[1], "/")) {
    return fail(ErrorKind::kUsage,
                "--volume '" + text + "' is not HOST:PATH[:ro], with an absolute PATH");
  }
  std::error_code ec;
  std::string source = std::filesystem::absolute(parts[0], ec);
  if (access(source.c_str(), F_OK) != 0) {
    return fail(ErrorKind::kUsage, "--volume '" + text + "': " + source + " does not exist");
  }
  return target::Volume{source, parts[1], false, ro};
}

target::EnvVar variable(const std::string& name, const std::string& value) {
  return {name, value, target::looks_secret(name)};
}

Result<target::EnvVar> parse_env(const std::string& text, const std::string& where) {
  size_t equals = text.find('=');
  if (equals == 0) return fail(ErrorKind::kUsage, where + ": '" + text + "' has no name");
  if (equals != std::string::npos) {
    return variable(text.substr(0, equals), text.substr(equals + 1));
  }
  const char* value = getenv(text.c_str());
  if (value == nullptr) {
    return fail(ErrorKind::kUsage, where + ": " + text +
                                       " is not set in the environment: export it, or give " +
                                       text + "=VALUE");
  }
  return variable(text, value);
}

Status read_env_file(const std::string& path, std::vector<target::EnvVar>& env) {
  PARE_TRY(std::string text, base::read_file(path));
  int number = 0;
  for (const std::string& line : base::split(text, '\n')) {
    ++number;
    std::string trimmed(base::trim(line));
    if (trimmed.empty() || trimmed[0] == '#') continue;
    PARE_TRY(target::EnvVar one, parse_env(trimmed, path + ":" + std::to_string(number)));
    target::set_env(env, std::move(one));
  }
  return {};
}

Status add_environment(const TargetOptions& options, const Secrets& secrets,
                       target::Target& target) {
  for (const std::string& file : options.env_files) {
    PARE_CHECK_OK(read_env_file(file, target.env));
  }
  for (const std::string& text : options.env) {
    PARE_TRY(target::EnvVar one, parse_env(text, "--env"));
    target::set_env(target.env, std::move(one));
  }
  for (const auto& [name, value] : secrets) {
    // SECRET/KEY names what a file refers to, and no variable.
    if (name.find('/') == std::string::npos) target::set_env(target.env, {name, value, true});
  }
  return {};
}

Status add_asked(const TargetOptions& options, target::Target& target) {
  if (options.asked.empty() || options.asked == "default") return {};
  if (options.asked == "all") {
    target.capabilities = privilege::CapabilitySet::all();
    return {};
  }
  if (options.asked == "none") {
    target.capabilities = privilege::CapabilitySet{};
    return {};
  }
  PARE_TRY(target.capabilities, privilege::CapabilitySet::parse(base::split(options.asked, ',')));
  return {};
}

Status add_common(const TargetOptions& options, const Secrets& secrets, target::Target& target) {
  PARE_CHECK_OK(add_environment(options, secrets, target));
  PARE_CHECK_OK(add_asked(options, target));
  for (const std::string& text : options.volumes) {
    PARE_TRY(target::Volume volume, parse_volume(text));
    target.volumes.push_back(std::move(volume));
  }
  for (uint16_t port : options.ports) target.ports.push_back({"", port, port, "tcp"});
  if (!options.user.empty()) target.user = options.user;
  for (const std::string& text : options.groups) {
    PARE_CHECK_OK(target::add_group(target, text));
  }
  if (!options.workdir.empty()) target.workdir = options.workdir;
  if (!options.network.empty() && options.network != "open" && options.network != "none") {
    return fail(ErrorKind::kUsage, "--network is 'open' or 'none', not '" + options.network + "'");
  }
  return {};
}

bool container_line(const TargetOptions& options) {
  return target::is_docker_run(options.words);
}

Result<target::Target> rootfs_target(const TargetOptions& options) {
  bool image = engine::is_image_file(options.image);
  if (options.rootfs.empty() && !image) {
    return fail(ErrorKind::kUsage,
                "nothing to run: give a compose, Kubernetes or pare.yaml file, a docker run line "
                "after --, or --rootfs DIR -- CMD ARGS");
  }
  if (options.words.empty() && !image) {
    return fail(ErrorKind::kUsage, "--rootfs needs the command to run after --: -- CMD ARGS");
  }
  target::Target target;
  target.kind = target::Kind::kRootfs;
  std::error_code ec;
  if (image) {
    target.image = options.image;
    target.name = "target";
  } else {
    target.rootfs = std::filesystem::absolute(options.rootfs, ec);
  }
  target.command = options.words;
  if (!options.words.empty()) target.name = std::filesystem::path(options.words[0]).filename();
  target.written = options.words;
  target.network = options.network == "open" || !options.netns.empty() ? "bridge" : "none";
  return target;
}

}  // namespace

std::string docker_socket() {
  const char* host = getenv("DOCKER_HOST");
  if (host == nullptr || *host == '\0') return engine::DockerOptions{}.socket;
  std::string_view text = host;
  return std::string(base::starts_with(text, "unix://") ? text.substr(7) : text);
}

void add_target_options(CLI::App& app, TargetOptions& options) {
  app.add_option("--engine", options.engine,
                 "oci | docker (default: docker for a docker run line)");
  app.add_option("--runtime", options.runtime, "runc | crun | runsc (gVisor), for the oci engine");
  app.add_option("--rootfs", options.rootfs, "root file system (never written)");
  app.add_option("--image", options.image,
                 "image instead of the file's; oci:DIR and docker-archive:FILE need no daemon");
  app.add_option("--container", options.container, "which container of the files");
  app.add_option("--user", options.user, "UID[:GID] or names of the image's passwd");
  app.add_option("--group-add", options.groups, "a further group of that user: GID or a name")
      ->allow_extra_args(false);
  app.add_option("--workdir", options.workdir, "working directory");
  app.add_option("--asked", options.asked,
                 "capabilities granted today: default | all | none | CAP,...");
  app.add_option("--network", options.network, "open | none: egress of the baseline");
  app.add_option("--netns", options.netns, "network namespace where egress is open (oci)");
  app.add_option("--ready-within", options.ready_within, "limit for the baseline's start (10m)");
  // Repeatable: each takes one word, so that the target after it is not swallowed.
  std::vector<CLI::Option*> repeatable = {
      app.add_option("--volume", options.volumes, "HOST:PATH[:ro]; trials see an overlay of it"),
      app.add_option("--env", options.env, "NAME=VALUE, or NAME from the environment"),
      app.add_option("--env-file", options.env_files, "file of NAME=VALUE lines"),
      app.add_option("--secret", options.secrets,
                     "NAME=FILE: a variable whose value is never shown"),
      app.add_option("--bind", options.binds,
                     "pvc/NAME=DIR: what stands for a claim, volume/, emptydir/, configmap/ or "
                     "secret/"),
      app.add_option("--profile", options.profiles, "compose profile that is on"),
      app.add_option("--port", options.ports, "port that is published today"),
      app.add_option("--check", options.checks,
                     "what 'it works' means: http://:8000/PATH;..., openai://:8000, exec:CMD, or a "
                     "curl line"),
  };
  repeatable.push_back(app.add_option("--checks", options.check_files,
                                      "YAML or JSON file with a list checks:, the full form"));
  for (CLI::Option* option : repeatable) option->allow_extra_args(false);
  app.add_option("target", options.words,
                 "FILE.yaml... | -, or after --: docker run ... | CMD ARGS");
}

// nsfs is what ip-netns(8) mounts there; runc's own words for anything else name no option.
static Status check_netns(const std::string& path) {
  struct statfs st {};
  if (path.empty() || (statfs(path.c_str(), &st) == 0 && st.f_type == NSFS_MAGIC)) return {};
  return fail(ErrorKind::kUsage, "--netns '" + path +
                                     "' is no network namespace: give /run/netns/NAME or "
                                     "/proc/PID/ns/net");
}

Result<WrittenTarget> make_target(const TargetOptions& options) {
  PARE_CHECK_OK(check_netns(options.netns));
  if (!options.image.empty() && !options.rootfs.empty()) {
    return fail(ErrorKind::kUsage, "--image and --rootfs exclude each other");
  }
  PARE_TRY(Secrets secrets, read_secrets(options));
  WrittenTarget written;
  target::Target& target = written.target;
  if (names_files(options.words)) {
    PARE_TRY(written, target_of_files(options, secrets));
    for (const std::string& name : written.file_secrets) secrets.erase(name);
    bool open = options.network == "open" || !options.netns.empty();
    if (target.kind == target::Kind::kRootfs && target.network.empty()) {
      target.network = open ? "bridge" : "none";
    }
  } else if (container_line(options)) {
    if (!options.rootfs.empty()) {
      return fail(ErrorKind::kUsage, "--rootfs and a docker run line exclude each other");
    }
    PARE_TRY(target, target::parse_docker_run(options.words, target::caller_environment()));
    if (!options.image.empty()) target.image = options.image;
    if (engine::is_image_file(target.image)) target.kind = target::Kind::kRootfs;
  } else {
    PARE_TRY(target, rootfs_target(options));
  }
  if (options.network == "none") target.network = "none";
  PARE_CHECK_OK(add_common(options, secrets, target));
  return written;
}

Result<std::vector<check::Spec>> make_checks(const TargetOptions& options,
                                             const target::Target& target) {
  PARE_TRY(std::vector<check::Spec> specs, check::parse_specs(options.checks));
  if (!options.file_checks.empty() && !specs.empty()) {
    return fail(ErrorKind::kUsage, "--check and checks: in pare.yaml exclude each other");
  }
  if (specs.empty()) specs = options.file_checks;
  for (const std::string& file : options.check_files) {
    PARE_TRY(std::vector<check::Spec> more, checks_of_file(file));
    for (check::Spec& spec : more) {
      auto same = [&](const check::Spec& known) { return known.name == spec.name; };
      if (std::any_of(specs.begin(), specs.end(), same)) {
        return fail(ErrorKind::kUsage, file + ": a check named '" + spec.name +
                                           "' is given already: give this one another name");
      }
      specs.push_back(std::move(spec));
    }
  }
  std::vector<std::pair<uint16_t, uint16_t>> published;
  for (const target::PublishedPort& port : target.ports) {
    published.emplace_back(port.host_port, port.port);
  }
  check::to_container_ports(specs, published);
  return specs;
}

Result<std::chrono::milliseconds> ready_limit(const TargetOptions& options) {
  if (options.ready_within.empty()) return std::chrono::milliseconds(600'000);
  auto limit = base::parse_duration(options.ready_within);
  if (limit) return *limit;
  return fail(ErrorKind::kUsage,
              "--ready-within '" + options.ready_within + "' is not a duration such as 30s or 10m");
}

Result<Workshop> open_workshop(const TargetOptions& options, const target::Target& target) {
  if (geteuid() != 0) {
    return fail(ErrorKind::kHost,
                "pare needs root to run and record containers: run it with sudo (pare doctor says "
                "what else this host lacks)");
  }
  std::string name = options.engine;
  if (name.empty()) name = target.kind == target::Kind::kImage ? "docker" : "oci";
  if (name != "oci" && name != "docker") {
    return fail(ErrorKind::kUsage, "--engine is 'oci' or 'docker', not '" + name + "'");
  }
  if ((name == "docker") != (target.kind == target::Kind::kImage)) {
    return fail(ErrorKind::kUsage, name == "docker"
                                       ? "--engine docker needs an image: a docker run line "
                                         "after --, or a file that names one"
                                       : "--engine oci needs --rootfs DIR, or --image oci:DIR");
  }
  PARE_CHECK_OK(sweep_dead_sessions());
  PARE_TRY(sys::Session session, sys::Session::open());
  Workshop workshop{std::move(session), nullptr};
  if (name == "oci") {
    engine::OciOptions oci;
    oci.runtime = options.runtime;
    oci.state_dir = workshop.session.directory();
    PARE_TRY(workshop.engine, engine::make_oci(oci));
  } else {
    engine::DockerOptions docker;
    docker.socket = docker_socket();
    docker.session = workshop.session.id();
    docker.state_dir = workshop.session.directory();
    // Written before the first container, so that a sweep finds the daemon that holds them.
    PARE_CHECK_OK(base::write_file_atomic(docker.state_dir + "/docker-socket", docker.socket));
    PARE_TRY(workshop.engine, engine::make_docker(docker));
  }
  return workshop;
}

Status can_record(engine::Engine& engine, const std::string& instead) {
  if (engine.own_kernel()) {
    return fail(ErrorKind::kUsage,
                "under " + engine.runtime_version().value_or(engine.name()) +
                    " the server's calls are made by a kernel of its own, which the recorder does "
                    "not see" +
                    instead);
  }
  record::Support support = record::probe();
  if (support.ok) return {};
  return fail(ErrorKind::kHost, "this host cannot record: " + support.missing + instead);
}

static Status sweep_one(sys::Session& session) {
  engine::OciOptions oci;
  oci.state_dir = session.directory();
  if (auto engine = engine::make_oci(oci)) PARE_CHECK_OK((*engine)->sweep(session.id()));
  auto socket = base::read_file(session.directory() + "/docker-socket");
  if (!socket) return {};
  engine::DockerOptions docker;
  docker.socket = *socket;
  docker.session = session.id();
  docker.state_dir = session.directory();
  PARE_TRY(std::unique_ptr<engine::Engine> engine, engine::make_docker(docker));
  return engine->sweep(session.id());
}

Result<int> sweep_dead_sessions() {
  PARE_TRY(std::vector<sys::Session> dead, sys::dead_sessions());
  int swept = 0;
  for (sys::Session& session : dead) {
    // A daemon that is gone cannot be asked; the session then waits for the next sweep.
    if (auto status = sweep_one(session); !status) continue;
    PARE_CHECK_OK(session.remove());
    ++swept;
  }
  return swept;
}

}  // namespace pare::cli
