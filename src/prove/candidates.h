// What could stand in for a privilege: users instead of root, writable directories instead of a
// writable root file system.
#pragma once

#include <string>
#include <vector>

#include "evidence/evidence.h"
#include "privilege/policy.h"
#include "prove/prover.h"

namespace pare::prove {

struct UserCandidate {
  privilege::User user;
  // It owns what the server reads or writes, or the server changes to it by itself: that it works
  // does not say that any other uid would.
  bool special = false;
};

// Non-root users, the most preferred first; never empty, no uid twice.
std::vector<UserCandidate> user_candidates(const Question& question,
                                           const std::vector<evidence::Evidence>& baselines);

// Capabilities that the right uid makes superfluous: DAC_OVERRIDE, SETUID, ...
bool is_about_owners(const std::string& capability);

// The directory that has to be writable for `path` to be written: its nearest ancestor that the run
// itself did not create. "/" when only the root would do.
std::string writable_directory(const evidence::Evidence& evidence, const std::string& path);

// Whether a write to `path` is a matter of the root file system: not of a volume, an asked tmpfs or
// what the platform provides (/dev, /proc, /sys).
bool in_root_filesystem(const privilege::Policy& asked, const std::string& path);

// Directories that successful writes of the run need, sorted.
std::vector<std::string> written_directories(const privilege::Policy& asked,
                                             const evidence::Evidence& evidence);

bool is_write(const evidence::FileFact& fact);
// Whether `path` is `directory` or lies below it.
bool under(const std::string& path, const std::string& directory);

// Where servers write when nothing is known: tried without a recorder.
std::vector<std::string> usual_directories(const Question& question);

// Variables that send caches and state to `directory`, for a uid without a home.
std::map<std::string, std::string> home_variables(const std::string& directory);

}  // namespace pare::prove
