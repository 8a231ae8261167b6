// Records from the kernel -> facts of the Evidence. Touched by one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "evidence/evidence.h"
#include "record/calls.h"
#include "record/paths.h"
#include "record/traffic.h"
#include "record/wire.h"

namespace pare::record {

class Ledger {
 public:
  // One record as it lies in the ring. False when it is malformed (an event that is lost).
  bool take(const void* data, size_t size);

  // The kernel's counts of facts, by key; each counted fact's first occurrence is included.
  void set_count(uint64_t key, uint64_t count);

  // What ran before the recorder, in this cgroup.
  void join(const std::string& cgroup, int pid);

  // The program with this number; empty: unknown.
  const std::string& exe(size_t number) const;

  bool entry_seen() const { return entry_seen_; }
  uint64_t unresolved() const { return resolver_.unresolved(); }
  uint64_t dropped() const { return dropped_; }  // facts beyond what is kept
  const std::vector<std::string>& cgroups() const {
    return cgroups_;
  }  // paths, the first is the container's
  Traffic& traffic() { return traffic_; }
  // Of the tmpfs at a path of the container; nullopt where there is none.
  std::optional<uint64_t> used_bytes(const std::string& path) { return resolver_.used_bytes(path); }

  // Moves the facts out, sorted and numbered "e1"...
  void fill(evidence::Evidence& evidence);

 private:
  struct View;  // a record and its parts
  // How often a fact was met: under the keys that the kernel counts it by, and in records that the
  // kernel's table had no room for.
  struct Tally {
    std::vector<uint64_t> keys;
    uint64_t alone = 0;
    bool pull = false, serve = false;
  };
  struct File {
    evidence::FileFact fact;
    Tally tally;
  };
  struct Use {
    int capability = 0;
    bool advisory = false;
    evidence::CapabilityUse use;
    Tally tally;
  };
  struct Operation {
    evidence::IoUringFact fact;
    Tally tally;
  };
  struct Argument {
    evidence::ArgumentFact fact;
    Tally tally;
  };
  struct Exec {
    evidence::ExecFact fact;
    Tally tally;
  };

  void add_to(Tally& tally, const View& view);
  uint64_t total(const Tally& tally) const;
  // The fact under `name`, made if there is room.
  template <typename Fact>
  Fact* find(std::map<std::string, Fact>& facts, const std::string& name);

  void take_call(const View& view);
  void take_capability(const View& view);
  void take_exec(const View& view, const std::string& path, int error);
  void take_arguments(const View& view);
  void take_uring(const View& view);
  void take_file(const View& view, const std::string& path, const std::vector<std::string>& ops);
  std::string requested(const View& view, bool follow);
  std::string object_path(const View& view, const CallRow& row);
  std::string object_address(const View& view);
  const std::string& exe_of(const View& view) const;
  void fill_capabilities(evidence::Evidence& evidence, int& id);

  Resolver resolver_;
  bool entry_seen_ = false;
  uint64_t dropped_ = 0;
  std::vector<std::string> exes_;  // by number
  std::vector<std::string> cgroups_;
  std::map<std::string, File> files_;
  std::map<std::string, Use> uses_;
  std::map<std::string, Exec> execs_;
  std::map<std::string, Operation> operations_;
  std::map<std::string, Argument> arguments_;
  Traffic traffic_;
  std::unordered_map<uint64_t, uint64_t> counts_;
};

}  // namespace pare::record
