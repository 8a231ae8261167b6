// io_uring: what is done without system calls, as it is submitted (its result is not known then).
#ifndef PARE_RECORD_BPF_URING_H_
#define PARE_RECORD_BPF_URING_H_

#include "record/bpf/calls.h"

// include/uapi/linux/io_uring.h
enum {
  OP_CONNECT = 16,
  OP_OPENAT = 18,
  OP_STATX = 21,
  OP_OPENAT2 = 28,
  OP_RENAMEAT = 35,
  OP_UNLINKAT = 36,
  OP_MKDIRAT = 37,
  OP_SYMLINKAT = 38,
  OP_LINKAT = 39,
  OP_SOCKET = 45,
};

static __always_inline void add_kernel_path(struct scratch* s, int dfd, struct filename* name) {
  struct task_struct* task = bpf_get_current_task_btf();
  long n = bpf_probe_read_kernel_str(s->text, PARE_REQUEST_MAX, BPF_CORE_READ(name, name));
  if (n <= 0) {  // the kernel's own copy
    lose(PARE_LOSS_READ);
    n = 0;
  }
  s->record.request = s->length = n;
  struct fs_struct* fs = BPF_CORE_READ(task, fs);
  if (s->text[0] == '/')
    add_path(&fs->root);
  else
    add_descriptor(task, dfd);
}

#define ADD_PATH(type, dfd, name)                                        \
  do {                                                                   \
    struct type* r = (void*)request;                                     \
    if (bpf_core_type_exists(struct type))                               \
      add_kernel_path(s, BPF_CORE_READ(r, dfd), BPF_CORE_READ(r, name)); \
  } while (0)

static __always_inline void add_operation(struct scratch* s, __u64 request, __u8 opcode) {
  switch (opcode) {
    case OP_OPENAT:
    case OP_OPENAT2: {
      struct io_open* open = (void*)request;
      s->record.args[5] = BPF_CORE_READ(open, how.flags);
      ADD_PATH(io_open, dfd, filename);
      break;
    }
    case OP_STATX:
      ADD_PATH(io_statx, dfd, filename);
      break;
    case OP_RENAMEAT:
      ADD_PATH(io_rename, new_dfd, newpath);
      break;
    case OP_UNLINKAT:
      ADD_PATH(io_unlink, dfd, filename);
      break;
    case OP_MKDIRAT:
      ADD_PATH(io_mkdir, dfd, filename);
      break;
    case OP_SYMLINKAT:
    case OP_LINKAT:
      ADD_PATH(io_link, new_dfd, newpath);
      break;
    case OP_CONNECT: {
      struct io_connect* connect = (void*)request;
      void* address = BPF_CORE_READ(connect, addr);
      __u64 length = BPF_CORE_READ(connect, addr_len);
      s->record.flags |= PARE_SOCKADDR;
      AT_MOST(length, PARE_ADDRESS_MAX);
      if (bpf_probe_read_user(s->text, length, address) == 0)
        s->record.request = s->length = length;
      break;
    }
    case OP_SOCKET: {
      struct io_socket* socket = (void*)request;
      if (!bpf_core_type_exists(struct io_socket)) break;
      s->record.args[0] = BPF_CORE_READ(socket, domain);
      s->record.args[1] = BPF_CORE_READ(socket, type);
      s->record.args[2] = BPF_CORE_READ(socket, protocol);
      break;
    }
  }
}

__attribute__((noinline)) int on_submit(__u64 request) {
  struct task_state* state = current_insider();
  if (!state) return 0;
  struct scratch* s = take_scratch(state, PARE_URING);
  if (!s) return 0;
  struct io_kiocb* req = (void*)request;
  __u8 opcode = BPF_CORE_READ(req, opcode);
  s->record.nr = opcode;
  add_operation(s, request, opcode);
  send_fact(digest_values(s, 0b100111));
  return 0;
}

// Linux 6.3 and later.
SEC("tp_btf/io_uring_submit_req")
int uring_submit_req(__u64* context) {
  __u64 request = 0;
  bpf_probe_read_kernel(&request, sizeof(request), &context[0]);
  on_submit(request);
  return 0;
}

// Before: (request, bool) since Linux 6.0, (ring, request, ...) until then.
SEC("tp_btf/io_uring_submit_sqe")
int uring_submit_sqe(__u64* context) {
  __u64 arguments[2] = {};
  bpf_probe_read_kernel(arguments, sizeof(arguments), context);
  on_submit(arguments[1] > 1 ? arguments[1] : arguments[0]);
  return 0;
}

#endif
