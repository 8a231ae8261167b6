#include "engine/oci_runtime.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "sys/cgroup.h"
#include "sys/deadline.h"

namespace pare::engine {

using std::chrono::milliseconds;

namespace {

// The host's kernel sees gVisor's processes for the server's, so a socket must be one of the host's
// for anybody to reach it: --network=host takes those of the container's own network namespace,
// which has loopback alone (with its own stack, loopback is inside it and out of reach). A list of
// calls is held by its kernel, if it is told to.
constexpr std::array<RuntimeKind, 3> kRuntimes = {{
    {"runc", {}, false},
    {"crun", {}, false},
    {"runsc", {"--network=host", "--oci-seccomp"}, true},
}};

// "runsc" runs as runsc-sandbox and runsc-gofer, too.
bool is_runtime(std::string_view program) {
  return std::any_of(kRuntimes.begin(), kRuntimes.end(), [&](const RuntimeKind& kind) {
    return program.substr(0, kind.name.size()) == kind.name &&
           (program.size() == kind.name.size() || program[kind.name.size()] == '-');
  });
}

// The last error in a JSON log (--log-format json: logrus in runc, libcrun/error.c in crun).
std::string last_error(const std::string& path) {
  auto text = base::read_file(path);
  std::string message;
  if (!text) return message;
  for (const std::string& line : base::split(*text, '\n')) {
    auto json = base::parse_json(line, path);
    if (!json || !json->is_object()) continue;
    auto field = [&](const char* name) {
      auto it = json->find(name);
      return it != json->end() && it->is_string() ? it->get<std::string>() : std::string();
    };
    if (field("level") == "error") message = field("msg");
  }
  return message;
}

pid_t read_pid(const std::string& path) {
  auto text = base::read_file(path);
  auto pid = text ? base::parse_u64(base::trim(*text)) : std::nullopt;
  return pid ? static_cast<pid_t>(*pid) : 0;
}

// The runtime returns when its child is about to call execve(2); until it has, a signal would meet
// the runtime's own handlers. Bounded: a server may itself be called like the runtime.
void await_exec(pid_t pid, const std::string& runtime) {
  sys::Deadline deadline(std::chrono::seconds(1));
  std::string path = "/proc/" + std::to_string(pid) + "/cmdline";
  do {
    std::string argv0 = base::read_file(path).value_or("").c_str();  // up to the first NUL
    if (argv0.substr(argv0.rfind('/') + 1) != runtime) return;
  } while (deadline.sleep(std::chrono::microseconds(100)));
}

// `crun run --detach` makes the container in a second process, of the group of the first, which may
// end before it: what that one leaves is inherited with its own end.
void await_inheritance(pid_t pid, pid_t group) {
  sys::Deadline deadline(std::chrono::seconds(10));
  siginfo_t info{};
  constexpr int kLook = WEXITED | WNOHANG | WNOWAIT;
  while (waitid(P_PID, static_cast<id_t>(pid), &info, kLook) != 0 &&
         deadline.sleep(std::chrono::microseconds(100))) {
  }
  // It is dead by now, and nobody else's to reap. A leader is a child that somebody waits for: its
  // number is this group's, used again.
  info = {};
  if (waitid(P_PGID, static_cast<id_t>(group), &info, kLook) == 0 && info.si_pid != 0 &&
      info.si_pid != group) {
    waitpid(info.si_pid, nullptr, WNOHANG);
  }
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

struct OwnFailure {
  std::string_view part, other_part;  // both are in the message
  int code;
};

// runc 1.1 (libcontainer/standard_init_linux.go, rootfs_linux.go) and crun 1.8 (container.c).
constexpr std::array<OwnFailure, 8> kOwnFailures = {{
    {"exec: \"", "not found", 127},
    {"exec: \"", "no such file", 127},
    {"executable file", "not found", 127},
    {"exec: \"", "permission denied", 126},
    {"open executable", "Permission denied", 126},
    {"chdir to cwd", "permission denied", 126},
    {"chdir", "Permission denied", 126},
    // A tmpfs where the image has a file.
    {"mount", "ot a directory", 126},
}};

// A filter that lacks what the runtime needs between loading it and execve(2).
constexpr std::array<std::string_view, 3> kFilterFailures = {
    "operation not permitted", "function not implemented", "already dead"};

enum class Belongs { kNo, kYes, kUnknown };

Belongs belongs_to_runtime(const std::string& pid, const std::string& marker) {
  // runc run, crun run: --root holds the marker. runc init: only its environment does.
  std::string arguments = base::read_file("/proc/" + pid + "/cmdline").value_or("");
  std::string environment = base::read_file("/proc/" + pid + "/environ").value_or("");
  std::string argv0 = arguments.c_str();
  argv0.erase(0, argv0.rfind('/') + 1);
  if (is_runtime(argv0) && contains(arguments, marker)) return Belongs::kYes;
  for (const std::string& variable : base::split(environment, '\0')) {
    if (base::starts_with(variable, "_LIBCONTAINER_STATEDIR=") && contains(variable, marker)) {
      return Belongs::kYes;
    }
  }
  // In the middle of execve(2) both are empty, while the program is known already; kernel threads
  // and zombies have no program.
  bool midway = arguments.empty() && environment.empty() &&
                access(("/proc/" + pid + "/exe").c_str(), F_OK) == 0;
  return midway ? Belongs::kUnknown : Belongs::kNo;
}

// The container's own process with other words. Without it runc takes user, environment and
// capabilities from there, but crun runs `argv` as root.
Status write_process(const std::string& directory, const std::vector<std::string>& argv,
                     const std::string& path) {
  std::string config = directory + "/config.json";
  PARE_TRY(std::string text, base::read_file(config));
  PARE_TRY(base::Json json, base::parse_json(text, config));
  base::Json& process = json["process"];
  process["args"] = argv;
  return base::write_file_atomic(path, base::write_json(process), 0600);
}

// libcrun refuses controllers on a cgroup2 that is mounted beside v1 hierarchies.
Status crun_takes_cgroups() {
  PARE_TRY(auto hierarchies, sys::cgroup_hierarchies());
  PARE_TRY(sys::CgroupMode mode, sys::cgroup_mode());
  if (mode != sys::CgroupMode::kHybrid) return {};
  for (const sys::CgroupHierarchy& hierarchy : hierarchies) {
    if (!hierarchy.v2) continue;
    std::string controllers = base::read_file(hierarchy.mount + "/cgroup.controllers").value_or("");
    controllers = std::string(base::trim(controllers));
    if (controllers.empty()) continue;
    return fail(ErrorKind::kHost, "crun refuses this host's hybrid cgroups: " + hierarchy.mount +
                                      " has controllers (" + controllers +
                                      ") beside v1 hierarchies: use --runtime runc");
  }
  return {};
}

}  // namespace

Status kill_runtime_processes(const std::string& marker) {
  sys::Deadline deadline(std::chrono::seconds(10)), unknown_deadline(milliseconds(50));
  while (true) {
    std::unique_ptr<DIR, int (*)(DIR*)> proc(opendir("/proc"), closedir);
    pid_t left = 0;
    bool unknown = false;
    while (const dirent* entry = proc ? readdir(proc.get()) : nullptr) {
      auto pid = base::parse_u64(entry->d_name);
      Belongs belongs = pid ? belongs_to_runtime(entry->d_name, marker) : Belongs::kNo;
      unknown = unknown || belongs == Belongs::kUnknown;
      if (belongs != Belongs::kYes) continue;
      left = static_cast<pid_t>(*pid);
      kill(left, SIGKILL);
    }
    // A process may also have no arguments for good.
    if (left == 0 && (!unknown || unknown_deadline.passed())) return {};
    if (!deadline.sleep(milliseconds(1))) {
      return fail(ErrorKind::kHost, "the container runtime's process " + std::to_string(left) +
                                        " does not die on SIGKILL");
    }
  }
}

std::optional<int> own_failure(const std::string& message, bool under_seccomp) {
  for (const OwnFailure& row : kOwnFailures) {
    if (contains(message, row.part) && contains(message, row.other_part)) return row.code;
  }
  auto refused = [&](std::string_view part) { return contains(base::lower(message), part); };
  // Limits are set from outside, by the host's rights.
  if (under_seccomp && !contains(message, "rlimit") &&
      std::any_of(kFilterFailures.begin(), kFilterFailures.end(), refused)) {
    return 126;
  }
  return std::nullopt;
}

Result<OciRuntime> OciRuntime::find(const std::string& name) {
  auto kind = std::find_if(kRuntimes.begin(), kRuntimes.end(),
                           [&](const RuntimeKind& k) { return k.name == name; });
  if (kind == kRuntimes.end()) {
    return fail(ErrorKind::kUsage,
                "unknown runtime '" + name + "' for the oci engine: use runc, crun or runsc");
  }
  auto path = sys::find_program(name);
  if (!path) {
    return fail(ErrorKind::kHost,
                name + " was not found in PATH: install it (apt-get install " + name + ")");
  }
  if (name == "crun") PARE_CHECK_OK(crun_takes_cgroups());
  return OciRuntime(*kind, *path);
}

Result<std::string> OciRuntime::version() const {
  sys::Command command;
  command.argv = {path_, "--version"};
  PARE_TRY(sys::Finished done, sys::run(command, std::chrono::seconds(10)));
  // "runc version 1.1.5+ds1", "crun version 1.8.1", "runsc version 0.0~20221219.0"
  std::vector<std::string> words = base::split(base::split(done.out, '\n')[0], ' ');
  if (done.code != 0 || words.size() < 3) {
    return fail(ErrorKind::kHost, name() + " --version does not answer as expected: '" +
                                      std::string(base::trim(done.out + done.err)) + "'");
  }
  return words[0] + " " + words[2].substr(0, words[2].find('+'));
}

sys::Command OciRuntime::command(const std::string& directory, const std::string& log,
                                 const std::vector<std::string>& words) const {
  sys::Command command;
  command.argv = {path_,          "--root", directory + "/run", "--log", directory + "/" + log,
                  "--log-format", "json"};
  for (std::string_view flag : kind_.flags) {
    if (!flag.empty()) command.argv.emplace_back(flag);
  }
  command.argv.insert(command.argv.end(), words.begin(), words.end());
  // The container's environment is config.json's alone; one thread starts a Go runtime faster.
  command.env = {
      {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=1"}};
  return command;
}

Result<OciRuntime::Launch> OciRuntime::run(const std::string& directory, const std::string& id,
                                           int output, milliseconds limit) const {
  std::string pid_file = directory + "/init.pid";
  sys::Command start =
      command(directory, "runtime.log",
              {"run", "--detach", "--bundle", directory, "--pid-file", pid_file, id});
  start.out = start.err = output;
  PARE_TRY(sys::ChildProcess runtime, sys::ChildProcess::start(start));
  pid_t group = runtime.pid();
  PARE_TRY(auto code, runtime.wait(limit));
  Launch launch;
  launch.timed_out = !code;
  if (code == 0) launch.pid = read_pid(pid_file);
  if (launch.pid != 0) {
    await_exec(launch.pid, name());
    await_inheritance(launch.pid, group);
  } else {
    launch.failure = last_error(directory + "/runtime.log");
    if (launch.failure.empty()) launch.failure = "it gave no reason";
  }
  return launch;
}

Result<OciRuntime::Executed> OciRuntime::exec(const std::string& directory, const std::string& id,
                                              const std::vector<std::string>& argv,
                                              milliseconds limit) const {
  static std::atomic<unsigned> serial{0};  // checks may run several at once
  std::string name = "exec-" + std::to_string(++serial);
  std::string log = directory + "/" + name + ".log", pid_file = directory + "/" + name + ".pid";
  std::string process = directory + "/" + name + ".json";
  PARE_CHECK_OK(write_process(directory, argv, process));
  std::vector<std::string> words = {"exec", "--pid-file", pid_file, "--process", process, id};
  PARE_TRY(sys::Finished done, sys::run(command(directory, name + ".log", words), limit));
  Executed executed;
  executed.code = done.code;
  executed.timed_out = done.timed_out;
  if (done.timed_out) executed.pid = read_pid(pid_file);
  if (done.code != 0 && !done.timed_out) executed.failure = last_error(log);
  return executed;
}

}  // namespace pare::engine
