#include "check/attempts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

namespace pare::check {

bool container_gone(const Error& error) {
  return error.sys_errno == ENOENT || error.sys_errno == ESRCH;
}

Result<Bench> Bench::open(const Subject& subject) {
  PARE_TRY(sys::NetNs inside, sys::NetNs::of_process(subject.pid));
  PARE_TRY(sys::NetNs own, sys::NetNs::of_process(getpid()));
  return Bench(subject, std::move(inside), std::move(own));
}

std::string Bench::refusal(const Spec& spec) const {
  const auto& ports = subject_.reachable;
  bool outside = find_kind(spec.kind) != nullptr && find_kind(spec.kind)->outside;
  if (outside || std::find(ports.begin(), ports.end(), spec.port) != ports.end()) return "";
  return fmt::format("port {} is not reachable under this policy", spec.port);
}

Result<std::vector<Attempt>> Bench::attempt(const Spec& spec, int count) const {
  const Kind* kind = find_kind(spec.kind);
  if (kind == nullptr) {
    return fail(ErrorKind::kUsage, fmt::format("'{}' is no kind of check", spec.kind));
  }
  const sys::NetNs& where = kind->outside ? own_ : inside_;
  std::optional<Prepared> prepared;
  std::optional<Attempt> only;
  PARE_CHECK_OK(where.run([&] {
    prepared = kind->prepare(spec, subject_);
    if (*prepared && count == 1) only = (**prepared)();
  }));
  if (!*prepared) return std::vector<Attempt>{prepared->error()};
  if (only) return std::vector<Attempt>{std::move(*only)};
  std::vector<Attempt> attempts(static_cast<size_t>(count));
  PARE_CHECK_OK(
      where.run_at_once(count, [&](int i) { attempts[static_cast<size_t>(i)] = (**prepared)(); }));
  return attempts;
}

bool Bench::switch_to_ipv6(uint16_t port) {
  if (subject_.address == subject_.address6 || subject_.address6.empty()) return false;
  auto found = listeners(subject_);
  if (!found) return false;
  bool only_v6 = false;
  for (const Listener& listener : *found) {
    if (listener.port != port || listener.loopback) continue;
    if (listener.address.find(':') == std::string::npos) return false;
    only_v6 = true;
  }
  if (!only_v6 || inside_.is_own().value_or(true)) return false;
  auto added = inside_.call([&] { return sys::add_loopback_address(subject_.address6); });
  if (!added) return false;
  subject_.address = subject_.address6;
  return true;
}

}  // namespace pare::check
