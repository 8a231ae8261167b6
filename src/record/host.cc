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

}  // namespace

Result<KernelTypes> KernelTypes::read() {
  auto raw = base::read_file(kTypes);
  if (!raw)
    return fail(ErrorKind::kHost,
                "this kernel has no type information at " + std::string(kTypes) +
                    ", which recording needs: use a kernel built with CONFIG_DEBUG_INFO_BTF, or "
                    "--no-record");
  return KernelTypes(std::move(*raw));
}

bool KernelTypes::has_tracepoint(std::string_view name) const {
  std::string type = "btf_trace_" + std::string(name);
  return raw_.find(type + '\0') != std::string::npos;
}

std::string capability_hook(const KernelTypes& types) {
  if (types.has_tracepoint("cap_capable")) return "tracepoint";
  if (attaches(true)) return "fexit";
  if (attaches(false)) return "kprobe";
  return "";
}

}  // namespace pare::record
