// Does this kernel let programs trace functions? Loaded to find out, never left attached.
#include "record/bpf/kernel.h"
// kernel.h first: the helpers' declarations name its types.
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("fexit/cap_capable")
int on_return(void* context) {
  return 0;
}

SEC("kretprobe/cap_capable")
int on_return_probe(void* context) {
  return 0;
}
