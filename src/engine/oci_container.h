#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/oci_bundle.h"
#include "engine/oci_log.h"
#include "engine/oci_runtime.h"
#include "sys/cgroup.h"
#include "sys/process.h"

namespace pare::engine {

// The cgroup of a container, below /pare in every hierarchy.
Result<sys::Cgroup> oci_cgroup(const std::string& id);
// Kills what runs in it and removes it, and /pare where that is empty then.
Status remove_oci_cgroup(const sys::Cgroup& cgroup);
void remove_empty_parent();

class OciContainer : public Container {
 public:
  OciContainer(const OciRuntime& runtime, Bundle bundle, sys::Cgroup cgroup, bool under_seccomp,
               const CreateOptions& options)
      : runtime_(runtime),
        bundle_(std::move(bundle)),
        cgroup_(std::move(cgroup)),
        under_seccomp_(under_seccomp),
        options_(options) {}
  ~OciContainer() override;

  const std::string& cgroup_leaf() const override { return options_.id; }
  Status start() override;
  int pid() const override {
    std::lock_guard guard(mutex_);
    return init_ ? init_->pid() : 0;
  }
  ExitState state() override { return wait(std::chrono::milliseconds(0)); }
  ExitState wait(std::chrono::milliseconds limit) override;
  Status signal(int number) override;
  Result<int> exec(const std::vector<std::string>& argv, std::chrono::milliseconds limit) override;
  std::string upper_dir() const override { return bundle_.upper(); }
  Status remove() override;

 private:
  Status launch();
  Status kill_all();

  OciRuntime runtime_;
  Bundle bundle_;
  sys::Cgroup cgroup_;
  bool under_seccomp_;
  CreateOptions options_;
  std::unique_ptr<LogPump> log_;
  std::optional<sys::ChildProcess> init_;
  mutable std::mutex mutex_;  // exit_ and the reaping of init_: checks ask from several threads
  ExitState exit_;
  bool removed_ = false;
};

}  // namespace pare::engine
