// System calls: counts at entry; results and objects at exit.
#ifndef PARE_RECORD_BPF_CALLS_H_
#define PARE_RECORD_BPF_CALLS_H_

#include "record/bpf/net.h"

#define ENOENT 2
#define ENOSPC 28
#define EROFS 30
#define EDQUOT 122
#define O_ACCMODE 3
#define O_CREAT 0100
#define O_TRUNC 01000
#define O_PATH 010000000
#define S_IFMT 0170000
#define S_IFCHR 0020000
#define S_IFBLK 0060000
#define NR_CHROOT 161
#define NR_PIVOT_ROOT 155
#define NR_MOUNT 165

static __always_inline bool is_refusal(long ret) {
  return ret == -EACCES || ret == -EPERM || ret == -EROFS;
}

// No shape looks at a sixth argument.
static __always_inline void copy_args(__u64 args[6], struct pt_regs* regs) {
  args[0] = regs->di;
  args[1] = regs->si;
  args[2] = regs->dx;
  args[3] = regs->r10;
  args[4] = regs->r8;
}

static __always_inline __u64 arg(struct scratch* s, __s8 index) {
  return s->record.args[index & 7];
}

static __always_inline __u64 digest_values(struct scratch* s, __u8 values) {
  __u64 h = values;
#pragma unroll
  for (int i = 0; i < 6; i++)
    if (values & 1 << i) h = pare_mix(h, s->record.args[i]);
  return h;
}

// The object of a call that a shape describes: its path, address or descriptor.
static __always_inline void add_object(struct scratch* s, const volatile struct pare_shape* shape,
                                       bool second) {
  struct task_struct* task = bpf_get_current_task_btf();
  __s8 path = second ? shape->path2 : shape->path;
  __s8 dirfd = second ? shape->dirfd2 : shape->dirfd;
  if (shape->kind == PARE_SHAPE_ADDRESS) {
    void* address = (void*)arg(s, path);
    __u64 length = arg(s, path + 1);
    AT_MOST(length, PARE_ADDRESS_MAX);
    if (bpf_probe_read_user(s->text, length, address) == 0)
      s->record.request = s->length = length;
    else
      s->record.flags |= PARE_UNREADABLE;
    // A relative path of a unix socket starts at the working directory.
    add_descriptor(task, AT_FDCWD);
    return;
  }
  if (path < 0 || (dirfd >= 0 && arg(s, path) == 0))  // utimensat(fd, NULL, ...)
    add_descriptor(task, (int)arg(s, path < 0 ? shape->fd : dirfd));
  else
    add_request(s, dirfd < 0 ? AT_FDCWD : (int)arg(s, dirfd), arg(s, path));
}

static __always_inline void exit_change(struct task_state* state, struct pt_regs* regs, __u32 nr,
                                        long ret, const volatile struct pare_shape* shape) {
  bool second = shape->path2 >= 0;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    if (i == 1 && !second) return;
    struct scratch* s = take_scratch(state, PARE_CALL);
    if (!s) return;
    copy_args(s->record.args, regs);
    s->record.nr = nr;
    s->record.ret = ret < 0 ? ret : 0;
    add_object(s, shape, i == 1);
    send_fact(shape->flags >= 0 ? arg(s, shape->flags) : 0);
  }
}

static __always_inline bool is_device(struct file* file) {
  __u16 kind = BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT;
  return kind == S_IFCHR || kind == S_IFBLK;
}

static __always_inline void exit_open(struct task_state* state, struct pt_regs* regs, __u32 nr,
                                      long ret, const volatile struct pare_shape* shape) {
  struct scratch* s = take_scratch(state, PARE_CALL);
  if (!s) return;
  copy_args(s->record.args, regs);
  s->record.nr = nr;
  __u64 flags = 0;
  if (shape->how & PARE_OPEN_MAKES)
    flags = O_CREAT | O_TRUNC | 1;
  else if (shape->how & PARE_OPEN_HOW)
    bpf_probe_read_user(&flags, sizeof(flags), (void*)arg(s, shape->flags));
  else
    flags = arg(s, shape->flags);
  s->record.args[5] = flags;  // no opening call has a sixth argument
  bool changes = ((flags & O_ACCMODE) || (flags & (O_CREAT | O_TRUNC))) && !(flags & O_PATH);
  if (ret >= 0) {
    struct file* file = flags & O_PATH ? 0 : file_of(bpf_get_current_task_btf(), ret);
    __u32 mode = file ? BPF_CORE_READ(file, f_mode) : 0;
    if (file && is_device(file)) s->record.flags |= PARE_DEVICE;
    bool truncates = (flags & O_TRUNC) && !(flags & O_PATH);  // O_RDONLY | O_TRUNC as well
    if (!(mode & (FMODE_WRITE | FMODE_CREATED)) && !truncates && !(s->record.flags & PARE_DEVICE)) {
      s->busy = 0;
      return;
    }
    if (mode & FMODE_CREATED) s->record.flags |= PARE_CREATED;
    add_path(&file->f_path);
  } else {
    bool wanted =
        is_refusal(ret) || (changes && (ret == -ENOSPC || ret == -EDQUOT || ret == -ENOENT));
    if (!wanted) {
      s->busy = 0;
      return;
    }
    s->record.ret = ret;
    add_object(s, shape, false);
  }
  // Only what tells one fact from another stays: descriptors and addresses do not.
  send_fact(flags & (O_ACCMODE | O_CREAT | O_TRUNC));
}

#define PROT_EXEC 4
#define CSIGNAL 0xff
#define SOCK_TYPE_MASK 0xf
#define NR_IOCTL 16
#define NR_SOCKET 41
#define NR_SOCKETPAIR 53
#define NR_CLONE 56
#define NR_CLONE3 435

// Leaves of the arguments what tells one use of the call from another.
static __always_inline void tell_apart(struct scratch* s, __u32 nr,
                                       const volatile struct pare_shape* shape) {
  __u64* args = s->record.args;
  // struct clone_args begins with the flags.
  if (nr == NR_CLONE3) bpf_probe_read_user(&args[0], sizeof(args[0]), (void*)args[0]);
  if (nr == NR_CLONE) args[0] &= ~CSIGNAL;
  if (nr == NR_SOCKET || nr == NR_SOCKETPAIR) args[1] &= SOCK_TYPE_MASK;
#pragma unroll
  for (int i = 0; i < 6; i++)
    if (!(shape->how & PARE_WIDE)) args[i] = (__u32)args[i];
}

static __always_inline void exit_argued(struct task_state* state, struct pt_regs* regs, __u32 nr,
                                        long ret, const volatile struct pare_shape* shape) {
  if (!(shape->how & PARE_ARGUED)) return;
  if ((shape->how & PARE_IF_EXEC) && !(regs->dx & PROT_EXEC)) return;
  if (shape->how & PARE_FORKS && ret == 0) return;  // the child returns as well
  struct scratch* s = take_scratch(state, PARE_ARGUMENTS);
  if (!s) return;
  int fd = regs->di;
  copy_args(s->record.args, regs);
  tell_apart(s, nr, shape);
  s->record.nr = nr;
  s->record.ret = is_refusal(ret) ? ret : 0;
  if (nr == NR_IOCTL) {
    struct file* file = file_of(bpf_get_current_task_btf(), fd);
    if (file && is_device(file)) add_path(&file->f_path);
  }
  send_fact(digest_values(s, shape->values));
}

// IP sockets. True: the address is a unix socket's, and its path may be a fact.
static __always_inline bool exit_network(struct task_state* state, struct pt_regs* regs, __u8 kind,
                                         const volatile struct pare_shape* shape, long ret) {
  int fd = regs->di;
  __u64 address = regs->si;
  if (kind == PARE_SHAPE_LISTEN) {
    struct sock* sk = ret == 0 ? sock_of(fd) : 0;
    if (sk && BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX) add_listener(sk);
    return false;
  }
  if (kind == PARE_SHAPE_SEND) {
    if (ret >= 0) return false;
    if (shape->how & PARE_TO)
      address = regs->r8;
    else if (bpf_probe_read_user(&address, sizeof(address), (void*)address))  // msg_name
      return false;
    failed_attempt(fd, address, ret, false);
    return false;
  }
  struct {
    __u16 family;
    __be16 port;
  } to = {};
  bpf_probe_read_user(&to, sizeof(to), (void*)address);
  if (to.family == AF_UNIX) return true;
  if (shape->how & PARE_LISTENS) {
    // A datagram socket receives as soon as it has a port that it asked for.
    struct sock* sk = ret == 0 && to.port ? sock_of(fd) : 0;
    if (sk && BPF_CORE_READ(sk, sk_protocol) == IPPROTO_UDP) add_listener(sk);
    return false;
  }
  if (ret < 0 && !state->began) failed_attempt(fd, address, ret, true);
  state->began = 0;
  return false;
}

__attribute__((noinline)) int on_exit_of(__u64 number, __s64 ret) {
  struct task_struct* task = bpf_get_current_task_btf();
  struct task_state* state = state_of(task);
  __u32 nr = number & (PARE_SYSCALLS - 1);
  const volatile struct pare_shape* shape = &shapes[nr];
  struct pt_regs* regs = (struct pt_regs*)bpf_task_pt_regs(task);
  if (!is_insider(state)) return 0;
  __u8 kind = shape->kind;
  if (kind == PARE_SHAPE_VALUES) {
    exit_argued(state, regs, nr, ret, shape);
    return 0;
  }
  if (kind == PARE_SHAPE_OPEN) {
    exit_open(state, regs, nr, ret, shape);
    return 0;
  }
  if (kind >= PARE_SHAPE_ADDRESS && !exit_network(state, regs, kind, shape, ret)) return 0;
  bool wanted = is_refusal(ret);
  if (kind == PARE_SHAPE_CHANGE)
    wanted |= ret >= 0 || ret == -ENOSPC || ret == -EDQUOT ||
              (ret == -ENOENT && (shape->how & PARE_MAKES));
  else if (kind == PARE_SHAPE_EXEC)
    wanted = ret < 0;
  else if (kind == PARE_SHAPE_ADDRESS)
    wanted |= (shape->how & PARE_LISTENS) && ret <= 0;
  if (wanted) exit_change(state, regs, nr, ret, shape);
  return 0;
}

// The runtime is in the container's mount namespace by now. Its first mount comes early enough for
// user space to get hold of the namespace before a short-lived entry point has ended.
static __always_inline bool prepares_root(struct task_state* state, __u32 nr) {
  if (nr == NR_MOUNT) return state->mounts++ == 0;
  return nr == NR_PIVOT_ROOT || nr == NR_CHROOT;
}

// A task in scope that is no insider, or a call that has no row.
__attribute__((noinline)) int enter_slowly(__u64 number) {
  struct task_struct* task = bpf_get_current_task_btf();
  struct task_state* state = state_of(task);
  if (!state) {
    meet_current();
    state = state_of(task);
  }
  if (!state) return 0;
  __u32 nr = number;
  bool i386 = task->thread_info.status & TS_COMPAT;
  if (state->kind == OUTSIDER) {
    if (!i386 && nr < PARE_SYSCALLS && task->seccomp.filter_count.counter > state->filters)
      runtime_calls[nr & (PARE_SYSCALLS - 1)] = 1;
    if (!entry_seen && prepares_root(state, nr)) {
      struct scratch* s = take_scratch(state, PARE_SETUP);
      if (s) send_event(s);
    }
  }
  state->call = nr + 1;
  if (state->kind != INSIDER) return 0;
  if (!i386 && nr < PARE_SYSCALLS)
    count_call(state, nr);  // the first call of a task that was there before
  else
    count(&foreign, (__u64)(i386 ? 32 : 64) << 32 | nr, PARE_LOSS_FOREIGN);
  return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs* regs, long number) {
  struct task_struct* task = bpf_get_current_task_btf();
  if (!in_scope(task)) return 0;
  struct task_state* state = state_of(task);
  if (!is_insider(state) || (__u64)number >= PARE_SYSCALLS ||
      (task->thread_info.status & TS_COMPAT)) {
    enter_slowly(number);
    return 0;
  }
  state->call = number + 1;
  count_call(state, number);
  return 0;
}

// A call that seccomp refused has an exit and no entry.
static __always_inline bool was_refused(struct task_struct* task, __u64 number, long ret) {
  struct task_state* state = state_of(task);
  if (!is_insider(state)) return false;
  bool entered = state->call != 0;
  state->call = 0;
  if (!entered && (__s64)number >= 0)
    count(&refusals,
          (number & 0xffffffff) | (__u64)(__u32)-ret << 32 |
              (task->thread_info.status & TS_COMPAT ? PARE_I386 : 0),
          PARE_LOSS_REFUSALS);
  return !entered;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs* regs, long ret) {
  __u64 number = regs->orig_ax;
  // Most calls end here, in scope or not.
  bool looked_at = number < PARE_SYSCALLS && exits[number];
  if (!looked_at && !see_refusals) return 0;
  struct task_struct* task = bpf_get_current_task_btf();
  if (!in_scope(task)) return 0;
  if (see_refusals && was_refused(task, number, ret)) return 0;
  if (!looked_at || (task->thread_info.status & TS_COMPAT)) return 0;
  on_exit_of(number, ret);
  return 0;
}

#endif
