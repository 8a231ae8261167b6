// Maps and globals of the recorder.
#ifndef PARE_RECORD_BPF_MAPS_H_
#define PARE_RECORD_BPF_MAPS_H_

#include "record/bpf/kernel.h"
// kernel.h first: the helpers' declarations name its types.
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "record/wire.h"

char LICENSE[] SEC("license") = "GPL";

// ---- constants that user space sets before the programs are loaded
const volatile struct pare_shape shapes[PARE_SYSCALLS];
const volatile __u8 exits[PARE_SYSCALLS];  // 1: the call's exit is looked at
const volatile __u8 see_refusals = 0;      // compare exits with entries
const volatile __u32 host_mnt_ns = 0;      // inode of the recorder's own mount namespace

// ---- scope
volatile __u64 scope_cgroup = 0;  // address of the container's cgroup; 0: none yet
volatile __u64 scope_id = 0;      // kernfs id of the container's cgroup; 0: none yet
volatile __u32 members = 0;       // further cgroups in `member_ids`
volatile __u32 leaf_length = 0;   // of the directory name that is waited for; 0: not armed
volatile __u64 leaf_digest = 0;
volatile __u32 entry_seen = 0;
volatile __u64 entry_user_ns = 0;   // address of the entry point's user namespace
volatile __u32 serving = 0;         // after readiness
volatile __u64 joined_ns = 0;       // what already ran is recorded since then; 0: from its start
volatile __u32 joined_user_ns = 0;  // inode of its user namespace

// ---- what was learned without a record
__u8 runtime_calls[PARE_SYSCALLS];  // by outsiders under the filter that they loaded
__u64 lost[PARE_LOSSES];

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 256);
  __type(key, __u64);
  __type(value, __u8);
} member_ids SEC(".maps");

enum task_kind { OUTSIDER = 1, INIT, INSIDER, APART };

struct task_state {
  __u32 kind;
  __u32 exe;
  __u32 row;         // exe's first row in `counts`
  __u32 call;        // the call in progress + 1
  __s32 filters;     // outsiders: seccomp filters at the time of the attach
  __s32 capability;  // kprobe pair: what cap_capable was asked
  __u64 cred;
  __u32 began;   // a TCP connection began in the call in progress
  __u32 mounts;  // outsiders: has made a mount
};

struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct task_state);
} tasks SEC(".maps");

struct row {
  __u64 calls[PARE_SYSCALLS];
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, PARE_EXES* PARE_SHARDS);
  __type(key, __u32);
  __type(value, struct row);
} counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);  // abi or size << 32 | number
  __uint(max_entries, 512);
  __type(key, __u64);
  __type(value, __u64);
} foreign SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);  // PARE_I386 | errno << 32 | number
  __uint(max_entries, 1024);
  __type(key, __u64);
  __type(value, __u64);
} refusals SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);  // a fact's key: how often
  __uint(max_entries, 32768);
  __type(key, __u64);
  __type(value, __u64);
} seen SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);  // digest of a program's path: its number
  __uint(max_entries, 1024);
  __type(key, __u64);
  __type(value, __u32);
} exes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4 * 1024 * 1024);
} ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __type(key, struct pare_flow_key);
  __type(value, struct pare_flow);
} flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, struct pare_listener_key);
  __type(value, __u64);
} listeners SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);  // a connecting socket's address: where to
  __uint(max_entries, 4096);
  __type(key, __u64);
  __type(value, struct pare_flow_key);
} connecting SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);  // local port << 16 | id of a DNS question
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, __u8);
} questions SEC(".maps");

// A record under construction. The text has room for one more name and for the digest's padding.
struct scratch {
  __u32 busy;
  __u32 length;  // of text
  // The walk's and the digest's state. In memory rather than in registers: the verifier then meets
  // the same state at every turn of a loop and follows it once.
  __u64 dentry;
  __u64 mount;
  __u64 digest;
  struct pare_record record;
  char text[PARE_TEXT_MAX + PARE_NAME_MAX + PARE_DIGEST_STEP];
};
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct scratch);
} scratches SEC(".maps");

// Bounds a 64-bit variable, right before its use. Comparison and use stay on one register: Linux
// 6.1's verifier does not know of a register's 32-bit or spilled copy what it knows of the
// register.
#define AT_MOST(variable, most) \
  asm volatile("if %0 <= %[max] goto +1\n%0 = %[max]" : "+r"(variable) : [max] "i"(most))

static __always_inline void lose(enum pare_loss why) {
  __sync_fetch_and_add(&lost[why], 1);
}

// Adds one to key's count; what does not fit is counted as lost.
static __always_inline void count(void* map, __u64 key, enum pare_loss why) {
  __u64* n = bpf_map_lookup_elem(map, &key);
  if (!n) {
    __u64 zero = 0;
    bpf_map_update_elem(map, &key, &zero, BPF_NOEXIST);
    n = bpf_map_lookup_elem(map, &key);
  }
  if (n)
    __sync_fetch_and_add(n, 1);
  else
    lose(why);
}

#endif
