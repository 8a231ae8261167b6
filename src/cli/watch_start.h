// The server of a proof, held to it, with its window there before its first process.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "cli/serve_words.h"
#include "confine/egress_subject.h"
#include "engine/engine.h"

namespace pare::cli {

class WatchedServer {
 public:
  // Made, not started: its cgroup, or the one above, is there. `netns`: what it reaches the world
  // through (oci); empty: loopback alone. With the docker engine the target's own network.
  static Result<std::unique_ptr<WatchedServer>> make(const ServeWords& words,
                                                     const std::string& netns);
  WatchedServer(const WatchedServer&) = delete;
  WatchedServer& operator=(const WatchedServer&) = delete;
  ~WatchedServer() = default;

  const confine::WatchSubject& subject() const { return subject_; }
  // Keys of the proof that got no value.
  const std::vector<std::string>& dropped() const { return plan_.dropped; }
  Status start() { return container_->start(); }
  // Empty: it runs.
  std::string ended();
  // SIGTERM, then whatever it takes.
  Status stop();

 private:
  WatchedServer(Workshop workshop, confine::ServePlan plan)
      : workshop_(std::move(workshop)), plan_(std::move(plan)) {}
  Status create(const std::string& netns);
  Status find_subject();

  Workshop workshop_;
  confine::ServePlan plan_;
  std::unique_ptr<engine::Container> container_;
  confine::WatchSubject subject_;
};

}  // namespace pare::cli
