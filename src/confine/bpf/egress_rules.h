// Which destinations are allowed, and the count of what was tried.
#ifndef PARE_CONFINE_BPF_EGRESS_RULES_H_
#define PARE_CONFINE_BPF_EGRESS_RULES_H_

#include "confine/bpf/egress_packet.h"

struct wanted {
  __u8 address[16] ALIGNED;
  __u16 port;
  __u8 protocol;
  bool private_;
  const char* exe;  // PARE_EGRESS_EXE bytes; NULL: unknown, which no rule for a program matches
  __u64 now;
  __u32 rule;  // found
  __u32 serial;
  int found;
};

static __always_inline bool in_prefix(const __u8 address[16], const struct pare_egress_rule* rule) {
  for (int i = 0; i < 16; i++) {
    int bits = rule->prefix - i * 8;
    if (bits <= 0) return true;
    __u8 mask = bits >= 8 ? 0xff : 0xff << (8 - bits);
    if ((address[i] ^ rule->address[i]) & mask) return false;
  }
  return true;
}

static __always_inline bool same_exe(const char* a, const char* b) {
  for (int i = 0; i < PARE_EGRESS_EXE; i++)
    if (a[i] != b[i]) return false;
  return true;
}

static __always_inline bool was_answered(__u32 name, const __u8 address[16], __u64 now) {
  struct pare_egress_answer_key key = {.name = name};
  __builtin_memcpy(key.address, address, 16);
  __u64* until = bpf_map_lookup_elem(&answers, &key);
  return until && now < *until;
}

static long try_rule(__u32 i, struct wanted* w) {
  struct pare_egress_rule* rule = bpf_map_lookup_elem(&rules, &i);
  if (!rule || rule->kind == PARE_EGRESS_NONE) return 0;
  if (rule->port && rule->port != w->port) return 0;
  if (rule->protocol && rule->protocol != w->protocol) return 0;
  if (rule->until_ns && w->now >= rule->until_ns) return 0;
  if (w->private_ && !rule->private_) return 0;
  if (rule->exe[0] && (!w->exe || !same_exe(rule->exe, w->exe))) return 0;
  if (rule->kind == PARE_EGRESS_PREFIX ? !in_prefix(w->address, rule)
                                       : !was_answered(rule->name, w->address, w->now))
    return 0;
  w->rule = i;
  w->serial = rule->serial;
  w->found = 1;
  return 1;
}

static __always_inline bool is_allowed(struct wanted* w) {
  w->now = bpf_ktime_get_ns();
  w->found = 0;
  w->private_ = is_private(w->address);
  bpf_loop(rule_count, try_rule, w, 0);
  return w->found;
}

// A socket that was let through stays so as long as its rule is the same and not over.
static __always_inline bool still_allowed(const struct socket_state* state) {
  __u32 i = state->rule;
  struct pare_egress_rule* rule = bpf_map_lookup_elem(&rules, &i);
  if (!rule || rule->serial != state->serial) return false;
  return !rule->until_ns || bpf_ktime_get_ns() < rule->until_ns;
}

static __always_inline bool is_own(const __u8 address[16]) {
  return is_loopback(address) || bpf_map_lookup_elem(&own, address);
}

static __always_inline __u8 why_denied(const __u8 address[16]) {
  return bpf_map_lookup_elem(&rebound, address) ? PARE_EGRESS_REBOUND : PARE_EGRESS_DENIED;
}

static __always_inline void add_try(struct pare_egress_tries* tries, __u64 bytes) {
  __u64 now = bpf_ktime_get_ns();
  __u64 n = __sync_fetch_and_add(&tries->count, 1);
  if (n < PARE_EGRESS_TIMES) tries->times[n & (PARE_EGRESS_TIMES - 1)] = now;
  tries->last_ns = now;
  __sync_fetch_and_add(&tries->bytes, bytes);
}

const struct pare_egress_tries no_tries = {};

// The row of `key`, made where it is missing; NULL: there is no room.
static __always_inline struct pare_egress_tries* tries_of(void* map, const void* key,
                                                          const struct socket_state* state) {
  struct pare_egress_tries* row = bpf_map_lookup_elem(map, key);
  if (row) return row;
  bpf_map_update_elem(map, key, &no_tries, BPF_NOEXIST);
  row = bpf_map_lookup_elem(map, key);
  if (row && state) {
    __builtin_memcpy(row->exe, state->exe, sizeof(row->exe));
    __builtin_memcpy(row->comm, state->comm, sizeof(row->comm));
  }
  return row;
}

static __always_inline void count_try(const __u8 address[16], __u16 port, __u8 protocol,
                                      __u8 verdict, const struct socket_state* state, __u64 bytes) {
  struct pare_egress_key key = {.port = port, .protocol = protocol, .verdict = verdict};
  __builtin_memcpy(key.address, address, 16);
  if (state) key.pid = state->pid;
  __sync_fetch_and_add(&totals[verdict & (PARE_EGRESS_TOTALS - 1)], 1);
  struct pare_egress_tries* row = tries_of(&tries, &key, state);
  if (row)
    add_try(row, bytes);
  else
    lose(PARE_EGRESS_LOSS_TRIES);
}

// Who runs now: the file name of its executable cannot be changed by prctl(2).
static __always_inline void set_process(struct socket_state* state) {
  struct task_struct* task = (void*)bpf_get_current_task();
  state->pid = bpf_get_current_pid_tgid() >> 32;
  __builtin_memset(state->exe, 0, sizeof(state->exe));
  bpf_probe_read_kernel_str(state->exe, sizeof(state->exe),
                            BPF_CORE_READ(task, mm, exe_file, f_path.dentry, d_name.name));
  bpf_get_current_comm(state->comm, sizeof(state->comm));
}

// Gives what the packet carries to user space; 1: there was something.
__attribute__((noinline)) static int show(struct __sk_buff* skb, const struct packet* p,
                                          __u32 kind) {
  __u32 size = skb->len - p->payload;
  if (skb->len <= p->payload) return 0;
  struct pare_egress_opening* opening = bpf_ringbuf_reserve(&openings, sizeof(*opening), 0);
  if (!opening) {
    lose(PARE_EGRESS_LOSS_OPENINGS);
    return 1;
  }
  __builtin_memcpy(opening->address, kind == PARE_EGRESS_ANSWER ? p->from : p->to, 16);
  opening->kind = kind;
  if (size >= PARE_EGRESS_BYTES) size = PARE_EGRESS_BYTES - 1;
  size &= PARE_EGRESS_BYTES - 1;
  if (size == 0 || bpf_skb_load_bytes(skb, p->payload, opening->bytes, size)) size = 0;
  opening->size = size;
  bpf_ringbuf_submit(opening, BPF_RB_NO_WAKEUP);  // user space looks by the clock
  return 1;
}

#endif
