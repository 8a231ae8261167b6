#include "confine/seal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "base/file.h"
#include "base/text.h"
#include "privilege/seccomp.h"
#include "sys/threads.h"

namespace pare::confine {

namespace {

// Which argument points to a path.
constexpr std::array<std::pair<std::string_view, int>, 8> kPaths = {{{"execve", 0},
                                                                     {"execveat", 1},
                                                                     {"memfd_create", 0},
                                                                     {"mount", 1},
                                                                     {"umount2", 0},
                                                                     {"chroot", 0},
                                                                     {"pivot_root", 0},
                                                                     {"open_by_handle_at", -1}}};

std::string read_string(int pid, uint64_t address) {
  UniqueFd memory(open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, PATH_MAX> text{};
  ssize_t n = memory.valid()
                  ? pread(memory.get(), text.data(), text.size() - 1, static_cast<off_t>(address))
                  : -1;
  if (n <= 0) return "?";
  return {text.data(), strnlen(text.data(), static_cast<size_t>(n))};
}

std::string program_of(int pid) {
  std::string process = "/proc/" + std::to_string(pid);
  std::array<char, PATH_MAX> path{};
  ssize_t n = readlink((process + "/exe").c_str(), path.data(), path.size());
  if (n > 0) return {path.data(), static_cast<size_t>(n)};
  return std::string(base::trim(base::read_file(process + "/comm").value_or("?")));
}

// The descriptor in the ancillary data of a message (seccomp.md of the OCI runtime specification:
// one message, whose text is the container's state).
UniqueFd receive_descriptor(int socket) {
  std::array<char, 65536> text{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control{};
  iovec part{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  UniqueFd found;
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) < 0) return found;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      if (found.valid()) {
        close(fd);
      } else {
        found.reset(fd);
      }
    }
  }
  return found;
}

}  // namespace

Status seal_possible() {
  uint32_t action = SECCOMP_RET_USER_NOTIF;
  if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) return {};
  return fail_errno("this kernel has no seccomp notification", errno);
}

Result<std::unique_ptr<Seal>> Seal::open(const SealPlan& plan, const std::string& listener,
                                         std::function<void(const Denial&)> on_denial) {
  std::unique_ptr<Seal> seal(new Seal(plan, std::move(on_denial)));
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  if (listener.size() >= sizeof at.sun_path) {
    return fail(ErrorKind::kHost, listener +
                                      " is too long for a unix socket: set PARE_STATE_DIR "
                                      "to a shorter path");
  }
  listener.copy(at.sun_path, sizeof at.sun_path - 1);
  seal->listener_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  seal->wake_.reset(eventfd(0, EFD_CLOEXEC));
  if (bind(seal->listener_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
      listen(seal->listener_.get(), 8) != 0) {
    return fail_errno("cannot listen on " + listener, errno);
  }
  seal->path_ = listener;
  PARE_TRY(seal->thread_, sys::start_thread([s = seal.get()] { s->run(); }));
  return seal;
}

Seal::~Seal() {
  stop_ = true;
  if (wake_.valid()) eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
  if (!path_.empty()) unlink(path_.c_str());
}

std::map<std::string, uint64_t> Seal::denials() const {
  std::lock_guard guard(mutex_);
  return denials_;
}

void Seal::run() {
  while (!stop_) {
    std::vector<pollfd> waits = {{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const UniqueFd& filter : filters_) waits.push_back({filter.get(), POLLIN, 0});
    if (poll(waits.data(), waits.size(), -1) < 0) continue;
    for (size_t i = waits.size(); i-- > 2;) {
      bool keep = (waits[i].revents & POLLIN) != 0    ? answer(waits[i].fd)
                  : (waits[i].revents & POLLHUP) != 0 ? false  // nobody has this filter any more
                                                      : true;
      if (!keep) filters_.erase(filters_.begin() + static_cast<ptrdiff_t>(i - 2));
    }
    if ((waits[1].revents & POLLIN) != 0) take_filter();
  }
}

void Seal::take_filter() {
  UniqueFd peer(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!peer.valid()) return;
  timeval patience{5, 0};
  setsockopt(peer.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  UniqueFd filter = receive_descriptor(peer.get());
  if (!filter.valid()) return;
  filters_.push_back(std::move(filter));
  attached_ = true;
}

// One notification; false when the filter is of no use any more.
bool Seal::answer(int filter) {
  seccomp_notif asked{};
  if (ioctl(filter, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) {
    return errno == EINTR || errno == ENOENT || errno == EAGAIN;  // ENOENT: its task has died
  }
  std::string call = privilege::syscall_name(asked.data.nr);
  bool sealed = sealed_;
  const std::set<std::string>& allowed = sealed ? plan_.after : plan_.before;
  seccomp_notif_resp reply{};
  reply.id = asked.id;
  if (allowed.count(call) > 0) {
    // The decision does not depend on arguments that the process could change meanwhile.
    reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else {
    reply.error = plan_.as_absent.count(call) > 0 ? -ENOSYS : -EPERM;
    uint64_t arguments[6];
    std::copy(std::begin(asked.data.args), std::end(asked.data.args), arguments);
    Denial denial = describe(call, static_cast<int>(asked.pid), arguments);
    denial.sealed = sealed;
    // What was read is of that process only if it still waits.
    if (ioctl(filter, SECCOMP_IOCTL_NOTIF_ID_VALID, &asked.id) != 0) return true;
    {
      std::lock_guard guard(mutex_);
      ++denials_[call];
    }
    if (on_denial_) on_denial_(denial);
  }
  ioctl(filter, SECCOMP_IOCTL_NOTIF_SEND, &reply);
  return true;
}

Denial Seal::describe(const std::string& call, int pid, const uint64_t (&arguments)[6]) const {
  Denial denial;
  denial.call = call;
  denial.pid = pid;
  denial.program = program_of(pid);
  denial.argument = fmt::format("{:#x}", arguments[0]);
  for (const auto& [name, index] : kPaths) {
    if (name == call && index >= 0) denial.argument = read_string(pid, arguments[index]);
  }
  return denial;
}

}  // namespace pare::confine
