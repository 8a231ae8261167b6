// Building a record: the path from a file to its root, the request, the digest, the ring.
#ifndef PARE_RECORD_BPF_RECORD_H_
#define PARE_RECORD_BPF_RECORD_H_

#include "record/bpf/maps.h"

#define AT_FDCWD (-100)
#define EPERM 1
#define EFAULT 14
#define IS_ERR_OR_NULL(p) ((unsigned long)(p)-1 >= (unsigned long)-4096)

static __always_inline struct scratch* scratch_of_cpu(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&scratches, &zero);
}

// The CPU's buffer, with the record's common fields filled; NULL (and counted) when it is in use,
// which a kernel that preempts tracing programs makes possible.
static __always_inline struct scratch* take_scratch(struct task_state* state, __u16 kind) {
  struct scratch* s = scratch_of_cpu();
  if (!s) return 0;
  if (s->busy) {
    lose(PARE_LOSS_SCRATCH);
    return 0;
  }
  s->busy = 1;
  s->length = 0;
  __builtin_memset(&s->record, 0, sizeof(s->record));
  struct task_struct* task = bpf_get_current_task_btf();
  s->record.kind = kind;
  s->record.pid = task->tgid;
  s->record.uid = BPF_CORE_READ(task, real_cred, euid.val);
  s->record.exe = state ? state->exe : 0;
  s->record.flags = serving ? PARE_SERVE : 0;
  return s;
}

// One step from a file to the root of its mount namespace; 0: there.
static __always_inline int step(struct scratch* s) {
  struct dentry* dentry = (void*)s->dentry;
  struct mount* mount = (void*)s->mount;
  if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
    struct mount* parent = BPF_CORE_READ(mount, mnt_parent);
    if (parent == mount) return 0;
    s->dentry = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
    s->mount = (__u64)parent;
    return 1;
  }
  struct dentry* parent = BPF_CORE_READ(dentry, d_parent);
  if (parent == dentry) return 0;
  const unsigned char* name = BPF_CORE_READ(dentry, d_name.name);
  __u64 length = s->length;
  long n = -1;
  if (length < PARE_TEXT_MAX) {
    AT_MOST(length, PARE_TEXT_MAX - 1);
    n = bpf_probe_read_kernel_str(&s->text[length], PARE_NAME_MAX, name);
  }
  if (n <= 0) {
    s->record.flags |= PARE_SHORT;
    return 0;
  }
  s->length += n;
  s->dentry = (__u64)parent;
  return 1;
}

// bpf_loop(), since Linux 5.17, is verified once; the loop that stands in for it before costs the
// verifier its every turn.
#define HAS_LOOP bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop)

static long walk_step(__u32 i, void* context) {
  struct scratch* s = scratch_of_cpu();
  return s ? !step(s) : 1;
}

__attribute__((noinline)) int walk(void) {
  struct scratch* s = scratch_of_cpu();
  if (!s) return 0;
  if (HAS_LOOP) {
    if (bpf_loop(PARE_DEPTH_MAX, walk_step, 0, 0) < PARE_DEPTH_MAX) return 0;
  } else {
    for (int i = 0; i < PARE_DEPTH_MAX; i++)
      if (!step(s)) return 0;
  }
  s->record.flags |= PARE_SHORT;
  return 0;
}

// Appends the names from `dentry` on mount `mnt` (a struct vfsmount) up to the root of its mount
// namespace: going on past the task's root keeps a chroot inside the container apart from the
// container's own root.
__attribute__((noinline)) int add_names(__u64 dentry, __u64 mnt) {
  struct scratch* s = scratch_of_cpu();
  if (!s) return 0;
  __u32 start = s->length;
  s->dentry = dentry;
  s->mount = mnt - bpf_core_field_offset(struct mount, mnt);
  walk();
  struct mount* mount = (void*)s->mount;
  if (IS_ERR_OR_NULL(BPF_CORE_READ(mount, mnt_ns))) {
    s->record.flags |= PARE_DETACHED;
    if (!s->length) {  // a file that is its own root, such as a memfd: its name alone
      long n = bpf_probe_read_kernel_str(s->text, PARE_NAME_MAX,
                                         BPF_CORE_READ((struct dentry*)dentry, d_name.name));
      s->length = n > 0 ? n : 0;
    }
  }
  s->record.names = s->length - start;
  return 0;
}

static __always_inline void add_path(const struct path* path) {
  add_names((__u64)BPF_CORE_READ(path, dentry), (__u64)BPF_CORE_READ(path, mnt));
}

static __always_inline struct file* file_of(struct task_struct* task, int fd) {
  struct fdtable* table = BPF_CORE_READ(task, files, fdt);
  if (fd < 0 || (__u32)fd >= BPF_CORE_READ(table, max_fds)) return 0;
  struct file* file = 0;
  bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(table, fd) + fd);
  return file;
}

// Appends the names of what descriptor `fd` is open on, or of the working directory.
static __always_inline void add_descriptor(struct task_struct* task, int fd) {
  if (fd == AT_FDCWD) {
    struct fs_struct* fs = BPF_CORE_READ(task, fs);
    add_path(&fs->pwd);
    return;
  }
  struct file* file = file_of(task, fd);
  if (file) add_path(&file->f_path);
}

// Appends a path as the caller gave it, then the names of the directory that it starts at.
static __always_inline void add_request(struct scratch* s, int dirfd, __u64 address) {
  struct task_struct* task = bpf_get_current_task_btf();
  long n = bpf_probe_read_user_str(s->text, PARE_REQUEST_MAX, (void*)address);
  if (n <= 0) {
    s->record.flags |= PARE_UNREADABLE;
    n = 0;
  }
  s->record.request = n;
  s->length = n;
  if (n > 0 && s->text[0] == '/') {
    struct fs_struct* fs = BPF_CORE_READ(task, fs);
    add_path(&fs->root);
  } else {
    add_descriptor(task, dirfd);
  }
}

#define DIGEST_TURNS ((PARE_TEXT_MAX + PARE_NAME_MAX) / PARE_DIGEST_STEP)

// 32 bytes of the text; 0: there are no more.
static __always_inline int digest_step(struct scratch* s, __u32 i) {
  if (i >= DIGEST_TURNS || i * PARE_DIGEST_STEP >= s->length) return 0;
  __u64* words = (__u64*)&s->text[i * PARE_DIGEST_STEP];
  s->digest =
      pare_mix(pare_mix(pare_mix(pare_mix(s->digest, words[0]), words[1]), words[2]), words[3]);
  return 1;
}

static long digest_turn(__u32 i, void* context) {
  struct scratch* s = scratch_of_cpu();
  return s ? !digest_step(s, i) : 1;
}

// Goes on with s->digest over the text.
__attribute__((noinline)) int digest(void) {
  struct scratch* s = scratch_of_cpu();
  if (!s) return 0;
  __u64 end = s->length;
  AT_MOST(end, PARE_TEXT_MAX + PARE_NAME_MAX);
  __builtin_memset(&s->text[end], 0, PARE_DIGEST_STEP);
  if (HAS_LOOP) {
    bpf_loop(DIGEST_TURNS, digest_turn, 0, 0);
  } else {
    for (__u32 i = 0; i < DIGEST_TURNS; i++)
      if (!digest_step(s, i)) break;
  }
  return 0;
}

static __always_inline long output(struct scratch* s) {
  __u64 length = s->length;
  AT_MOST(length, PARE_TEXT_MAX + PARE_NAME_MAX);
  long error = bpf_ringbuf_output(&ring, &s->record, sizeof(s->record) + length, 0);
  if (error) lose(PARE_LOSS_RING);
  return error;
}

// The record's path is not the whole one. A path that the kernel itself may not have read (EFAULT;
// a capability refused first) is nothing lost.
static __always_inline bool lacks_path(const struct pare_record* r) {
  if (r->flags & PARE_SHORT) return true;
  if (!(r->flags & PARE_UNREADABLE)) return false;
  return r->kind == PARE_CALL && r->ret != -EFAULT && r->ret != -EPERM;
}

// Gives the record to user space if it is new, and counts it; releases the buffer.
__attribute__((noinline)) int send_fact(__u64 seed) {
  struct scratch* s = scratch_of_cpu();
  if (!s) return 0;
  struct pare_record* r = &s->record;
  s->digest =
      pare_mix(seed, r->kind | (__u64)r->nr << 16 | (__u64)r->flags << 32 | (__u64)r->exe << 48);
  s->digest = pare_mix(s->digest, (__u32)r->ret | (__u64)r->uid << 32);
  s->digest = pare_mix(s->digest, r->capability);
  digest();
  __u64 h = r->key = s->digest;
  __u64 one = 1, *n = bpf_map_lookup_elem(&seen, &h);
  if (!n && bpf_map_update_elem(&seen, &h, &one, BPF_NOEXIST) == 0) {
    if (lacks_path(r)) lose(PARE_LOSS_READ);
    // A fact that did not reach user space is new again when it is next met.
    if (output(s)) bpf_map_delete_elem(&seen, &h);
    s->busy = 0;
    return 0;
  }
  if (!n) n = bpf_map_lookup_elem(&seen, &h);
  if (n) {
    __sync_fetch_and_add(n, 1);
  } else {
    r->flags |= PARE_UNCOUNTED;
    output(s);
  }
  s->busy = 0;
  return 0;
}

static __always_inline void send_event(struct scratch* s) {
  output(s);
  s->busy = 0;
}

#endif
