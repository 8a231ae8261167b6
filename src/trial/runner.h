// TrialRunner made real: volumes, one or two container starts, the journal.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "check/check.h"
#include "engine/engine.h"
#include "privilege/platforms.h"
#include "prove/runner.h"
#include "target/target.h"
#include "trial/journal.h"
#include "trial/patience.h"
#include "trial/run.h"
#include "trial/volumes.h"

namespace pare::trial {

struct RunnerOptions {
  engine::Engine* engine = nullptr;
  target::Target target;  // resolved
  privilege::Platform platform;
  std::vector<check::Spec> checks;  // empty: chosen in the first baseline
  std::string session;              // prefix of container ids, "pare-..."
  std::string state_dir;            // of this session
  std::string out_dir;
  bool record = true;
  std::string netns;         // where egress is open (oci)
  bool host_egress = false;  // egress through the host's own network (oci)
  int jobs = 0;              // trials side by side; 0: as processors and memory allow
  std::chrono::milliseconds ready_limit{600'000};  // of the baseline; trials take theirs from it
};

class Runner : public prove::TrialRunner {
 public:
  Runner(RunnerOptions options, Journal journal, Volumes volumes)
      : options_(std::move(options)), journal_(std::move(journal)), volumes_(std::move(volumes)) {}

  Result<prove::Outcome> run(const prove::Request& request) override;
  std::vector<Result<prove::Outcome>> run_all(const std::vector<prove::Request>& requests) override;
  // As asked; else half the processors, as long as the baseline's peak fits so often into half of
  // the memory that is free, and one where the target has GPUs: these are shared by all.
  int jobs() const override;
  std::vector<verdict::CheckEntry> checks() const override;
  std::vector<uint16_t> check_ports() const override;
  bool can_raise_memlock() const override;

 private:
  Result<prove::Outcome> run_fresh(const prove::Request& request);
  Result<StartResult> start(const prove::Request& request, int number,
                            const Volumes::Mounted& mounted, const std::string& log_path);
  check::Patience patience(const prove::Request& request) const;
  void learn(const prove::Request& request, const prove::Outcome& outcome);
  Status mask_secrets(const std::string& path) const;
  Status save_detected(const std::vector<check::Spec>& specs);
  Status load_detected();

  RunnerOptions options_;
  Journal journal_;
  std::mutex journal_mutex_;
  Volumes volumes_;
  // Learnt from the baseline, and used to bound the trials that follow.
  Slowest slowest_;
  uint64_t peak_bytes_ = 0;
  bool stops_ = true;
  bool first_ = true;
};

}  // namespace pare::trial
