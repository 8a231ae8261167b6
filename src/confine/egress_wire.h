// What the kernel side and the user side of the egress window agree on; built as C (clang -target
// bpf) and as C++.
#ifndef PARE_CONFINE_EGRESS_WIRE_H_
#define PARE_CONFINE_EGRESS_WIRE_H_

#include <linux/types.h>

#ifdef __cplusplus
#define PARE_EGRESS_ASSERT static_assert
#else
#define PARE_EGRESS_ASSERT _Static_assert
#endif

enum {
  PARE_EGRESS_RULES = 256,
  PARE_EGRESS_NAME = 128,  // bytes of a name as DNS writes it; longer ones cannot be allowed
  PARE_EGRESS_EXE = 32,
  PARE_EGRESS_LEAF = 128,     // bytes of a cgroup directory's name
  PARE_EGRESS_TIMES = 8,      // moments that an attempt keeps between two looks of user space
  PARE_EGRESS_BYTES = 1024,   // of a connection's first bytes
  PARE_EGRESS_TTL_MIN = 300,  // seconds: programs keep addresses longer than their records say
  PARE_EGRESS_TTL_MAX = 86400,
};

enum pare_egress_refusal {
  PARE_EGRESS_UNREACHABLE = 0,  // ENETUNREACH at once, as without a route
  PARE_EGRESS_REFUSED,          // ECONNREFUSED at once
  PARE_EGRESS_SILENT,           // the packets go nowhere
};

enum pare_egress_rule_kind {
  PARE_EGRESS_NONE = 0,
  PARE_EGRESS_PREFIX,  // an address or a range
  PARE_EGRESS_NAMED,   // what the name's answers said
};

// Addresses are IPv6; IPv4 as ::ffff:a.b.c.d.
struct pare_egress_rule {
  __u8 address[16];
  __u64 until_ns;  // CLOCK_MONOTONIC; 0: for good
  __u32 serial;    // another one whenever the row is used for another rule; never 0
  __u32 name;      // PARE_EGRESS_NAMED: the id in `names`
  __u16 port;      // host order; 0: any
  __u8 protocol;   // IPPROTO_*; 0: any
  __u8 kind;
  __u8 prefix;    // bits of the IPv6 form
  __u8 private_;  // private addresses are meant
  __u8 pad[2];
  char exe[PARE_EGRESS_EXE];  // the executable's file name; all zero: any
};
PARE_EGRESS_ASSERT(sizeof(struct pare_egress_rule) == 72, "pare_egress_rule");

// Lower case, as DNS writes it (a length before each label), zeros behind.
struct pare_egress_name {
  __u8 bytes[PARE_EGRESS_NAME];
};

struct pare_egress_answer_key {
  __u32 name;
  __u8 address[16];
};

enum pare_egress_verdict {
  PARE_EGRESS_ALLOWED = 0,
  PARE_EGRESS_DENIED,
  PARE_EGRESS_REBOUND,  // denied: an allowed name's answer held this private address
  PARE_EGRESS_PACKET,   // denied on the host's side: it came through no IP socket
  PARE_EGRESS_UNSENT,   // a datagram socket's connect was refused, which would have sent nothing
  PARE_EGRESS_VERDICTS,
  PARE_EGRESS_TOTALS = 8,  // a power of two, for the verifier
};

struct pare_egress_key {
  __u8 address[16];
  __u16 port;  // host order
  __u8 protocol;
  __u8 verdict;
  __u32 pid;  // 0: unknown
};
PARE_EGRESS_ASSERT(sizeof(struct pare_egress_key) == 24, "pare_egress_key");

struct pare_egress_question_key {
  struct pare_egress_name name;
  __u8 resolver[16];
  __u16 type;  // 1: A, 28: AAAA, ...
  __u8 verdict;
  __u8 pad;
  __u32 pid;
};
PARE_EGRESS_ASSERT(sizeof(struct pare_egress_question_key) == 152, "pare_egress_question_key");

// What was tried since user space last looked.
struct pare_egress_tries {
  __u64 count;
  __u64 last_ns;                   // CLOCK_MONOTONIC
  __u64 times[PARE_EGRESS_TIMES];  // of the first ones
  __u64 bytes;                     // payload of what is no connection's
  char exe[PARE_EGRESS_EXE];
  char comm[16];
};
PARE_EGRESS_ASSERT(sizeof(struct pare_egress_tries) == 136, "pare_egress_tries");

enum pare_egress_opening_kind {
  PARE_EGRESS_FIRST_BYTES = 1,  // that a connection sent
  PARE_EGRESS_ANSWER,           // a DNS message that came in for a name of no rule
};

struct pare_egress_opening {
  __u8 address[16];  // of the other side
  __u32 kind;
  __u32 size;
  __u8 bytes[PARE_EGRESS_BYTES];
};
PARE_EGRESS_ASSERT(sizeof(struct pare_egress_opening) == 24 + PARE_EGRESS_BYTES,
                   "pare_egress_opening");

enum pare_egress_loss {
  PARE_EGRESS_LOSS_TRIES = 0,  // attempts that found no room; they are counted all the same
  PARE_EGRESS_LOSS_QUESTIONS,
  PARE_EGRESS_LOSS_OPENINGS,
  PARE_EGRESS_LOSS_ANSWERS,  // answers that were withheld because there was no room
  PARE_EGRESS_LOSS_SOCKETS,  // sockets that the kernel gave no storage: their packets are denied
  PARE_EGRESS_LOSSES,
};

#endif
