// eBPF -> Evidence. One recorder observes one container, from before its first process.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "evidence/evidence.h"
#include "record/areas.h"

namespace pare::record {

struct Options {
  bool seccomp_refusals = false;   // compare exits with entries, which shows refused calls
  uint32_t ring_bytes = 4u << 20;  // a power of two, at least a page; what does not fit is counted
  uint32_t map_entries = 0;        // of each table in the kernel; 0: enough (else: for tests)
  std::vector<Area> areas;         // whose peak bytes are wanted, sampled five times a second
  // How capability checks are seen: "tracepoint", "fexit" or "kprobe"; empty: the first that this
  // kernel offers.
  std::string capability_hook;
};

// What the host lets a recorder do; one clear sentence each. Used by `pare doctor`.
struct Support {
  bool ok = false;
  std::string capability_hook;  // "tracepoint", "fexit", "kprobe"; empty: none works
  std::string missing;          // why not ok
};
Support probe();

class Recorder {
 public:
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  virtual ~Recorder() = default;

  // Loads and attaches; kHost naming what the kernel refused (no BTF, EPERM, ...).
  static Result<std::unique_ptr<Recorder>> open(const Options& options);

  // The same for what runs already: scope is the v2 cgroup at `cgroup` ("/docker/ID") and every one
  // below it; `pid`: one of its processes, whose namespaces paths and addresses are seen in.
  // Processes that are in it now are its own; those that join it later (docker exec) are not. Not
  // to be armed. Its evidence has coverage kAttached. kUsage when the cgroup is gone.
  static Result<std::unique_ptr<Recorder>> join(const Options& options, const std::string& cgroup,
                                                int pid);

  // Scope: the cgroup whose directory is named `cgroup_leaf`, or LEAF.scope or PREFIX-LEAF.scope
  // as systemd spells it, matched in the kernel when it is made; and every cgroup below it. Call
  // before the container starts.
  virtual Status arm(const std::string& cgroup_leaf) = 0;
  // From now on facts belong to the serve phase.
  virtual Status mark_ready() = 0;
  // What is tried from now on belongs to another stage.
  virtual void next_stage() = 0;
  // After finish(): what was tried in each stage; egress and DNS facts alone.
  virtual const std::vector<evidence::Evidence>& stages() const = 0;
  // Detaches, drains, reads the loss counters last. coverage is kEntry only when the entry point's
  // own execve was seen; else kAttached.
  virtual Result<evidence::Evidence> finish() = 0;

 protected:
  Recorder() = default;
};

}  // namespace pare::record
