#include "engine/oci_container.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "sys/deadline.h"
#include "sys/orphans.h"

namespace pare::engine {

using std::chrono::milliseconds;

namespace {

constexpr const char* kParent = "/pare";
constexpr milliseconds kRemovalLimit{20'000};

// The directory /pare is shared with other pare processes, and the runtime makes it together with
// its child: nobody may remove it between those two steps. So starts hold this lock shared, and
// who removes it takes it alone.
Result<UniqueFd> lock_parent(int operation) {
  PARE_TRY(auto hierarchies, sys::cgroup_hierarchies());
  const std::string& mount = hierarchies.front().mount;
  UniqueFd fd(open(mount.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("cannot open " + mount, errno);
  while (flock(fd.get(), operation) != 0) {
    if (errno != EINTR) return fail_errno("cannot lock " + mount, errno);
  }
  return fd;
}

}  // namespace

Result<sys::Cgroup> oci_cgroup(const std::string& id) {
  return sys::Cgroup::at(std::string(kParent) + "/" + id);
}

void remove_empty_parent() {
  auto lock = lock_parent(LOCK_EX | LOCK_NB);
  auto hierarchies = sys::cgroup_hierarchies();
  if (!lock || !hierarchies) return;  // another container starts now; its end will remove it
  for (const sys::CgroupHierarchy& hierarchy : *hierarchies) {
    rmdir((hierarchy.mount + kParent).c_str());  // refused while it has children
  }
}

Status remove_oci_cgroup(const sys::Cgroup& cgroup) {
  PARE_CHECK_OK(cgroup.remove(kRemovalLimit));
  remove_empty_parent();
  return {};
}

OciContainer::~OciContainer() {
  (void)remove();
}

Status OciContainer::start() {
  if (log_) return fail(ErrorKind::kHost, "container " + options_.id + " was started before");
  // The entry point outlives the runtime that starts it; as subreaper this process inherits it
  // and learns its exit code.
  PARE_CHECK_OK(sys::become_subreaper());
  PARE_TRY(log_, LogPump::open(options_.output >= 0 ? "" : options_.log_path));
  Status launched = launch();
  log_->close_write_end();
  if (!init_) log_->finish();
  return launched;
}

Status OciContainer::launch() {
  PARE_TRY(UniqueFd lock, lock_parent(LOCK_SH));
  int output = options_.output >= 0 ? options_.output : log_->write_end();
  PARE_TRY(OciRuntime::Launch launch,
           runtime_.run(bundle_.directory(), options_.id, output, options_.timeout));
  if (launch.pid != 0) {
    PARE_TRY(init_, sys::ChildProcess::adopt(launch.pid));
    return {};
  }
  PARE_CHECK_OK(kill_runtime_processes("/" + options_.id + "/"));
  PARE_CHECK_OK(kill_all());
  if (launch.timed_out) {
    return fail(ErrorKind::kHost, runtime_.name() + " did not start the container within " +
                                      std::to_string(options_.timeout.count()) + " ms");
  }
  if (auto code = own_failure(launch.failure, under_seccomp_)) {
    exit_ = {true, *code, false};
    return {};
  }
  return fail(ErrorKind::kHost, runtime_.name() + " cannot start the container: " + launch.failure);
}

ExitState OciContainer::wait(milliseconds limit) {
  if (init_) (void)init_->exits_within(limit);  // outside the lock: others may ask meanwhile
  std::lock_guard guard(mutex_);
  if (exit_.exited || !init_) return exit_;
  auto code = init_->wait(milliseconds(0));
  if (code && *code) {
    // The first process of a pid namespace ends after all others, so the log is whole.
    log_->finish();
    exit_ = {true, **code, cgroup_.oom_killed()};
  }
  return exit_;
}

Status OciContainer::signal(int number) {
  std::lock_guard guard(mutex_);
  return init_ ? init_->signal(number) : Status();
}

Result<int> OciContainer::exec(const std::vector<std::string>& argv, milliseconds limit) {
  if (!init_ || state().exited) {
    return fail(ErrorKind::kHost,
                "cannot run " + base::shell_join(argv) + " in the container: it is not running");
  }
  PARE_TRY(OciRuntime::Executed done, runtime_.exec(bundle_.directory(), options_.id, argv, limit));
  if (done.timed_out) {
    // With the runtime gone it is this process's child, unless it has ended; dropped, it is killed.
    if (done.pid != 0) (void)sys::ChildProcess::adopt(done.pid);
    return 124;
  }
  if (done.failure.empty()) return done.code;
  if (auto code = own_failure(done.failure, under_seccomp_)) return *code;
  // The container may have ended in the meantime; that is its own doing.
  if (state().exited) return 126;
  return fail(ErrorKind::kHost, runtime_.name() + " cannot run " + base::shell_join(argv) +
                                    " in the container: " + done.failure);
}

Status OciContainer::kill_all() {
  constexpr milliseconds kStep{20};
  sys::Deadline deadline(kRemovalLimit);
  while (true) {
    Status killed = cgroup_.kill(kStep);
    sys::reap_orphans(options_.id, pid());
    if (killed || deadline.passed()) return killed;
  }
}

Status OciContainer::remove() {
  if (removed_) return {};
  PARE_CHECK_OK(kill_all());
  wait(kRemovalLimit);
  PARE_CHECK_OK(remove_oci_cgroup(cgroup_));
  if (log_) log_->finish();
  PARE_CHECK_OK(bundle_.remove());
  removed_ = true;
  return {};
}

}  // namespace pare::engine
