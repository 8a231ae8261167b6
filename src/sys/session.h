// What pare makes on the host belongs to a session: a directory below the state root whose lock
// the owning process holds (flock(2)). The kernel drops the lock when the owner ends, also by
// SIGKILL; a session with a free lock is therefore dead and may be swept.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pare::sys {

// PARE_STATE_DIR, or /var/lib/pare.
std::string state_root();

// A session directory together with its lock.
class Session {
 public:
  // A new session of this process: id is 12 random hexadecimal digits.
  static Result<Session> open(const std::string& root = state_root());

  Session(Session&&) = default;
  Session& operator=(Session&&) = delete;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();  // remove(), its error unheard: the next sweep tries again

  const std::string& id() const { return id_; }
  const std::string& directory() const { return directory_; }  // mode 0700

  // Unmounts what is mounted below, removes the directory, gives the lock back.
  Status remove();

 private:
  friend Result<std::vector<Session>> dead_sessions(const std::string& root);
  Session(std::string id, std::string directory, UniqueFd lock)
      : id_(std::move(id)), directory_(std::move(directory)), lock_(std::move(lock)) {}

  std::string id_;
  std::string directory_;
  UniqueFd lock_;
};

// The sessions whose owner is gone, locked now by the caller: first remove what carries their id
// (containers, cgroups), then let them remove() themselves. No state root: an empty list.
Result<std::vector<Session>> dead_sessions(const std::string& root = state_root());

}  // namespace pare::sys
