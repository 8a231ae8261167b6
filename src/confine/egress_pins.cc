#include "confine/egress_pins.h"

#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "confine/egress_links.h"
#include "confine/egress_window.h"
#include "sys/session.h"

namespace pare::confine {

namespace {

// Unmistakably the window's among the filters of an interface.
constexpr uint32_t kPriority = 0xe6e5;

std::string root_path() {
  return sys::state_root() + "/bpf";
}

std::string pins_name(const std::string& subject) {
  return base::sha256_hex(subject).substr(0, 16);
}

bool is_bpf_root(const std::string& path) {
  struct statfs fs {};
  return statfs(path.c_str(), &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

std::vector<std::string> entries(const std::string& directory) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  if (!dir) return names;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(directory + "/" + name);
  }
  return names;
}

int no_print(libbpf_print_level, const char*, va_list) {
  return 0;
}

bpf_tc_hook hook_of(int ifindex, bpf_tc_attach_point point) {
  bpf_tc_hook hook = {};
  hook.sz = sizeof(hook);
  hook.ifindex = ifindex;
  hook.attach_point = point;
  return hook;
}

Status attach_filter(int ifindex, uint32_t handle, bpf_tc_attach_point point, int program) {
  bpf_tc_hook hook = hook_of(ifindex, point);
  bpf_tc_opts opts = {};
  opts.sz = sizeof(opts);
  opts.prog_fd = program;
  opts.handle = handle;
  opts.priority = kPriority;
  opts.flags = BPF_TC_F_REPLACE;
  if (int error = bpf_tc_attach(&hook, &opts); error != 0)
    return fail_errno(fmt::format("cannot guard network interface {} (tc)", ifindex), -error);
  return {};
}

}  // namespace

void silence_libbpf() {
  libbpf_set_print(no_print);
}

uint32_t guard_handle(const std::string& pins) {
  return static_cast<uint32_t>(std::stoul(base::sha256_hex(pins).substr(0, 7), nullptr, 16)) | 1;
}

Status attach_guard(int ifindex, uint32_t handle, int out_program, int in_program) {
  bpf_tc_hook hook = hook_of(ifindex, BPF_TC_INGRESS);
  const int error = bpf_tc_hook_create(&hook);
  if (error != 0 && error != -EEXIST)
    return fail_errno(fmt::format("cannot guard network interface {} (clsact)", ifindex), -error);
  // Seen from the host: what leaves the container comes in here.
  PARE_CHECK_OK(attach_filter(ifindex, handle, BPF_TC_EGRESS, in_program));
  return attach_filter(ifindex, handle, BPF_TC_INGRESS, out_program);
}

Status remove_guard(int ifindex, uint32_t handle) {
  for (bpf_tc_attach_point point : {BPF_TC_INGRESS, BPF_TC_EGRESS}) {
    bpf_tc_hook hook = hook_of(ifindex, point);
    bpf_tc_opts opts = {};
    opts.sz = sizeof(opts);
    opts.handle = handle;
    opts.priority = kPriority;
    const int error = bpf_tc_detach(&hook, &opts);
    if (error != 0 && error != -ENOENT && error != -ENODEV && error != -EINVAL)
      return fail_errno(fmt::format("cannot remove the guard of interface {}", ifindex), -error);
  }
  return {};
}

Result<UniqueFd> hold_pins(const std::string& pins) {
  UniqueFd fd(open(pins.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("cannot open " + pins, errno);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(ErrorKind::kHost, "another pare watches this container already", errno);
  return fd;
}

Status clear_pins(const std::string& pins) {
  for (const std::string& pin : entries(pins))
    if (unlink(pin.c_str()) != 0 && errno != ENOENT)
      return fail_errno("cannot remove " + pin, errno);
  auto links = list_links();
  if (!links) return {};
  for (const NetworkLink& link : links->links)
    if (!link.loopback) PARE_CHECK_OK(remove_guard(link.ifindex, guard_handle(pins)));
  return {};
}

Result<std::string> pin_root() {
  const std::string root = root_path();
  PARE_CHECK_OK(base::make_directories(root, 0700));
  if (!is_bpf_root(root) &&
      mount("bpf", root.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
    return fail_errno("cannot mount a bpf file system at " + root, errno);
  return root;
}

std::vector<std::string> pinned_windows() {
  std::vector<std::string> windows;
  if (!is_bpf_root(root_path())) return windows;
  struct stat st {};
  // Beside them are the kernel's own maps.debug and progs.debug (bpf_preload).
  for (const std::string& path : entries(root_path()))
    if (stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) windows.push_back(path);
  return windows;
}

Result<std::string> pins_of(const std::string& subject) {
  PARE_TRY(const std::string root, pin_root());
  return root + "/" + pins_name(subject);
}

bool window_stands(const std::string& subject) {
  const std::vector<std::string> standing = pinned_windows();
  return std::find(standing.begin(), standing.end(), root_path() + "/" + pins_name(subject)) !=
         standing.end();
}

Status remove_pins(const std::string& pins) {
  PARE_CHECK_OK(clear_pins(pins));
  if (rmdir(pins.c_str()) != 0 && errno != ENOENT)
    return fail_errno("cannot remove " + pins, errno);
  if (pinned_windows().empty() && is_bpf_root(root_path()) &&
      umount2(root_path().c_str(), MNT_DETACH) == 0)
    rmdir(root_path().c_str());
  return {};
}

Result<int> sweep_windows() {
  silence_libbpf();
  int swept = 0;
  for (const std::string& pins : pinned_windows()) {
    auto lock = hold_pins(pins);
    if (!lock) continue;
    PARE_CHECK_OK(remove_pins(pins));
    ++swept;
  }
  return swept;
}

}  // namespace pare::confine
