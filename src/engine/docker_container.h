// One container over the Engine API.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "engine/docker_api.h"
#include "engine/engine.h"

namespace pare::engine {

struct DockerContainerOptions {
  std::string id;        // the daemon's
  std::string leaf;      // of its cgroup's directory
  bool tty = false;      // its output is not multiplexed then
  std::string log_path;  // empty: output is not kept, unless `output` is there
  UniqueFd output;       // instead of log_path
  std::string image;     // for messages
  std::chrono::milliseconds timeout{30'000};
};

class DockerContainer : public Container {
 public:
  // A container that was created and not started.
  DockerContainer(std::shared_ptr<const DockerApi> api, DockerContainerOptions options);
  ~DockerContainer() override;

  const std::string& cgroup_leaf() const override { return options_.leaf; }
  Status start() override;
  int pid() const override;
  ExitState state() override;
  ExitState wait(std::chrono::milliseconds limit) override;
  Status signal(int number) override;
  Result<int> exec(const std::vector<std::string>& argv, std::chrono::milliseconds limit) override;
  std::string upper_dir() const override;
  Status remove() override;

 private:
  std::string path(const std::string& behind) const;
  ApiRequest request(const std::string& method, const std::string& behind) const;
  Result<nlohmann::json> inspect() const;
  Status refuse(int code, const std::string& message);
  Result<int> exec_result(const std::string& id, bool timed_out) const;
  bool keeps_log() const { return options_.output.valid() || !options_.log_path.empty(); }
  Status append_log(std::string_view text) const;
  void follow_log();
  void end_log(std::chrono::milliseconds grace);

  std::shared_ptr<const DockerApi> api_;
  DockerContainerOptions options_;
  std::mutex mutex_;  // last_ and the joining of log_: checks ask from several threads
  ExitState last_;
  std::atomic<bool> removed_{false};
  std::atomic<bool> refused_{false};  // the policy let the entry point not even start
  std::thread log_;
  std::atomic<bool> log_done_{true};
  std::atomic<bool> log_cancel_{false};
};

}  // namespace pare::engine
