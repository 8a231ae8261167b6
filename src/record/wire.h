// What the kernel side and the user side of the recorder agree on; built as C (clang -target bpf)
// and as C++.
#ifndef PARE_RECORD_WIRE_H_
#define PARE_RECORD_WIRE_H_

#include <linux/types.h>

#ifdef __cplusplus
#define PARE_WIRE_ASSERT static_assert
#else
#define PARE_WIRE_ASSERT _Static_assert
#endif

// One step of the digest that tells facts apart.
static inline __u64 pare_mix(__u64 h, __u64 word) {
  h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
  return h ^ (h >> 29);
}

#define PARE_I386 (1ULL << 63)  // in keys of refused calls: through the 32-bit gate

enum {
  PARE_SYSCALLS = 512,  // x86_64 numbers below this one are counted in rows
  PARE_EXES = 64,   // programs with a row of their own; the last one is shared by all later ones
  PARE_SHARDS = 8,  // rows a program has, so that CPUs rarely share a cache line
  PARE_REQUEST_MAX = 4096,  // PATH_MAX
  PARE_TEXT_MAX = 8192,
  PARE_ADDRESS_MAX = 128,  // sizeof(struct sockaddr_storage)
  PARE_NAME_MAX = 256,
  PARE_DIGEST_STEP = 32,  // bytes; the text is padded with zeros to a multiple
  PARE_DEPTH_MAX = 256,   // directories and mounts on the way from a file to the root
  PARE_PACKET_MAX = 512,  // bytes of a DNS message that are kept
};

// How a system call's exit is looked at, and where its arguments are. One row a call, filled by
// user space.
enum pare_shape_kind {
  PARE_SHAPE_NONE = 0,
  PARE_SHAPE_OPEN,     // returns a descriptor; flags at `flags`
  PARE_SHAPE_CHANGE,   // changes what `path` (or the descriptor `fd`) names
  PARE_SHAPE_LOOK,     // only looks: a fact when it was refused
  PARE_SHAPE_EXEC,     // a fact when it failed; success is seen at sched_process_exec
  PARE_SHAPE_ADDRESS,  // a socket address at `path`, its length at the next argument
  PARE_SHAPE_SEND,     // a fact when it could not leave; a struct msghdr, or PARE_TO
  PARE_SHAPE_LISTEN,   // the socket at `fd` listens
  PARE_SHAPE_VALUES,   // no path: the arguments in `values` tell what it was about
};

enum pare_shape_flag {
  PARE_MAKES = 1,       // makes a name: ENOENT is worth a fact
  PARE_OPEN_HOW = 2,    // `flags` points to struct open_how
  PARE_OPEN_MAKES = 4,  // creat(2): no flags argument
  PARE_LISTENS = 8,     // bind(2): success is worth a fact
  PARE_TO = 16,         // sendto(2)
  PARE_ARGUED = 32,     // the arguments in `values` are a fact
  PARE_IF_EXEC = 64,    // only with PROT_EXEC in the third argument
  PARE_WIDE = 128,      // arguments of 64 bits; else of 32
  PARE_FORKS = 256,     // returns in the child as well, with 0
};

struct pare_shape {
  __u8 kind;
  __u8 values;  // a bit for each argument
  __u16 how;    // pare_shape_flag
  __s8 dirfd;   // argument index, -1: none (the working directory)
  __s8 path;    // -1: none
  __s8 dirfd2;  // second path of rename and link
  __s8 path2;
  __s8 fd;     // -1: none
  __s8 flags;  // -1: none
};
PARE_WIRE_ASSERT(sizeof(struct pare_shape) == 10, "pare_shape");

enum pare_kind {
  PARE_CGROUP = 1,  // a cgroup in scope was made: text is its path
  PARE_SETUP,       // the runtime entered the container's root (pid)
  PARE_ENTRY,       // the entry point's execve succeeded (pid)
  PARE_EXE,         // exe is the number of this file from now on
  PARE_EXEC,        // a program was executed, or failed to be
  PARE_CALL,        // a system call on a path or an address
  PARE_ARGUMENTS,   // a call with telling arguments
  PARE_CAPABILITY,  // a capability was checked
  PARE_DNS,         // a DNS message: text
  PARE_URING,       // an io_uring operation: nr is the opcode
};

enum pare_record_flag {
  PARE_SERVE = 1,       // after readiness
  PARE_CREATED = 2,     // FMODE_CREATED
  PARE_UNREADABLE = 4,  // the requested path could not be read
  PARE_SHORT = 8,       // the path was longer than PARE_TEXT_MAX or deeper than PARE_DEPTH_MAX
  PARE_DETACHED = 16,   // the file is on no mounted file system (pipe, memfd, ...)
  PARE_UNCOUNTED = 32,  // the table of counts was full: this record counts for itself
  PARE_SOCKADDR = 128,  // PARE_URING: the request is a struct sockaddr
  PARE_ANSWER = 256,    // a DNS message that was received
  PARE_DEVICE = 512,    // a device node was opened
};

// A record in the ring. After it: `request` bytes as the caller gave them (NUL-terminated where a
// path), then `names`: path components from the file (or from the directory that the request starts
// at) up to the root, each NUL-terminated.
struct pare_record {
  __u64 key;  // of the table of counts
  __u64 args[6];
  __u32 pid;
  __u32 uid;
  __s32 ret;
  __u16 kind;
  __u16 nr;
  __u16 flags;
  __u16 exe;
  __u16 capability;
  __u16 request;  // bytes
  __u16 names;    // bytes
  __u16 pad[3];
};
PARE_WIRE_ASSERT(sizeof(struct pare_record) == 88, "pare_record");

enum pare_outcome {
  PARE_CONNECTED = 0,
  PARE_REFUSED,
  PARE_UNREACHABLE,
  PARE_TIMED_OUT,
  PARE_DENIED,  // EPERM, EACCES
  PARE_SENT,    // a packet that is no connection's left towards it
  PARE_OUTCOMES,
};

// Where traffic went. IPv4 addresses are kept as IPv6 ones, ::ffff:a.b.c.d.
struct pare_flow_key {
  __u8 address[16];
  __u16 port;     // host order
  __u8 protocol;  // IPPROTO_*
  __u8 serve;     // after readiness
  __u8 packet;    // through a packet socket
  __u8 pad[3];
};
PARE_WIRE_ASSERT(sizeof(struct pare_flow_key) == 24, "pare_flow_key");

struct pare_flow {
  __u64 attempts;
  __u64 outcomes[PARE_OUTCOMES];
  __u64 first_ns, last_ns;  // CLOCK_MONOTONIC
};
PARE_WIRE_ASSERT(sizeof(struct pare_flow) == 72, "pare_flow");

struct pare_listener_key {
  __u8 address[16];
  __u16 port;
  __u8 protocol;
  __u8 v6;  // an IPv6 socket, whose :: may mean IPv4 as well
  __u8 pad[4];
};
PARE_WIRE_ASSERT(sizeof(struct pare_listener_key) == 24, "pare_listener_key");

// What was not recorded, by reason.
enum pare_loss {
  PARE_LOSS_RING = 0,  // records that the ring had no room for
  PARE_LOSS_TASK,      // system calls of tasks without state
  PARE_LOSS_SCRATCH,   // facts met while the CPU's buffer was in use
  PARE_LOSS_EXES,      // programs beyond the table
  PARE_LOSS_FOREIGN,
  PARE_LOSS_REFUSALS,
  PARE_LOSS_FLOWS,
  PARE_LOSS_LISTENERS,
  PARE_LOSS_CGROUPS,
  PARE_LOSS_READ,  // kernel or user memory that could not be read
  PARE_LOSSES,
};

#endif
