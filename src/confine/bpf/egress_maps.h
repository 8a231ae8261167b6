// Maps and globals of the egress window.
#ifndef PARE_CONFINE_BPF_EGRESS_MAPS_H_
#define PARE_CONFINE_BPF_EGRESS_MAPS_H_

#include "record/bpf/kernel.h"
// kernel.h first: the helpers' declarations name its types.
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "confine/egress_wire.h"

char LICENSE[] SEC("license") = "GPL";

// ---- what user space says
volatile __u32 refusal = 0;
volatile __u32 rule_count = 0;
volatile __u32 joined = 0;      // sockets may be older than the window
volatile __u32 guarded = 0;     // the host's end of the veth asks what was approved
volatile __u32 open_names = 0;  // every question may pass; its answers open nothing
__u32 last_name = 0;            // id of the latest name; not read here, but it outlives who counts
// Scope, when attached above the container: 0 level means all that the programs are attached to.
volatile __u32 scope_level = 0;
volatile __u64 scope_id = 0;
volatile __u64 scope_parent = 0;  // of the cgroup that is waited for; 0: any
char scope_leaf[PARE_EGRESS_LEAF] = {};

// ---- what it is told
__u64 totals[PARE_EGRESS_TOTALS] = {};  // attempts
__u64 question_totals[PARE_EGRESS_TOTALS] = {};
__u64 losses[PARE_EGRESS_LOSSES] = {};
__u64 dropped_packets = 0;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, PARE_EGRESS_RULES);
  __type(key, __u32);
  __type(value, struct pare_egress_rule);
} rules SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, struct pare_egress_name);
  __type(value, __u32);
} names SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);  // of the container itself, and of its resolvers
  __uint(max_entries, 256);
  __type(key, struct in6_addr_bytes);
  __type(value, __u8);
} own SEC(".maps"), resolvers SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);  // until when, CLOCK_MONOTONIC
  __uint(max_entries, 65536);
  __type(key, struct pare_egress_answer_key);
  __type(value, __u64);
} answers SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);  // private addresses that answers held
  __uint(max_entries, 1024);
  __type(key, struct in6_addr_bytes);
  __type(value, __u32);
} rebound SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 8192);
  __type(key, struct pare_egress_key);
  __type(value, struct pare_egress_tries);
} tries SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 2048);
  __type(key, struct pare_egress_question_key);
  __type(value, struct pare_egress_tries);
} questions SEC(".maps");

struct pending_key {
  __u8 resolver[16];
  __u16 port;  // of the asker
  __u16 id;
};
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);  // the name's id; 0: of no rule
  __uint(max_entries, 4096);
  __type(key, struct pending_key);
  __type(value, __u32);
} pending SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 256 * 1024);
} openings SEC(".maps");

enum role {
  ROLE_NONE = 0,
  ROLE_PASSIVE,  // TCP: accepted, the other side began
  ROLE_ACTIVE,   // began towards `address`, under `rule`
  ROLE_DENIED,   // tried to
};

struct socket_state {
  __u8 address[16];
  __u16 port;
  __u8 role;
  __u8 peeked;  // its first bytes were shown
  __u32 rule;
  __u32 serial;
  __u32 pid;
  char exe[PARE_EGRESS_EXE];
  char comm[16];
};
struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct socket_state);
} sockets SEC(".maps");

// Datagrams that came in: to whom an answer may go.
struct peer {
  __u8 address[16];
  __u16 port;   // theirs
  __u16 local;  // ours
};
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);  // when, CLOCK_MONOTONIC
  __uint(max_entries, 16384);
  __type(key, struct peer);
  __type(value, __u64);
} peers SEC(".maps");

// For the host's end of the veth: flows that a socket was let through with, or that came in.
struct flow {
  __u8 from[16], to[16];
  __u16 source, destination;
  __u8 protocol;
  __u8 pad[3];
};
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 65536);
  __type(key, struct flow);
  __type(value, __u64);
} approved SEC(".maps"), entered SEC(".maps");

#define SECOND 1000000000ULL

static __always_inline void lose(enum pare_egress_loss why) {
  __sync_fetch_and_add(&losses[why], 1);
}

#endif
