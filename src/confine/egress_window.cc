#include "confine/egress_window.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "confine/bpf/egress.skel.h"
#include "confine/egress_pins.h"
#include "record/dns.h"
#include "sys/running.h"

namespace pare::confine {

namespace {

using Skeleton = std::unique_ptr<egress_bpf, void (*)(egress_bpf*)>;
using Link = std::unique_ptr<bpf_link, int (*)(bpf_link*)>;

constexpr size_t kCgroupPrograms = 8;

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

Address address_of(const uint8_t bytes[16]) {
  Address address;
  std::copy(bytes, bytes + 16, address.begin());
  return address;
}

template <size_t N>
std::string text_of(const char (&bytes)[N]) {
  return std::string(bytes, strnlen(bytes, N));
}

void fill(Tried& tried, const pare_egress_tries& tries) {
  tried.count = tries.count;
  tried.bytes = tries.bytes;
  tried.last_ns = tries.last_ns;
  const size_t kept = std::min<size_t>(tries.count, PARE_EGRESS_TIMES);
  tried.times_ns.assign(tries.times, tries.times + kept);
  std::sort(tried.times_ns.begin(), tried.times_ns.end());
  tried.exe = text_of(tries.exe);
  tried.comm = text_of(tries.comm);
}

// Takes all entries out of a hash map, a row at a time, so that what is counted meanwhile stays.
template <typename Key, typename Value, typename F>
void take_all(bpf_map* map, F&& visit) {
  const int fd = bpf_map__fd(map);
  std::vector<Key> keys;
  Key key = {};
  for (void* last = nullptr; bpf_map_get_next_key(fd, last, &key) == 0; last = &keys.back())
    keys.push_back(key);
  Value value = {};
  for (const Key& each : keys)
    if (bpf_map_lookup_and_delete_elem(fd, &each, &value) == 0) visit(each, value);
}

class KernelWindow final : public Window {
 public:
  explicit KernelWindow(Skeleton skeleton) : skeleton_(std::move(skeleton)) {}
  ~KernelWindow() override {
    if (pins_.empty())
      for (int ifindex : guards_) (void)remove_guard(ifindex, handle_);
  }

  Status start(const WindowOptions& options, UniqueFd lock, bool taken_over);
  Result<uint32_t> allow(const Exception& exception) override;
  Status revoke(uint32_t row) override;
  const std::map<uint32_t, ActiveException>& exceptions() override {
    drop_expired();
    return exceptions_;
  }
  Status set_resolvers(const std::vector<Address>& resolvers,
                       const std::vector<std::string>& search) override;
  Status set_own(const std::vector<Address>& own) override;
  Status guard(int ifindex) override;
  Look look() override;
  WindowTotals totals() const override;
  Status close() override;

 private:
  Status attach(const WindowOptions& options, int cgroup);
  Status adopt();
  Status set_scope(const WindowOptions& options);
  Status pin();
  Status attach_one(bpf_program* program, int cgroup);
  void drop_expired();
  bool in_use(const std::string& name) const;
  Status settle_name(const std::string& name);
  Status put_names();
  Status put_row(uint32_t row);
  Status replace_addresses(bpf_map* map, const std::vector<Address>& addresses);
  std::vector<std::string> names_of(const Address& address) const;
  static int take_opening(void* self, void* data, size_t size);

  Skeleton skeleton_;
  std::vector<Link> links_;
  std::unique_ptr<ring_buffer, void (*)(ring_buffer*)> ring_{nullptr, ring_buffer__free};
  std::string pins_;
  UniqueFd lock_;            // on pins_: somebody holds this window
  std::vector<int> guards_;  // interfaces
  uint32_t handle_ = 0;      // of the guards' filters
  std::map<uint32_t, ActiveException> exceptions_;
  std::map<std::string, uint32_t> names_;  // the low bit: private addresses are meant
  std::vector<std::string> search_;
  std::vector<Address> own_;
  uint32_t serial_ = 0;
  std::vector<Opening> openings_;
};

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
  const std::string below = options.cgroup.substr(mount.size());
  uint32_t depth = 0;
  for (const std::string& part : base::split(below, '/')) depth += part.empty() ? 0 : 1;
  auto* globals = skeleton_->bss;
  std::memset(globals->scope_leaf, 0, sizeof(globals->scope_leaf));
  options.leaf.copy(globals->scope_leaf, sizeof(globals->scope_leaf) - 1);
  globals->scope_parent = st.st_ino;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  globals->scope_level = depth + 1;
  PARE_CHECK_OK(attach_one(skeleton_->progs.on_cgroup_mkdir, -1));
  // Now: had it been made before, the program did not see it.
  const std::string directory = options.cgroup + "/" + options.leaf;
  if (stat(directory.c_str(), &st) == 0) globals->scope_id = st.st_ino;
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

Status KernelWindow::put_row(uint32_t row) {
  const ActiveException& active = exceptions_.at(row);
  const uint32_t id = active.exception.name.empty() ? 0 : names_.at(active.exception.name);
  const pare_egress_rule rule = rule_of(active.exception, id, ++serial_, active.until_ns);
  if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.rules), &row, &rule, BPF_ANY) != 0)
    return fail_errno("cannot write the egress window's rule " + to_string(active.exception),
                      errno);
  return {};
}

bool KernelWindow::in_use(const std::string& name) const {
  return std::any_of(exceptions_.begin(), exceptions_.end(),
                     [&](const auto& entry) { return entry.second.exception.name == name; });
}

// The kernel's table becomes the names of exceptions, alone and with the domains that the
// container's resolver appends.
Status KernelWindow::put_names() {
  const int fd = bpf_map__fd(skeleton_->maps.names);
  auto bytes = [](const pare_egress_name& name) {
    return std::string(reinterpret_cast<const char*>(name.bytes), sizeof(name.bytes));
  };
  std::set<std::string> wanted;
  for (const auto& [name, id] : names_) {
    if (!in_use(name)) continue;
    std::vector<std::string> forms = {name};
    for (const std::string& domain : search_) forms.push_back(name + "." + domain);
    for (const std::string& form : forms) {
      auto wire = wire_name(form);
      if (!wire) continue;
      if (bpf_map_update_elem(fd, &*wire, &id, BPF_ANY) != 0)
        return fail_errno("cannot allow the name " + form, errno);
      wanted.insert(bytes(*wire));
    }
  }
  std::vector<pare_egress_name> stale;
  pare_egress_name key = {};
  for (void* last = nullptr; bpf_map_get_next_key(fd, last, &key) == 0; last = &key)
    if (wanted.count(bytes(key)) == 0) stale.push_back(key);
  for (const pare_egress_name& each : stale) bpf_map_delete_elem(fd, &each);
  return {};
}

// A name keeps its id for the window's life: what it was answered is kept under it.
Status KernelWindow::settle_name(const std::string& name) {
  auto [known, fresh] = names_.try_emplace(name, 0);
  if (fresh) known->second = skeleton_->bss->last_name += 2;
  const uint32_t before = known->second;
  const bool is_private = std::any_of(exceptions_.begin(), exceptions_.end(), [&](const auto& row) {
    return row.second.exception.name == name && row.second.exception.private_addresses;
  });
  known->second = (before & ~1U) | (is_private ? 1U : 0U);
  PARE_CHECK_OK(put_names());
  if (known->second == before) return {};
  // A name that came to mean private addresses has another id: its rules follow.
  for (const auto& [row, active] : exceptions_)
    if (active.exception.name == name) PARE_CHECK_OK(put_row(row));
  return {};
}

// The kernel side held them to their time already.
void KernelWindow::drop_expired() {
  const uint64_t now = monotonic_ns();
  std::vector<uint32_t> rows;
  for (const auto& [row, active] : exceptions_)
    if (active.until_ns != 0 && active.until_ns <= now) rows.push_back(row);
  for (uint32_t row : rows) (void)revoke(row);
}

Result<uint32_t> KernelWindow::allow(const Exception& exception) {
  drop_expired();
  uint32_t row = 0;
  while (exceptions_.count(row) > 0) ++row;
  if (row >= PARE_EGRESS_RULES)
    return fail(ErrorKind::kUsage, fmt::format("a window has at most {} exceptions",
                                               static_cast<int>(PARE_EGRESS_RULES)));
  const uint64_t until = exception.lasts ? monotonic_ns() + in_ns(*exception.lasts) : 0;
  exceptions_[row] = {exception, until};
  if (!exception.name.empty()) PARE_CHECK_OK(settle_name(exception.name));
  PARE_CHECK_OK(put_row(row));
  auto* globals = skeleton_->bss;
  globals->rule_count = std::max<uint32_t>(globals->rule_count, row + 1);
  return row;
}

Status KernelWindow::revoke(uint32_t row) {
  auto found = exceptions_.find(row);
  if (found == exceptions_.end()) return {};
  const std::string name = found->second.exception.name;
  exceptions_.erase(found);
  const pare_egress_rule none = {};
  if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.rules), &row, &none, BPF_ANY) != 0)
    return fail_errno("cannot take back an exception", errno);
  return name.empty() ? Status{} : put_names();
}

Status KernelWindow::replace_addresses(bpf_map* map, const std::vector<Address>& addresses) {
  const int fd = bpf_map__fd(map);
  const uint8_t one = 1;
  for (const Address& address : addresses)
    if (bpf_map_update_elem(fd, address.data(), &one, BPF_ANY) != 0)
      return fail_errno("cannot note the address " + to_string(address), errno);
  std::vector<Address> stale;
  Address key = {};
  for (void* last = nullptr; bpf_map_get_next_key(fd, last, key.data()) == 0; last = key.data())
    if (std::find(addresses.begin(), addresses.end(), key) == addresses.end()) stale.push_back(key);
  for (const Address& address : stale) bpf_map_delete_elem(fd, address.data());
  return {};
}

Status KernelWindow::set_resolvers(const std::vector<Address>& resolvers,
                                   const std::vector<std::string>& search) {
  search_ = search;
  PARE_CHECK_OK(put_names());
  return replace_addresses(skeleton_->maps.resolvers, resolvers);
}

Status KernelWindow::set_own(const std::vector<Address>& own) {
  if (own == own_) return {};
  own_ = own;
  return replace_addresses(skeleton_->maps.own, own);
}

Status KernelWindow::guard(int ifindex) {
  if (std::find(guards_.begin(), guards_.end(), ifindex) != guards_.end()) return {};
  // From here on the sockets say what they were let through with, before anything is dropped.
  skeleton_->bss->guarded = 1;
  guards_.push_back(ifindex);
  return attach_guard(ifindex, handle_, bpf_program__fd(skeleton_->progs.guard_out),
                      bpf_program__fd(skeleton_->progs.guard_in));
}

std::vector<std::string> KernelWindow::names_of(const Address& address) const {
  std::vector<std::string> found;
  pare_egress_answer_key key = {};
  std::copy(address.begin(), address.end(), key.address);
  uint64_t until = 0;
  for (const auto& [name, id] : names_) {
    key.name = id;
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.answers), &key, &until) == 0)
      found.push_back(name);
  }
  // A refused private address is no answer of a rule, but it has a name all the same.
  uint32_t id = 0;
  if (found.empty() &&
      bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.rebound), address.data(), &id) == 0)
    for (const auto& [name, known] : names_)
      if (known == id) found.push_back(name);
  return found;
}

int KernelWindow::take_opening(void* self, void* data, size_t size) {
  if (size < sizeof(pare_egress_opening)) return 0;
  const auto* opening = static_cast<const pare_egress_opening*>(data);
  static_cast<KernelWindow*>(self)->openings_.push_back(
      {address_of(opening->address), static_cast<pare_egress_opening_kind>(opening->kind),
       std::string(reinterpret_cast<const char*>(opening->bytes),
                   std::min<size_t>(opening->size, sizeof(opening->bytes)))});
  return 0;
}

Look KernelWindow::look() {
  Look look;
  ring_buffer__consume(ring_.get());
  look.openings.swap(openings_);
  take_all<pare_egress_key, pare_egress_tries>(
      skeleton_->maps.tries, [&](const auto& key, const auto& tries) {
        Attempt attempt;
        fill(attempt, tries);
        attempt.address = address_of(key.address);
        attempt.port = key.port;
        attempt.protocol = key.protocol;
        attempt.verdict = static_cast<pare_egress_verdict>(key.verdict);
        attempt.names = names_of(attempt.address);
        look.attempts.push_back(std::move(attempt));
      });
  take_all<pare_egress_question_key, pare_egress_tries>(
      skeleton_->maps.questions, [&](const auto& key, const auto& tries) {
        Question question;
        fill(question, tries);
        question.name = name_text(key.name);
        question.type = record::dns_type_name(key.type);
        question.resolver = address_of(key.resolver);
        question.allowed = key.verdict == PARE_EGRESS_ALLOWED;
        look.questions.push_back(std::move(question));
      });
  return look;
}

WindowTotals KernelWindow::totals() const {
  WindowTotals totals;
  const auto* globals = skeleton_->bss;
  std::copy(std::begin(globals->totals), std::end(globals->totals), totals.attempts);
  std::copy(std::begin(globals->question_totals), std::end(globals->question_totals),
            totals.questions);
  std::copy(std::begin(globals->losses), std::end(globals->losses), totals.losses);
  totals.dropped_packets = globals->dropped_packets;
  return totals;
}

Status KernelWindow::close() {
  for (int ifindex : std::exchange(guards_, {})) PARE_CHECK_OK(remove_guard(ifindex, handle_));
  links_.clear();
  if (pins_.empty()) return {};
  lock_.reset();
  return remove_pins(std::exchange(pins_, ""));
}

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

}  // namespace

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
