// Exceptions, names and addresses as rows of the kernel's tables.
#include <fmt/format.h>

#include <cerrno>
#include <set>

#include "confine/egress_kernel.h"

namespace pare::confine {

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

}  // namespace pare::confine
