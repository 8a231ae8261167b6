// What this kernel offers to a recorder.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace pare::record {

// /sys/kernel/btf/vmlinux, searched for names without being parsed (parsing takes longer than all
// of open()).
class KernelTypes {
 public:
  static Result<KernelTypes> read();                 // kHost: no BTF
  bool has_tracepoint(std::string_view name) const;  // as tp_btf

 private:
  explicit KernelTypes(std::string raw) : raw_(std::move(raw)) {}
  std::string raw_;
};

// "tracepoint", "fexit" or "kprobe", whichever works first; empty: none.
std::string capability_hook(const KernelTypes& types);

}  // namespace pare::record
