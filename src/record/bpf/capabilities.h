// Capability checks that the workload's own credentials answered.
#ifndef PARE_RECORD_BPF_CAPABILITIES_H_
#define PARE_RECORD_BPF_CAPABILITIES_H_

#include "record/bpf/calls.h"

#define ENOSYS 38
#define NO_CALL 0xffff

// The call in progress. In an exception the saved registers are not a system call's: there the
// kernel puts an error code where a call's number is, and ax is not the -ENOSYS that every call
// begins with.
static __always_inline __u32 current_call(struct task_state* state, struct pt_regs* regs) {
  __u64 number = regs->orig_ax;
  if (number + 1 != state->call || regs->ax != (unsigned long)-ENOSYS) return NO_CALL;
  return number < PARE_SYSCALLS ? number : NO_CALL;
}

__attribute__((noinline)) int on_capability(__u32 capability, int ret) {
  struct task_struct* task = bpf_get_current_task_btf();
  struct task_state* state = state_of(task);
  // In a user namespace that the workload made for itself it needs nothing of the container's.
  if (!is_insider(state) || (__u64)BPF_CORE_READ(task, real_cred, user_ns) != entry_user_ns)
    return 0;
  struct scratch* s = take_scratch(state, PARE_CAPABILITY);
  if (!s) return 0;
  struct pt_regs* regs = (struct pt_regs*)bpf_task_pt_regs(task);
  __u32 nr = current_call(state, regs);
  __u64 seed = 0;
  s->record.nr = nr;
  s->record.capability = capability;
  s->record.ret = ret;
  if (nr != NO_CALL) {
    copy_args(s->record.args, regs);
    const volatile struct pare_shape* shape = &shapes[nr & (PARE_SYSCALLS - 1)];
    if (shape->kind == PARE_SHAPE_VALUES) {
      tell_apart(s, nr, shape);
      seed = digest_values(s, shape->values);
    } else if (shape->kind && shape->kind <= PARE_SHAPE_ADDRESS)
      add_object(s, shape, false);
  }
  send_fact(seed);
  return 0;
}

// An overlay file system checks with its mounter's credentials (ovl_override_creds): then the
// credentials in force are not the task's own.
static __always_inline bool is_own_check(__u64 cred) {
  struct task_struct* task = bpf_get_current_task_btf();
  return in_scope(task) && cred == (__u64)BPF_CORE_READ(task, real_cred);
}

// Linux 6.14 and later.
SEC("tp_btf/cap_capable")
int BPF_PROG(capable_tracepoint, const struct cred* cred, struct user_namespace* target,
             const struct user_namespace* holder, int capability, int ret) {
  if (is_own_check((__u64)cred)) on_capability(capability, ret);
  return 0;
}

SEC("fexit/cap_capable")
int BPF_PROG(capable_fexit, const struct cred* cred, struct user_namespace* target, int capability,
             unsigned int options, int ret) {
  if (is_own_check((__u64)cred)) on_capability(capability, ret);
  return 0;
}

SEC("kprobe/cap_capable")
int capable_kprobe(struct pt_regs* regs) {
  struct task_struct* task = bpf_get_current_task_btf();
  if (!in_scope(task)) return 0;
  struct task_state* state = state_of(task);
  if (!state) return 0;
  state->cred = regs->di;
  state->capability = regs->dx;
  return 0;
}

SEC("kretprobe/cap_capable")
int capable_kretprobe(struct pt_regs* regs) {
  struct task_struct* task = bpf_get_current_task_btf();
  if (!in_scope(task)) return 0;
  struct task_state* state = state_of(task);
  if (state && is_own_check(state->cred)) on_capability(state->capability, (int)regs->ax);
  return 0;
}

#endif
