#include "sys/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/text.h"
#include "sys/deadline.h"

extern "C" char** environ;

namespace pare::sys {

using std::chrono::milliseconds;

namespace {

constexpr size_t kCaptureLimit = 16 << 20;

// Everything the child needs, laid out before fork(2): after it only async-signal-safe calls.
struct Prepared {
  std::string path;
  std::vector<char*> argv;
  std::vector<char*> env;
  const char* cwd = nullptr;
  std::array<int, 3> stdio{};
  int report = -1;
  pid_t parent = 0;
};

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

// Moves the three descriptors to 0, 1, 2 whatever numbers they have now.
bool place_stdio(const std::array<int, 3>& from) {
  std::array<int, 3> high{};
  for (size_t i = 0; i < from.size(); ++i) {
    high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 3);
    if (high[i] < 0) return false;
  }
  for (size_t i = 0; i < from.size(); ++i) {
    if (dup2(high[i], static_cast<int>(i)) < 0) return false;
  }
  return true;
}

[[noreturn]] void child_main(const Prepared& prepared) {
  auto give_up = [&] {
    int err = errno;
    [[maybe_unused]] ssize_t n = write(prepared.report, &err, sizeof err);
    _exit(127);
  };
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != prepared.parent) _exit(127);  // it died before the line above
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (!place_stdio(prepared.stdio)) give_up();
  // Our own descriptors are all CLOEXEC; this covers those of libraries (close_range(2), 5.11).
  syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
  if (prepared.cwd != nullptr && chdir(prepared.cwd) != 0) give_up();
  execve(prepared.path.c_str(), prepared.argv.data(), prepared.env.data());
  give_up();
  __builtin_unreachable();
}

UniqueFd pidfd_of(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

// Waits for readiness of `fd`; false at the deadline.
bool wait_readable(int fd, const Deadline& deadline) {
  pollfd p{fd, POLLIN, 0};
  while (true) {
    int n = poll(&p, 1, deadline.poll_timeout());
    if (n > 0) return true;
    if (n == 0 && deadline.passed()) return false;
    if (n < 0 && errno != EINTR) return false;
  }
}

// Reads what is there; false at the end of the file.
bool drain(int fd, std::string& into) {
  char buffer[65536];
  while (true) {
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    size_t room = kCaptureLimit - std::min(kCaptureLimit, into.size());
    into.append(buffer, std::min(room, static_cast<size_t>(n)));
  }
}

// The child and its process group; not yet reaped, so the number is still its own.
void kill_group(pid_t pid) {
  kill(-pid, SIGKILL);
  kill(pid, SIGKILL);
}

struct Pipe {
  UniqueFd read_end, write_end;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return fail_errno("cannot make a pipe", errno);
  Pipe made{UniqueFd(fds[0]), UniqueFd(fds[1])};
  return made;
}

}  // namespace

int exit_code_of(int code, int status) {
  return code == CLD_EXITED ? status : 128 + status;
}

std::optional<std::string> find_program(const std::string& name) {
  auto runs = [](const std::string& path) {
    struct stat st {};
    return access(path.c_str(), X_OK) == 0 && stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
  };
  if (name.find('/') != std::string::npos) {
    return runs(name) ? std::optional(name) : std::nullopt;
  }
  const char* path = getenv("PATH");
  std::string directories =
      path != nullptr ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (const std::string& directory : base::split(directories, ':')) {
    std::string candidate = (directory.empty() ? "." : directory) + "/" + name;
    if (runs(candidate)) return candidate;
  }
  return std::nullopt;
}

Result<ChildProcess> ChildProcess::start(const Command& command) {
  if (command.argv.empty()) return fail(ErrorKind::kUsage, "no command to run was given");
  auto path = find_program(command.argv[0]);
  if (!path) {
    return fail(ErrorKind::kUsage,
                "program '" + command.argv[0] + "' was not found or may not be executed");
  }
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return fail_errno("cannot open /dev/null", errno);
  PARE_TRY(Pipe report, make_pipe());
  auto fd_or_null = [&](int fd) { return fd >= 0 ? fd : null.get(); };
  Prepared prepared;
  prepared.path = *path;
  prepared.argv = pointers(command.argv);
  if (command.env) prepared.env = pointers(*command.env);
  for (char** e = environ; !command.env && *e != nullptr; ++e) prepared.env.push_back(*e);
  if (!command.env) prepared.env.push_back(nullptr);
  prepared.cwd = command.cwd.empty() ? nullptr : command.cwd.c_str();
  prepared.stdio = {fd_or_null(command.in), fd_or_null(command.out), fd_or_null(command.err)};
  prepared.report = report.write_end.get();
  prepared.parent = getpid();

  pid_t pid = fork();
  if (pid < 0) return fail_errno("cannot start " + command.argv[0], errno);
  if (pid == 0) child_main(prepared);
  report.write_end.reset();
  int err = 0;
  ssize_t n = 0;
  do n = read(report.read_end.get(), &err, sizeof err);
  while (n < 0 && errno == EINTR);
  if (n != 0) {
    waitpid(pid, nullptr, 0);
    return fail_errno("cannot execute " + *path, n > 0 ? err : errno);
  }
  return adopt(pid);
}

Result<ChildProcess> ChildProcess::adopt(pid_t pid) {
  UniqueFd pidfd = pidfd_of(pid);
  if (!pidfd.valid()) return fail_errno("cannot open process " + std::to_string(pid), errno);
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
    return fail_errno("process " + std::to_string(pid) + " is not a child of this one", errno);
  }
  return ChildProcess(pid, std::move(pidfd));
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), pidfd_(std::move(other.pidfd_)), code_(other.code_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    end();
    pid_ = std::exchange(other.pid_, 0);
    pidfd_ = std::move(other.pidfd_);
    code_ = other.code_;
  }
  return *this;
}

ChildProcess::~ChildProcess() {
  end();
}

void ChildProcess::end() noexcept {
  if (pid_ == 0) return;
  kill_group(pid_);
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0 && errno == EINTR) {
  }
  pid_ = 0;
}

bool ChildProcess::exits_within(milliseconds limit) const {
  return wait_readable(pidfd_.get(), Deadline(limit));
}

Result<std::optional<int>> ChildProcess::wait(milliseconds limit) {
  if (code_) return code_;
  if (!exits_within(limit)) return std::optional<int>();
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0) {
    if (errno != EINTR) return fail_errno("cannot wait for process " + std::to_string(pid_), errno);
  }
  pid_ = 0;
  code_ = exit_code_of(info.si_code, info.si_status);
  return code_;
}

Status ChildProcess::signal(int number) {
  if (pid_ == 0 || syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) == 0) {
    return {};
  }
  if (errno == ESRCH) return {};
  return fail_errno("cannot signal process " + std::to_string(pid_), errno);
}

Status become_subreaper() {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0) return {};
  return fail_errno("cannot become a subreaper", errno);
}

Result<Finished> run(const Command& command, milliseconds limit) {
  PARE_TRY(Pipe out, make_pipe());
  PARE_TRY(Pipe err, make_pipe());
  Command captured = command;
  captured.out = out.write_end.get();
  captured.err = err.write_end.get();
  Deadline deadline(limit);
  PARE_TRY(ChildProcess child, ChildProcess::start(captured));
  out.write_end.reset();
  err.write_end.reset();
  fcntl(out.read_end.get(), F_SETFL, O_NONBLOCK);
  fcntl(err.read_end.get(), F_SETFL, O_NONBLOCK);

  Finished finished;
  std::array<std::pair<int, std::string*>, 2> streams = {
      {{out.read_end.get(), &finished.out}, {err.read_end.get(), &finished.err}}};
  bool exited = false;
  while (!exited && !deadline.passed()) {
    pollfd watched[3] = {
        {child.pidfd(), POLLIN, 0}, {streams[0].first, POLLIN, 0}, {streams[1].first, POLLIN, 0}};
    int n = poll(watched, 3, deadline.poll_timeout());
    if (n < 0 && errno != EINTR) return fail_errno("cannot wait for " + command.argv[0], errno);
    if (n <= 0) continue;
    exited = watched[0].revents != 0;
    for (auto& [fd, text] : streams) {
      if (fd >= 0 && !drain(fd, *text)) fd = -1;
    }
  }
  finished.timed_out = !exited;
  if (!exited) kill_group(child.pid());
  PARE_TRY(auto code, child.wait(std::chrono::seconds(10)));
  if (!code) return fail(ErrorKind::kHost, command.argv[0] + " does not die on SIGKILL");
  // What is in the pipes is its own; a process that it left behind may hold them open for ever.
  for (auto& [fd, text] : streams) {
    if (fd >= 0) drain(fd, *text);
  }
  finished.code = *code;
  return finished;
}

}  // namespace pare::sys
