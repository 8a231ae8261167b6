#include "record/host.h"

#include <bpf/libbpf.h>

#include <memory>

#include "base/file.h"
#include "record/bpf/trampoline.skel.h"

namespace pare::record {
namespace {

constexpr char kTypes[] = "/sys/kernel/btf/vmlinux";

// Loads and attaches one of the trial programs.
bool attaches(bool fexit) {
  std::unique_ptr<trampoline_bpf, void (*)(trampoline_bpf*)> trial(trampoline_bpf__open(),
                                                                   trampoline_bpf__destroy);
  if (!trial) return false;
  bpf_program__set_autoload(trial->progs.on_return, fexit);
  bpf_program__set_autoload(trial->progs.on_return_probe, !fexit);
  return trampoline_bpf__load(trial.get()) == 0 && trampoline_bpf__attach(trial.get()) == 0;
}

// The type information is searched for names without being parsed, which takes a quarter of the
// time.
Result<Hooks> find_hooks() {
  auto types = base::read_file(kTypes);
  if (!types)
    return fail(ErrorKind::kHost,
                "this kernel has no type information at " + std::string(kTypes) +
                    ", which recording needs: use a kernel built with CONFIG_DEBUG_INFO_BTF, or "
                    "--no-record");
  auto has_tracepoint = [&types](const std::string& name) {
    return types->find("btf_trace_" + name + '\0') != std::string::npos;
  };
  Hooks hooks;
  hooks.uring_request = has_tracepoint("io_uring_submit_req");
  hooks.uring_sqe = !hooks.uring_request && has_tracepoint("io_uring_submit_sqe");
  if (has_tracepoint("cap_capable"))
    hooks.capability = "tracepoint";
  else if (attaches(true))
    hooks.capability = "fexit";
  else if (attaches(false))
    hooks.capability = "kprobe";
  else
    return fail(ErrorKind::kHost,
                "this kernel lets no program see capability checks (no cap_capable tracepoint, and "
                "tracing functions is refused): use Linux 6.14 or later, or --no-record");
  return hooks;
}

}  // namespace

const Result<Hooks>& hooks() {
  static const Result<Hooks> found = find_hooks();
  return found;
}

}  // namespace pare::record
