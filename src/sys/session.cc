#include "sys/session.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "sys/deadline.h"
#include "sys/mounts.h"
#include "sys/path.h"
#include "sys/rootfs.h"

namespace pare::sys {

namespace {

Result<UniqueFd> open_lock(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return fail_errno("cannot open lock " + path, errno);
  return fd;
}

// Held while a session is made or the list is read, so that no half-made session looks dead.
Result<UniqueFd> lock_root(const std::string& root) {
  PARE_TRY(UniqueFd fd, open_lock(root + "/lock"));
  while (flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno("cannot lock " + root, errno);
  }
  return fd;
}

Result<std::string> random_id() {
  unsigned char bytes[6];
  if (getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes)) {
    return fail_errno("cannot get random numbers", errno);
  }
  std::string id;
  char hex[3];
  for (unsigned char byte : bytes) {
    snprintf(hex, sizeof hex, "%02x", byte);
    id += hex;
  }
  return id;
}

std::vector<std::string> entries(const std::string& directory) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  while (const dirent* entry = dir ? readdir(dir.get()) : nullptr) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

// Whether the process that wrote its number into a session's lock file still runs; zombies do not.
bool owner_lives(int lock) {
  char text[32] = {};
  ssize_t n = pread(lock, text, sizeof text - 1, 0);
  auto pid =
      base::parse_u64(base::trim(std::string_view(text, n > 0 ? static_cast<size_t>(n) : 0)));
  if (!pid) return false;
  auto stat = base::read_file("/proc/" + std::to_string(*pid) + "/stat");
  size_t state = stat ? stat->rfind(") ") : std::string::npos;
  return state != std::string::npos && stat->at(state + 2) != 'Z';
}

// The lock's owner by number, for owner_lives.
Status sign_lock(int lock, const std::string& directory) {
  std::string owner = std::to_string(getpid()) + "\n";
  if (ftruncate(lock, 0) == 0 &&
      pwrite(lock, owner.data(), owner.size(), 0) == static_cast<ssize_t>(owner.size())) {
    return {};
  }
  return fail_errno("cannot write " + directory + "/lock", errno);
}

// Takes the lock of a session whose owner is gone. A child that the owner forked, and that has not
// yet reached execve(2), shares its lock for a moment and then dies with it.
bool take_lock(int lock) {
  Deadline deadline(std::chrono::seconds(2));
  while (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (owner_lives(lock) || !deadline.sleep(std::chrono::milliseconds(1))) return false;
  }
  return true;
}

bool is_session_id(const std::string& name) {
  return name.size() == 12 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

std::string state_root() {
  const char* root = getenv("PARE_STATE_DIR");
  return root != nullptr && *root != '\0' ? root : "/var/lib/pare";
}

Result<Session> Session::open(const std::string& root) {
  PARE_CHECK_OK(base::make_directories(root, 0700));
  PARE_TRY(UniqueFd root_lock, lock_root(root));
  PARE_TRY(std::string id, random_id());
  std::string directory = root + "/" + id;
  PARE_CHECK_OK(base::make_directories(directory, 0700));
  PARE_TRY(UniqueFd lock, open_lock(directory + "/lock"));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail_errno("cannot lock " + directory, errno);
  }
  PARE_CHECK_OK(sign_lock(lock.get(), directory));
  return Session(std::move(id), std::move(directory), std::move(lock));
}

Session::~Session() {
  if (lock_.valid()) (void)remove();
}

Status Session::remove() {
  PARE_CHECK_OK(unmount_below(directory_));
  for (const std::string& name : entries(directory_)) {
    if (name != "lock") PARE_CHECK_OK(remove_tree(directory_ + "/" + name));
  }
  // The lock file goes under the root's lock: a sweeper that looked now would make it anew.
  PARE_TRY(UniqueFd root_lock, lock_root(directory_.substr(0, directory_.rfind('/'))));
  PARE_CHECK_OK(remove_tree(directory_));
  lock_.reset();
  return {};
}

Result<std::vector<Session>> dead_sessions(const std::string& root) {
  std::vector<Session> dead;
  if (access(root.c_str(), F_OK) != 0 && errno == ENOENT) return dead;
  PARE_TRY(UniqueFd root_lock, lock_root(root));
  for (const std::string& id : entries(root)) {
    if (!is_session_id(id)) continue;
    std::string directory = join_path(root, id);
    PARE_TRY(UniqueFd lock, open_lock(directory + "/lock"));
    if (!take_lock(lock.get())) continue;
    (void)sign_lock(lock.get(), directory);  // a full disk must not keep it from being swept
    dead.push_back(Session(id, directory, std::move(lock)));
  }
  return dead;
}

}  // namespace pare::sys
