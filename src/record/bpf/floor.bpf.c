// The least that looking at every system call costs, for measurements: empty programs on the
// recorder's own two tracepoints.
#include "record/bpf/kernel.h"
// kernel.h first: the helpers' declarations name its types.
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/sys_enter")
int at_entry(void* context) {
  return 0;
}

SEC("tp_btf/sys_exit")
int at_exit(void* context) {
  return 0;
}
