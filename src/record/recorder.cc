#include "record/recorder.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <thread>
#include <vector>

#include "base/text.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "record/calls.h"
#include "record/host.h"
#include "record/ledger.h"
#include "record/names.h"
#include "record/peaks.h"
#include "record/wire.h"
#include "sys/cgroup.h"
#include "sys/running.h"
// After wire.h, whose types it names.
#include "record/bpf/recorder.skel.h"

namespace pare::record {
namespace {

constexpr int kSampleMs = 200;    // how often peaks are looked at
constexpr size_t kMaxLeaf = 255;  // NAME_MAX

constexpr const char* kLossNames[PARE_LOSSES] = {
    "ring",     "task state", "record buffer", "programs", "foreign system calls",
    "refusals", "flows",      "listeners",     "cgroups",  "memory"};

struct Calls {
  uint64_t entered = 0, refused = 0;
  std::map<size_t, uint64_t> by_row;  // by program, as far as programs have rows of their own
};
// By number, with bit 32 set for calls through the 32-bit gate.
using CallCounts = std::map<uint64_t, Calls>;
constexpr uint64_t kI386 = uint64_t{1} << 32;
constexpr uint64_t kX32 = uint64_t{1} << 30;  // __X32_SYSCALL_BIT

using Skeleton = std::unique_ptr<recorder_bpf, void (*)(recorder_bpf*)>;

// Calls visit(key, value) for each entry of a hash map.
template <typename Key = uint64_t, typename Value = uint64_t, typename F>
void for_each_entry(bpf_map* map, F&& visit) {
  const int fd = bpf_map__fd(map);
  Key key = {};
  Value value = {};
  for (void* last = nullptr; bpf_map_get_next_key(fd, last, &key) == 0; last = &key)
    if (bpf_map_lookup_elem(fd, &key, &value) == 0) visit(key, value);
}

// As digest() of bpf/record.h computes it.
uint64_t digest_of(std::string text) {
  text.resize((text.size() + PARE_DIGEST_STEP - 1) / PARE_DIGEST_STEP * PARE_DIGEST_STEP);
  uint64_t digest = 0, word = 0;
  for (size_t at = 0; at < text.size(); at += sizeof(word)) {
    std::memcpy(&word, &text[at], sizeof(word));
    digest = pare_mix(digest, word);
  }
  return digest;
}

void choose_programs(recorder_bpf& skeleton, const Hooks& hooks) {
  auto& progs = skeleton.progs;
  bpf_program__set_autoload(progs.capable_tracepoint, hooks.capability == "tracepoint");
  bpf_program__set_autoload(progs.capable_fexit, hooks.capability == "fexit");
  bpf_program__set_autoload(progs.capable_kprobe, hooks.capability == "kprobe");
  bpf_program__set_autoload(progs.capable_kretprobe, hooks.capability == "kprobe");
  bpf_program__set_autoload(progs.uring_submit_req, hooks.uring_request);
  bpf_program__set_autoload(progs.uring_submit_sqe, hooks.uring_sqe);
}

class KernelRecorder final : public Recorder {
 public:
  KernelRecorder(Skeleton skeleton, std::string hook, std::vector<Area> areas)
      : skeleton_(std::move(skeleton)), hook_(std::move(hook)), areas_(std::move(areas)) {}
  ~KernelRecorder() override { stop(); }

  Status start();
  Status join(const std::string& cgroup, int pid);
  Status arm(const std::string& cgroup_leaf) override;
  Status mark_ready() override;
  void next_stage() override;
  const std::vector<evidence::Evidence>& stages() const override { return stages_; }
  Result<evidence::Evidence> finish() override;

 private:
  static int take(void* self, void* data, size_t size);
  void drain();
  void sample(bool last);
  void stop();
  void watch_cgroup();
  CallCounts read_calls() const;
  void fill_syscalls(evidence::Evidence& evidence) const;
  void read_traffic();
  void fill_loss(evidence::Evidence& evidence) const;

  Skeleton skeleton_;
  std::string hook_;
  std::unique_ptr<ring_buffer, void (*)(ring_buffer*)> ring_{nullptr, ring_buffer__free};
  UniqueFd wake_;
  std::thread thread_;
  // These belong to thread_ until stop().
  Ledger ledger_;
  PeakSampler peaks_;
  AreaSampler areas_;
  size_t watched_ = 0;  // cgroups
  std::vector<std::unique_ptr<bpf_link, int (*)(bpf_link*)>> ingress_;
  uint64_t malformed_ = 0, unattached_ = 0;
  CallCounts pull_;
  std::string ready_;
  std::vector<evidence::Evidence> stages_;
};

int KernelRecorder::take(void* self, void* data, size_t size) {
  auto* recorder = static_cast<KernelRecorder*>(self);
  if (!recorder->ledger_.take(data, size)) ++recorder->malformed_;
  if (recorder->watched_ < recorder->ledger_.cgroups().size()) recorder->watch_cgroup();
  return 0;
}

Status KernelRecorder::start() {
  if (int error = recorder_bpf__attach(skeleton_.get()); error != 0)
    return fail_errno("cannot attach the recorder's programs to this kernel's tracepoints", -error);
  ring_.reset(ring_buffer__new(bpf_map__fd(skeleton_->maps.ring), take, this, nullptr));
  wake_.reset(eventfd(0, EFD_CLOEXEC));
  if (!ring_ || !wake_.valid()) return fail_errno("cannot open the recorder's ring", errno);
  thread_ = std::thread([this] { drain(); });
  return {};
}

// Before the programs are attached.
Status KernelRecorder::join(const std::string& cgroup, int pid) {
  PARE_TRY(std::vector<uint64_t> ids, sys::cgroup_ids(cgroup));
  struct stat users;
  timespec now = {};
  if (stat(fmt::format("/proc/{}/ns/user", pid).c_str(), &users) != 0 ||
      clock_gettime(CLOCK_MONOTONIC, &now) != 0)
    return fail(ErrorKind::kUsage, fmt::format("process {} has ended: name one that runs", pid));
  const uint8_t one = 1;
  for (size_t i = 1; i < ids.size(); ++i)
    if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.member_ids), &ids[i], &one, BPF_ANY) != 0)
      return fail_errno("cannot watch so many cgroups below " + cgroup, errno);
  auto* globals = skeleton_->bss;
  // The cgroup's address is not known before one of its tasks is met; until then it counts as a
  // further one, which are looked up by their ids.
  globals->members = static_cast<uint32_t>(ids.size());
  globals->scope_id = ids[0];
  globals->entry_seen = 1;
  globals->joined_ns =
      static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  globals->joined_user_ns = static_cast<uint32_t>(users.st_ino);
  ledger_.join(cgroup, pid);
  watch_cgroup();
  return {};
}

// DNS answers are taken where they reach the container's sockets. Cgroups below it inherit the
// program.
void KernelRecorder::watch_cgroup() {
  const std::string path = ledger_.cgroups()[watched_++];
  auto hierarchies = sys::cgroup_hierarchies();
  const std::string& first = ledger_.cgroups()[0];
  if (!hierarchies || base::starts_with(path, first + "/")) return;
  peaks_.watch(path);
  for (const auto& hierarchy : *hierarchies) {
    if (!hierarchy.v2) continue;
    UniqueFd fd(::open((hierarchy.mount + path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid() && errno == ENOENT) continue;  // gone already
    bpf_link* link = bpf_program__attach_cgroup(skeleton_->progs.on_ingress, fd.get());
    if (link == nullptr)
      ++unattached_;
    else
      ingress_.emplace_back(link, bpf_link__destroy);
  }
}

void KernelRecorder::drain() {
  // A fact's path is looked up while it is fresh: woken at once on a busy host too. It does little.
  sched_param priority = {};
  priority.sched_priority = sched_get_priority_min(SCHED_RR);
  pthread_setschedparam(pthread_self(), SCHED_RR, &priority);
  pollfd fds[] = {{ring_buffer__epoll_fd(ring_.get()), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  auto next_sample = std::chrono::steady_clock::now();
  while ((fds[1].revents & POLLIN) == 0) {
    if (poll(fds, 2, kSampleMs) < 0 && errno != EINTR) return;
    ring_buffer__consume(ring_.get());
    const auto now = std::chrono::steady_clock::now();
    if (now < next_sample) continue;
    next_sample = now + std::chrono::milliseconds(kSampleMs);
    sample(false);
  }
}

void KernelRecorder::sample(bool last) {
  peaks_.sample(ledger_.used_bytes("/dev/shm"));
  areas_.sample([this](const std::string& path) { return ledger_.used_bytes(path); }, last);
}

// Detaches, waits for programs that are still running, takes what they left.
void KernelRecorder::stop() {
  if (!thread_.joinable()) return;
  recorder_bpf__detach(skeleton_.get());
  // The programs run with preemption or migration disabled, inside RCU read sections.
  syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
  eventfd_write(wake_.get(), 1);
  thread_.join();
  ring_buffer__consume(ring_.get());
  ingress_.clear();
  sample(true);
}

Status KernelRecorder::arm(const std::string& cgroup_leaf) {
  if (cgroup_leaf.empty() || cgroup_leaf.size() > kMaxLeaf)
    return fail(ErrorKind::kHost, "a cgroup's directory name has 1 to 255 bytes, not \"" +
                                      cgroup_leaf + "\": name the container's cgroup");
  auto* globals = skeleton_->bss;
  globals->leaf_digest = digest_of(cgroup_leaf);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  globals->leaf_length = static_cast<uint32_t>(cgroup_leaf.size());
  return {};
}

Status KernelRecorder::mark_ready() {
  skeleton_->bss->serving = 1;
  pull_ = read_calls();
  ready_ = base::utc_timestamp(std::chrono::system_clock::now());
  return {};
}

void KernelRecorder::next_stage() {
  FlowCounts so_far;
  for_each_entry<pare_flow_key, pare_flow>(
      skeleton_->maps.flows,
      [&](const auto& key, const auto& flow) { so_far[flow_id(key)] = flow.attempts; });
  ledger_.traffic().next_stage(std::move(so_far));
}

CallCounts KernelRecorder::read_calls() const {
  CallCounts calls;
  auto counts = std::make_unique<std::array<uint64_t, PARE_SYSCALLS>>();
  const int fd = bpf_map__fd(skeleton_->maps.counts);
  for (uint32_t row = 0; row < PARE_EXES * PARE_SHARDS; ++row) {
    if (bpf_map_lookup_elem(fd, &row, counts->data()) != 0) continue;
    for (size_t nr = 0; nr < counts->size(); ++nr) {
      if ((*counts)[nr] == 0) continue;
      calls[nr].entered += (*counts)[nr];
      calls[nr].by_row[row / PARE_SHARDS] += (*counts)[nr];
    }
  }
  for_each_entry(skeleton_->maps.foreign, [&](uint64_t key, uint64_t n) {
    calls[(key & UINT32_MAX) | (key >> 32 == 32 ? kI386 : 0)].entered += n;
  });
  for_each_entry(skeleton_->maps.refusals, [&](uint64_t key, uint64_t n) {
    calls[(key & UINT32_MAX) | ((key & PARE_I386) != 0 ? kI386 : 0)].refused += n;
  });
  return calls;
}

void KernelRecorder::fill_syscalls(evidence::Evidence& evidence) const {
  for (const auto& [key, calls] : read_calls()) {
    evidence::SyscallFact fact;
    fact.name = call_name(static_cast<uint32_t>(key), (key & kI386) != 0);
    fact.abi = (key & kI386) != 0 ? "i386" : (key & kX32) != 0 && key <= INT32_MAX ? "x32" : "";
    fact.count = calls.entered;
    fact.refused = calls.refused;
    auto pull = pull_.find(key);
    const Calls before = ready_.empty() ? calls : pull == pull_.end() ? Calls{} : pull->second;
    const bool in_pull = before.entered + before.refused > 0;
    fact.phase = in_pull ? evidence::Phase::kPull : evidence::Phase::kServe;
    fact.serve = calls.entered + calls.refused > before.entered + before.refused;
    std::map<std::string, uint64_t> programs;
    for (const auto& [row, count] : calls.by_row) {
      const bool shared = row + 1 == PARE_EXES;
      programs[shared ? "" : ledger_.exe(row)] += count;
    }
    for (const auto& [exe, count] : programs) fact.exes.push_back({exe, count});
    evidence.syscalls.push_back(std::move(fact));
  }
  for (int nr = 0; nr < PARE_SYSCALLS; ++nr)
    if (skeleton_->bss->runtime_calls[nr] != 0)
      evidence.runtime_syscalls.push_back(call_name(static_cast<uint32_t>(nr), false));
}

void KernelRecorder::read_traffic() {
  Traffic& traffic = ledger_.traffic();
  for_each_entry<pare_flow_key, pare_flow>(
      skeleton_->maps.flows,
      [&](const auto& key, const auto& flow) { traffic.add_flow(key, flow); });
  for_each_entry<pare_listener_key, uint64_t>(
      skeleton_->maps.listeners, [&](const auto& key, uint64_t) { traffic.add_listener(key); });
}

void KernelRecorder::fill_loss(evidence::Evidence& evidence) const {
  evidence::Loss& loss = evidence.loss;
  auto add = [&loss](const std::string& name, uint64_t n) {
    if (n == 0) return;
    loss.events += n;
    loss.maps.push_back(name);
  };
  for (int i = 0; i < PARE_LOSSES; ++i) add(kLossNames[i], skeleton_->bss->lost[i]);
  add("facts", ledger_.dropped());
  add("malformed records", malformed_);
  add("DNS answers", unattached_);
  add("paths", ledger_.unresolved());
  // A program that the kernel did not run because it was already running on that CPU.
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) {
    bpf_prog_info info = {};
    uint32_t size = sizeof(info);
    const int fd = bpf_program__fd(program);
    if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
      add(std::string("missed runs of ") + bpf_program__name(program), info.recursion_misses);
  }
}

Result<evidence::Evidence> KernelRecorder::finish() {
  if (!thread_.joinable())
    return fail(ErrorKind::kHost, "this recorder has already finished: open another one");
  stop();
  evidence::Evidence evidence;
  for_each_entry(skeleton_->maps.seen,
                 [&](uint64_t key, uint64_t n) { ledger_.set_count(key, n); });
  evidence.coverage =
      ledger_.entry_seen() ? evidence::Coverage::kEntry : evidence::Coverage::kAttached;
  evidence.capability_hook = hook_;
  evidence.ready = ready_;
  evidence.peaks = peaks_.peaks();
  evidence.areas = areas_.facts();
  fill_syscalls(evidence);
  read_traffic();
  stages_ = ledger_.traffic().stages();
  ledger_.fill(evidence);
  fill_loss(evidence);
  return evidence;
}

Result<Skeleton> load(const Options& options, const Hooks& hooks) {
  libbpf_set_print(nullptr);
  Skeleton skeleton(recorder_bpf__open(), recorder_bpf__destroy);
  if (!skeleton) return fail_errno("cannot open the recorder's programs", errno);
  choose_programs(*skeleton, hooks);
  if (int error = bpf_map__set_max_entries(skeleton->maps.ring, options.ring_bytes); error != 0)
    return fail_errno("the ring must be a power of two of bytes, at least a page", -error);
  auto& maps = skeleton->maps;
  if (options.map_entries != 0)
    for (bpf_map* map : {maps.seen, maps.exes, maps.flows, maps.listeners, maps.refusals,
                         maps.foreign, maps.connecting, maps.member_ids})
      bpf_map__set_max_entries(map, options.map_entries);
  fill_shapes(skeleton->rodata->shapes);
  for (int nr = 0; nr < PARE_SYSCALLS; ++nr) {
    const pare_shape& shape = skeleton->rodata->shapes[nr];
    skeleton->rodata->exits[nr] =
        shape.kind == PARE_SHAPE_VALUES ? (shape.how & PARE_ARGUED) != 0 : shape.kind != 0;
  }
  skeleton->rodata->see_refusals = options.seccomp_refusals;
  struct stat mnt_ns;
  if (stat("/proc/self/ns/mnt", &mnt_ns) != 0)
    return fail_errno("cannot read /proc/self/ns/mnt", errno);
  skeleton->rodata->host_mnt_ns = static_cast<uint32_t>(mnt_ns.st_ino);
  if (int error = recorder_bpf__load(skeleton.get()); error != 0)
    return fail_errno(
        error == -EPERM ? "this kernel refuses to load the recorder's programs: run pare as root "
                          "with CAP_BPF and CAP_PERFMON, or use --no-record"
                        : "this kernel cannot load the recorder's programs: it takes Linux 5.15 or "
                          "later, or --no-record",
        -error);
  return skeleton;
}

}  // namespace

static Result<std::unique_ptr<KernelRecorder>> make(const Options& options) {
  if (geteuid() != 0)
    return fail(ErrorKind::kHost, "recording needs root: run pare with sudo, or use --no-record");
  if (!hooks()) return tl::unexpected(hooks().error());
  Hooks chosen = *hooks();
  if (!options.capability_hook.empty()) chosen.capability = options.capability_hook;
  PARE_TRY(Skeleton skeleton, load(options, chosen));
  return std::make_unique<KernelRecorder>(std::move(skeleton), chosen.capability, options.areas);
}

Result<std::unique_ptr<Recorder>> Recorder::open(const Options& options) {
  PARE_TRY(auto recorder, make(options));
  PARE_CHECK_OK(recorder->start());
  return std::unique_ptr<Recorder>(std::move(recorder));
}

Result<std::unique_ptr<Recorder>> Recorder::join(const Options& options, const std::string& cgroup,
                                                 int pid) {
  PARE_TRY(auto recorder, make(options));
  PARE_CHECK_OK(recorder->join(cgroup, pid));
  PARE_CHECK_OK(recorder->start());
  return std::unique_ptr<Recorder>(std::move(recorder));
}

Support probe() {
  Support support;
  auto recorder = Recorder::open(Options{});
  if (!recorder) {
    support.missing = recorder.error().message;
    return support;
  }
  support.ok = true;
  support.capability_hook = hooks()->capability;
  return support;
}

}  // namespace pare::record
