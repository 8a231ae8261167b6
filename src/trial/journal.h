// journal.jsonl: every finished trial, so that --resume repeats none. One line a trial, appended
// and synced before the next begins; the outcome itself is trials/N/outcome.json.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "prove/runner.h"

namespace pare::trial {

class Journal {
 public:
  // `question` identifies what is asked (a digest of target, platform, checks and options).
  // resume: earlier outcomes are read; kUsage when the journal is of another question. Without
  // resume a journal of an unfinished proof is kUsage (nothing is lost by mistake), one beside a
  // finished proof.json is started afresh.
  static Result<Journal> open(const std::string& directory, const std::string& question,
                              bool resume);

  // The outcome of an identical request with the same id; nullopt when it has to be run.
  Result<std::optional<prove::Outcome>> find(const prove::Request& request) const;
  Status record(const prove::Request& request, const prove::Outcome& outcome);

  // DIR/trials/N, made on demand.
  Result<std::string> trial_directory(int id) const;
  size_t finished() const { return keys_.size(); }

 private:
  Journal(std::string directory, UniqueFd fd)
      : directory_(std::move(directory)), fd_(std::move(fd)) {}

  std::string directory_;
  UniqueFd fd_;
  std::map<int, std::string> keys_;  // trial id -> digest of its request
};

}  // namespace pare::trial
