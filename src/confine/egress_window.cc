#include "confine/egress_window.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/text.h"
#include "confine/egress_kernel.h"
#include "confine/egress_pins.h"
#include "sys/running.h"

namespace pare::confine {

namespace {

constexpr size_t kCgroupPrograms = 8;

// A link that was pinned stands on the cgroup of this id; 0: it is gone, or none.
uint64_t cgroup_of_link(const std::string& path) {
  UniqueFd fd(bpf_obj_get(path.c_str()));
  bpf_link_info info = {};
  uint32_t size = sizeof(info);
  if (!fd.valid() || bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return 0;
  return info.type == BPF_LINK_TYPE_CGROUP ? info.cgroup.cgroup_id : 0;
}

// Whole, and on this cgroup.
bool stands(const WindowOptions& options) {
  struct stat st {};
  const size_t last = options.leaf.empty() ? kCgroupPrograms - 1 : kCgroupPrograms;
  const std::string path = fmt::format("{}/link{}", options.pins, last);
  return stat(options.cgroup.c_str(), &st) == 0 && cgroup_of_link(path) == st.st_ino;
}

// Maps stand where their pins are; one that stands already is used again (libbpf).
Status set_pin_paths(egress_bpf& skeleton, const std::string& pins) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton.obj) {
    std::string name = bpf_map__name(map);
    std::replace(name.begin(), name.end(), '.', '_');  // bpffs reserves dots
    if (int error = bpf_map__set_pin_path(map, (pins + "/" + name).c_str()); error != 0)
      return fail_errno("cannot pin the egress window's map " + name, -error);
  }
  return {};
}

// How many cgroups lie between the root's and this one.
uint32_t depth_below(const std::string& mount, const std::string& directory) {
  uint32_t depth = 0;
  for (const std::string& part : base::split(directory.substr(mount.size()), '/'))
    depth += part.empty() ? 0 : 1;
  return depth;
}

uint32_t kernel_refusal(privilege::Refusal refusal) {
  switch (refusal) {
    case privilege::Refusal::kUnreachable:
      return PARE_EGRESS_UNREACHABLE;
    case privilege::Refusal::kRefused:
      return PARE_EGRESS_REFUSED;
    case privilege::Refusal::kDropped:
      return PARE_EGRESS_SILENT;
  }
  return PARE_EGRESS_UNREACHABLE;
}

}  // namespace

Status KernelWindow::attach_one(bpf_program* program, int cgroup) {
  bpf_link* link =
      cgroup < 0 ? bpf_program__attach(program) : bpf_program__attach_cgroup(program, cgroup);
  if (link == nullptr)
    return fail_errno(fmt::format("the kernel does not attach the egress window's program {}",
                                  bpf_program__name(program)),
                      errno);
  links_.emplace_back(link, bpf_link__destroy);
  return {};
}

Status KernelWindow::set_scope(const WindowOptions& options) {
  if (options.leaf.empty()) return {};
  if (options.leaf.size() >= PARE_EGRESS_LEAF)
    return fail(ErrorKind::kUsage,
                "a container's cgroup has a name of at most 127 bytes, not '" + options.leaf + "'");
  struct stat st {};
  if (stat(options.cgroup.c_str(), &st) != 0)
    return fail_errno("cannot look at the cgroup " + options.cgroup, errno);
  PARE_TRY(const std::string mount, sys::v2_mount());
  if (!base::starts_with(options.cgroup + "/", mount + "/"))
    return fail(ErrorKind::kUsage, options.cgroup + " is no directory below " + mount);
  auto* globals = skeleton_->bss;
  std::memset(globals->scope_leaf, 0, sizeof(globals->scope_leaf));
  options.leaf.copy(globals->scope_leaf, sizeof(globals->scope_leaf) - 1);
  globals->scope_parent = options.anywhere ? 0 : st.st_ino;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  globals->scope_level = depth_below(mount, options.cgroup) + 1;
  PARE_CHECK_OK(attach_one(skeleton_->progs.on_cgroup_mkdir, -1));
  // Now: had it been made before, the program did not see it.
  std::vector<std::string> made = {options.cgroup + "/" + options.leaf};
  if (options.anywhere) made = sys::directories(options.cgroup);
  for (const std::string& directory : made) {
    if (!base::ends_with(directory, "/" + options.leaf) || stat(directory.c_str(), &st) != 0)
      continue;
    globals->scope_level = depth_below(mount, directory);
    globals->scope_id = st.st_ino;
  }
  return {};
}

Status KernelWindow::attach(const WindowOptions& options, int cgroup) {
  PARE_CHECK_OK(set_scope(options));
  auto& progs = skeleton_->progs;
  for (bpf_program* program :
       {progs.on_sockops, progs.on_ingress, progs.on_sock_create, progs.on_egress,
        progs.on_connect4, progs.on_connect6, progs.on_sendmsg4, progs.on_sendmsg6})
    PARE_CHECK_OK(attach_one(program, cgroup));
  return {};
}

Status KernelWindow::pin() {
  for (size_t i = 0; i < links_.size(); ++i) {
    const std::string path = fmt::format("{}/link{}", pins_, i);
    if (int error = bpf_link__pin(links_[i].get(), path.c_str()); error != 0)
      return fail_errno("cannot pin the egress window at " + path, -error);
  }
  return {};
}

// The links stand; the maps came from their pins when the object was loaded.
Status KernelWindow::adopt() {
  for (size_t i = 0;; ++i) {
    const std::string path = fmt::format("{}/link{}", pins_, i);
    if (access(path.c_str(), F_OK) != 0) break;
    bpf_link* link = bpf_link__open(path.c_str());
    if (link == nullptr) return fail_errno("cannot take over " + path, errno);
    links_.emplace_back(link, bpf_link__destroy);
  }
  std::map<uint32_t, std::string> names;
  const int names_fd = bpf_map__fd(skeleton_->maps.names);
  pare_egress_name name = {};
  for (void* last = nullptr; bpf_map_get_next_key(names_fd, last, &name) == 0; last = &name) {
    uint32_t id = 0;
    if (bpf_map_lookup_elem(names_fd, &name, &id) != 0) continue;
    // Of a name and its forms with the resolver's domains, the shortest is the rule's.
    std::string text = name_text(name);
    std::string& known = names[id];
    if (known.empty() || text.size() < known.size()) known = text;
  }
  for (const auto& [id, text] : names) names_[text] = id;
  for (uint32_t row = 0; row < skeleton_->bss->rule_count; ++row) {
    pare_egress_rule rule = {};
    bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.rules), &row, &rule);
    serial_ = std::max(serial_, rule.serial);
    if (rule.kind == PARE_EGRESS_NONE || (rule.until_ns != 0 && rule.until_ns <= monotonic_ns()))
      continue;
    Exception exception;
    exception.address = address_of(rule.address);
    exception.prefix = rule.prefix;
    exception.port = rule.port;
    exception.protocol = rule.protocol;
    exception.process = text_of(rule.exe);
    if (rule.kind == PARE_EGRESS_NAMED) {
      exception.name = names[rule.name];
      exception.private_addresses = rule.private_ != 0;
    }
    exceptions_[row] = {exception, rule.until_ns};
  }
  return {};
}

Status KernelWindow::start(const WindowOptions& options, UniqueFd lock, bool taken_over) {
  lock_ = std::move(lock);
  pins_ = options.pins;
  handle_ = guard_handle(pins_.empty() ? options.cgroup + "/" + options.leaf : pins_);
  UniqueFd cgroup(::open(options.cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup.valid())
    return fail(ErrorKind::kUsage, "there is no cgroup " + options.cgroup + ": is it running?",
                errno);
  ring_.reset(ring_buffer__new(bpf_map__fd(skeleton_->maps.openings), take_opening, this, nullptr));
  if (!ring_) return fail_errno("cannot open the egress window's ring", errno);
  auto* globals = skeleton_->bss;
  globals->refusal = kernel_refusal(options.refusal);
  globals->open_names = options.open_names;
  if (taken_over) return adopt();
  globals->joined = options.joined;
  PARE_CHECK_OK(attach(options, cgroup.get()));
  return pins_.empty() ? Status{} : pin();
}

Status KernelWindow::guard(int ifindex) {
  if (std::find(guards_.begin(), guards_.end(), ifindex) != guards_.end()) return {};
  // From here on the sockets say what they were let through with, before anything is dropped.
  skeleton_->bss->guarded = 1;
  guards_.push_back(ifindex);
  return attach_guard(ifindex, handle_, bpf_program__fd(skeleton_->progs.guard_out),
                      bpf_program__fd(skeleton_->progs.guard_in));
}

Status KernelWindow::close() {
  for (int ifindex : std::exchange(guards_, {})) PARE_CHECK_OK(remove_guard(ifindex, handle_));
  links_.clear();
  if (pins_.empty()) return {};
  lock_.reset();
  return remove_pins(std::exchange(pins_, ""));
}

uint64_t monotonic_ns() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

Result<std::unique_ptr<Window>> Window::open(const WindowOptions& options) {
  silence_libbpf();
  Skeleton skeleton(egress_bpf__open(), egress_bpf__destroy);
  if (!skeleton) return fail_errno("cannot read the egress window's programs", errno);
  UniqueFd lock;
  bool taken_over = false;
  if (!options.pins.empty()) {
    PARE_CHECK_OK(base::make_directories(options.pins, 0700));
    PARE_TRY(lock, hold_pins(options.pins));
    taken_over = stands(options);
    if (!taken_over) PARE_CHECK_OK(clear_pins(options.pins));
    PARE_CHECK_OK(set_pin_paths(*skeleton, options.pins));
  }
  if (int error = egress_bpf__load(skeleton.get()); error != 0)
    return fail_errno(
        "this kernel does not take the egress window's programs (Linux 5.18 with BTF, and root, "
        "are needed; pins of another version go with `pare clean`)",
        -error);
  auto window = std::make_unique<KernelWindow>(std::move(skeleton));
  PARE_CHECK_OK(window->start(options, std::move(lock), taken_over));
  return window;
}

}  // namespace pare::confine
