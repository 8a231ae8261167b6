// A TrialRunner without containers, for the search's own tests: a planted server is a function that
// acts in a World, which refuses by the policy as a kernel would and writes down what it saw.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "prove/prover.h"
#include "prove/universe.h"

namespace pare::prove {

class World {
 public:
  World(const Question& question, const Request& request, std::set<std::string>& volume_files)
      : question_(question),
        policy_(request.policy),
        cold_(request.cold),
        uid_(request.policy.user.uid),
        volume_files_(volume_files) {
    bool keeps = uid_ == 0 || question.platform.ambient_capabilities;
    if (keeps) capabilities_ = policy_.capabilities;
    for (const char* name : {"read", "write", "openat", "mmap", "socket", "bind", "listen"}) {
      evidence.syscalls.push_back({name, 1, 0, evidence::Phase::kPull, true});
    }
    evidence.peaks.tasks = 3;
    evidence.ready = "2026-01-01T00:00:00Z";
  }

  uint32_t uid() const { return uid_; }
  bool cold() const { return cold_; }
  bool holds(const std::string& capability) const {
    return capabilities_.has(*privilege::capability_number(capability));
  }
  const privilege::Policy& policy() const { return policy_; }
  void ready() { phase_ = evidence::Phase::kServe; }

  // An act that takes a capability.
  bool use(const std::string& capability, const std::string& syscall,
           const std::string& object = "", std::optional<uint32_t> owner = std::nullopt) {
    bool granted = holds(capability);
    auto& fact = fact_of(capability);
    (granted ? fact.granted : fact.refused)++;
    evidence::CapabilityUse use;
    use.id = next_id();
    use.syscall = syscall;
    use.object = object;
    use.uid = uid_;
    use.granted = granted;
    use.owner = owner;
    fact.uses.push_back(use);
    fact.serve |= phase_ == evidence::Phase::kServe;
    return granted;
  }

  // Creates `path`; `owner` is the directory's in the root file system or volume.
  bool write(const std::string& path, uint32_t owner = 0) {
    const privilege::VolumeAccess* volume = volume_of(path);
    if (volume != nullptr && volume->owned) owner = policy_.user.uid;
    evidence::FileFact fact = file(path, "create", owner);
    bool tmpfs = tmpfs_of(path) != nullptr || path.rfind("/dev/shm/", 0) == 0;
    bool writable = tmpfs || (volume != nullptr ? volume->writable : policy_.rootfs_writable);
    if (!writable) {
      fact.error = "EROFS";
    } else if (!tmpfs && uid_ != owner && path.rfind("/tmp/", 0) != 0 &&
               !use("DAC_OVERRIDE", "openat", path, owner)) {
      fact.error = "EACCES";
    }
    if (!fact.error && volume != nullptr) volume_files_.insert(path);
    evidence.files.push_back(fact);
    return !fact.error;
  }

  // Fills a writable path with `bytes` for a moment; at the end of the run `kept` are left.
  bool fill(const std::string& directory, uint64_t bytes, uint64_t kept) {
    const privilege::Writable* tmpfs = tmpfs_of(directory + "/x");
    if (!write(directory + "/x", uid_)) return false;
    if (tmpfs == nullptr) return true;
    evidence.areas.push_back({tmpfs->path, kept});
    uint64_t limit = privilege::tmpfs_bytes(*tmpfs);
    return limit == 0 || bytes <= limit;
  }

  // Reads a file of the image, or of a volume that the user filled.
  bool read(const std::string& path, uint32_t owner = 0, bool for_all = true) {
    const privilege::VolumeAccess* volume = volume_of(path);
    if (volume != nullptr && volume->owned) owner = policy_.user.uid;
    evidence::FileFact fact = file(path, "open-read", owner);
    const privilege::Writable* tmpfs = tmpfs_of(path);
    if (tmpfs != nullptr && !tmpfs->copy_up) {
      fact.error = "ENOENT";
    } else if (!for_all && uid_ != owner && !use("DAC_OVERRIDE", "openat", path, owner)) {
      fact.error = "EACCES";
    }
    if (fact.error) evidence.files.push_back(fact);
    return !fact.error;
  }

  // Reads a file of root's that the members of `gid` may read.
  bool read_as_member(const std::string& path, uint32_t gid) {
    const privilege::User& user = policy_.user;
    bool member = user.gid == gid ||
                  std::find(user.groups.begin(), user.groups.end(), gid) != user.groups.end();
    if (uid_ == 0 || member || use("DAC_OVERRIDE", "openat", path, 0)) return true;
    evidence::FileFact fact = file(path, "open-read", 0);
    fact.owner_gid = gid;
    fact.error = "EACCES";
    evidence.files.push_back(fact);
    return false;
  }

  // Changes the mode of a volume's file.
  bool chmod(const std::string& path, uint32_t owner) {
    evidence::FileFact fact = file(path, "chmod", owner);
    const privilege::VolumeAccess* volume = volume_of(path);
    if (volume != nullptr && !volume->writable) {
      fact.error = "EROFS";
    } else if (uid_ != owner && !use("FOWNER", "fchmodat", path, owner)) {
      fact.error = "EPERM";
    }
    evidence.files.push_back(fact);
    return !fact.error;
  }

  // Runs what it wrote to a writable path.
  bool exec(const std::string& path) {
    const privilege::Writable* tmpfs = tmpfs_of(path);
    bool refused = tmpfs != nullptr && !tmpfs->exec;
    evidence::ExecFact fact{path, 1, std::nullopt};
    if (refused) fact.error = "EACCES";
    evidence.execs.push_back(fact);
    return !refused;
  }

  // A set-user-id program of root's that reads a file of root's.
  bool helper(const std::string& path) {
    uint32_t before = uid_;
    if (!policy_.no_new_privileges) uid_ = 0;
    bool fine = uid_ == 0;
    evidence::FileFact fact = file(path, fine ? "write" : "open-read", 0);
    if (!fine) fact.error = "EACCES";
    evidence.files.push_back(fact);
    uid_ = before;
    return fine;
  }

  // Locks memory beyond the default limit.
  bool lock_memory() { return policy_.memlock_bytes || use("IPC_LOCK", "mlock"); }

  bool in_volume(const std::string& path) const { return volume_files_.count(path) > 0; }

  bool bind(uint16_t port) {
    uint64_t start = 1024;
    auto find = [&](const std::map<std::string, std::string>& sysctls) {
      auto it = sysctls.find("net.ipv4.ip_unprivileged_port_start");
      if (it != sysctls.end()) start = std::stoull(it->second);
    };
    find(question_.platform.sysctls);
    find(policy_.sysctls);
    if (port < start && !use("NET_BIND_SERVICE", "bind", std::to_string(port))) return false;
    evidence.listeners.push_back({port, "tcp", "0.0.0.0", "http", "unknown"});
    return true;
  }

  // Answers a path that no check asks for, on the last port that was bound.
  void answer(const std::string& path, int status = 200, const std::string& role = "admin") {
    evidence.listeners.back().endpoints.push_back({path, "GET", status, role});
  }

  bool connect(const std::string& host, uint16_t port = 443) {
    evidence::EgressFact fact;
    fact.id = next_id();
    fact.destination = "203.0.113.9";
    fact.port = port;
    fact.name = host;
    fact.attempts = 1;
    fact.outcome = policy_.egress_any ? "connected" : "unreachable";
    fact.phase = phase_;
    evidence.egress.push_back(fact);
    return policy_.egress_any;
  }

  // A system call beyond the usual ones.
  bool call(const std::string& name) {
    bool allowed = true;
    if (policy_.seccomp) {
      const auto& list = policy_.seccomp->syscalls;
      allowed = std::find(list.begin(), list.end(), name) != list.end();
    } else if (policy_.seccomp_default) {
      for (const GatedCalls& row : gated_calls()) {
        bool gated = std::find(row.calls.begin(), row.calls.end(), name) != row.calls.end();
        allowed &=
            !gated || policy_.capabilities.has(*privilege::capability_number(row.capability));
      }
    }
    evidence::SyscallFact fact{name, 0, 0, phase_, phase_ == evidence::Phase::kServe};
    (allowed ? fact.count : fact.refused) = 1;
    evidence.syscalls.push_back(fact);
    return allowed;
  }

  // setgroups, setgid and setuid to `uid`, as an entry point that drops does.
  bool drop_to(uint32_t uid) {
    if (uid_ == uid) return true;
    if (!use("SETGID", "setgid", "gid " + std::to_string(uid))) return false;
    if (!use("SETUID", "setuid", "uid " + std::to_string(uid))) return false;
    uid_ = uid;
    capabilities_ = {};
    return true;
  }

  evidence::Evidence evidence;

 private:
  std::string next_id() { return "e" + std::to_string(++ids_); }

  evidence::CapabilityFact& fact_of(const std::string& name) {
    for (auto& fact : evidence.capabilities) {
      if (fact.name == name) return fact;
    }
    evidence.capabilities.push_back({name, 0, 0, false, phase_, false, {}});
    return evidence.capabilities.back();
  }

  evidence::FileFact file(const std::string& path, const std::string& op, uint32_t owner) {
    evidence::FileFact fact;
    fact.id = next_id();
    fact.path = path;
    fact.ops = {op};
    fact.uid = uid_;
    fact.phase = phase_;
    fact.owner = owner;
    return fact;
  }

  const privilege::Writable* tmpfs_of(const std::string& path) const {
    for (const privilege::Writable& w : policy_.writable) {
      if (path.rfind(w.path + "/", 0) == 0) return &w;
    }
    return nullptr;
  }

  const privilege::VolumeAccess* volume_of(const std::string& path) const {
    for (const privilege::VolumeAccess& v : policy_.volumes) {
      if (path.rfind(v.path + "/", 0) == 0) return &v;
    }
    return nullptr;
  }

  const Question& question_;
  const privilege::Policy& policy_;
  bool cold_;
  uint32_t uid_;
  privilege::CapabilitySet capabilities_;
  evidence::Phase phase_ = evidence::Phase::kPull;
  std::set<std::string>& volume_files_;
  int ids_ = 0;
};

// Empty when every check passes, else why one failed.
using Server = std::function<std::string(World&)>;

class FakeRunner : public TrialRunner {
 public:
  FakeRunner(const Question& question, Server server, std::vector<uint16_t> ports = {8000})
      : question_(question), server_(std::move(server)), ports_(std::move(ports)) {}

  Result<Outcome> run(const Request& request) override {
    std::set<std::string> files = request.cold ? std::set<std::string>{} : warm_files_;
    World world(question_, request, files);
    Outcome outcome;
    outcome.why = server_(world);
    outcome.starts = request.restart ? 2 : 1;
    CheckOutcome restarted{"restart", true, "", true};
    if (outcome.why.empty() && request.restart && on_restart_) {
      restarted.why = on_restart_(world);
      restarted.pass = restarted.why.empty();
    }
    outcome.pass = outcome.why.empty();
    outcome.ready = outcome.pass || !never_ready_;
    outcome.checks = {{"infer", outcome.pass, outcome.why, false}};
    if (outcome.pass && answer_) outcome.checks[0].answer = answer_digest(answer_(world));
    if (outcome.pass && latency_) outcome.checks[0].seconds = latency_(world);
    if (outcome.pass) outcome.checks.push_back(stop_(world));
    if (request.restart) outcome.checks.push_back(restarted);
    outcome.seconds = 1;
    if (requests_.empty()) warm_files_ = files;
    if (question_.options.recording) outcome.evidence = world.evidence;
    if (outcome.evidence && lossy_trials_ > static_cast<int>(requests_.size())) {
      outcome.evidence->loss = loss_;
    }
    requests_.push_back(request);
    starts_ += outcome.starts;
    return outcome;
  }

  std::vector<verdict::CheckEntry> checks() const override { return {{"infer", "openai://:8000"}}; }
  std::vector<uint16_t> check_ports() const override { return ports_; }

  void set_stop(std::function<CheckOutcome(World&)> stop) { stop_ = std::move(stop); }
  void set_answer(std::function<std::string(World&)> answer) { answer_ = std::move(answer); }
  void set_latency(std::function<double(World&)> latency) { latency_ = std::move(latency); }
  bool can_raise_memlock() const override { return can_raise_memlock_; }
  void set_can_raise_memlock(bool can) { can_raise_memlock_ = can; }
  int jobs() const override { return jobs_; }
  void set_jobs(int jobs) { jobs_ = jobs; }
  void set_never_ready() { never_ready_ = true; }
  void set_on_restart(Server server) { on_restart_ = std::move(server); }
  // Of the first `trials` trials.
  void set_loss(evidence::Loss loss, int trials) {
    loss_ = std::move(loss);
    lossy_trials_ = trials;
  }
  int starts() const { return starts_; }
  const std::vector<Request>& requests() const { return requests_; }

 private:
  const Question& question_;
  Server server_;
  Server on_restart_;
  std::function<std::string(World&)> answer_;
  std::function<double(World&)> latency_;
  bool never_ready_ = false;
  bool can_raise_memlock_ = true;
  int jobs_ = 1;
  std::vector<uint16_t> ports_;
  std::set<std::string> warm_files_;
  std::function<CheckOutcome(World&)> stop_ = [](World&) {
    return CheckOutcome{"stop", true, "", true};
  };
  evidence::Loss loss_;
  int lossy_trials_ = 0;
  std::vector<Request> requests_;
  int starts_ = 0;
};

// A root container with the platform's defaults.
inline Question default_question(const std::string& platform = "kubernetes") {
  Question question;
  question.platform = *privilege::find_platform(platform);
  question.target.argv = {"/bin/server"};
  question.target.facts.passwd = {{"root", 0, 0, "/root"}, {"app", 1000, 1000, "/home/app"}};
  question.asked = target::asked_policy(question.target, question.platform);
  return question;
}

}  // namespace pare::prove
