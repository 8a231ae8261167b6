// Whose doings are evidence: tasks of the container's cgroup that descend from the entry point's
// execve.
#ifndef PARE_RECORD_BPF_SCOPE_H_
#define PARE_RECORD_BPF_SCOPE_H_

#include "record/bpf/record.h"

static __always_inline bool id_in_scope(__u64 id) {
  if (id == scope_id) return true;
  return members && bpf_map_lookup_elem(&member_ids, &id);
}

// For programs that run often: loads that the verifier has checked, which costs it milliseconds a
// program.
// The address alone turns most tasks away; the id tells whether it is still that cgroup's.
static __always_inline bool in_scope(struct task_struct* task) {
  struct cgroup* cgroup = task->cgroups->dfl_cgrp;
  if ((__u64)cgroup != scope_cgroup && !members) return false;
  return id_in_scope(cgroup->kn->id);
}

// For the others: loads that are checked as they happen.
static __always_inline bool in_scope_seldom(struct task_struct* task) {
  return id_in_scope(BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id));
}

static __always_inline bool same(const char* text, const char* literal, int size) {
  for (int i = 0; i < size; i++)
    if (text[i] != literal[i]) return false;
  return true;
}
#define SAME(text, literal) same(text, literal, sizeof(literal) - 1)

// 1: a cgroup directory named `name` is the awaited one: LEAF, or as systemd spells it LEAF.scope
// or PREFIX-LEAF.scope, but not that of Podman's monitor.
__attribute__((noinline)) int leaf_matches(__u64 name) {
  struct scratch* s = scratch_of_cpu();
  if (!s) return 0;
  long n = bpf_probe_read_kernel_str(s->text, PARE_NAME_MAX, (void*)name);
  __u32 length = n > 0 ? n - 1 : 0, start = 0;
  if (length != leaf_length) {
    if (length < leaf_length + 6) return 0;
    start = length - leaf_length - 6;
    if (!SAME(&s->text[(length - 6) & (PARE_NAME_MAX - 1)], ".scope")) return 0;
    if (start && s->text[(start - 1) & (PARE_NAME_MAX - 1)] != '-') return 0;
    if (SAME(s->text, "libpod-conmon-")) return 0;
  }
  bpf_probe_read_kernel_str(s->text, PARE_NAME_MAX, (void*)(name + start));
  s->length = leaf_length;
  s->digest = 0;
  digest();
  return s->digest == leaf_digest;
}

static __always_inline struct task_state* state_of(struct task_struct* task) {
  return bpf_task_storage_get(&tasks, task, 0, 0);
}

static __always_inline struct task_state* make_state(struct task_struct* task,
                                                     struct task_state* from) {
  struct task_state* state =
      bpf_task_storage_get(&tasks, task, from, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!state) lose(PARE_LOSS_TASK);
  return state;
}

static __always_inline bool is_insider(struct task_state* state) {
  return state && state->kind == INSIDER;
}

static __always_inline bool is_engine_init_file(const char* name) {
  return SAME(name, "docker-init\0") || SAME(name, "podman-init\0") || SAME(name, "catatonit\0");
}

// A task of the container that has no state yet: insiders are made with theirs, so it came from
// outside. Where a running container was joined, those that were there before are its own, as far
// as can be known.
static __always_inline struct task_state* meet(struct task_struct* task) {
  struct task_state met = {.kind = OUTSIDER, .filters = task->seccomp.filter_count.counter};
  if (joined_ns && task->start_time < joined_ns) met.kind = INSIDER;
  return make_state(task, &met);
}

static __always_inline __u32 exe_number(struct scratch* s);
static __always_inline __u32 row_of(__u32 exe);

// meet() for the current task, whose program can be named.
__attribute__((noinline)) int meet_current(void) {
  struct task_struct* task = bpf_get_current_task_btf();
  struct task_state* state = meet(task);
  if (!is_insider(state)) return 0;
  struct cgroup* cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);
  // Its address was not known, so it was counted as a further cgroup until now.
  if (BPF_CORE_READ(cgroup, kn, id) == scope_id &&
      __sync_val_compare_and_swap(&scope_cgroup, 0, (__u64)cgroup) == 0)
    __sync_fetch_and_add(&members, -1);
  struct user_namespace* users = BPF_CORE_READ(task, real_cred, user_ns);
  if (BPF_CORE_READ(users, ns.inum) == joined_user_ns) entry_user_ns = (__u64)users;
  struct scratch* s = take_scratch(state, PARE_EXE);
  if (!s) return 0;
  struct file* file = BPF_CORE_READ(task, mm, exe_file);
  add_path(&file->f_path);
  if (is_engine_init_file(s->text)) {
    state->kind = INIT;
  } else {
    state->exe = exe_number(s);
    state->row = row_of(state->exe);
  }
  s->busy = 0;
  return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_cgroup_mkdir, struct cgroup* cgroup, const char* path) {
  if (BPF_CORE_READ(cgroup, root, hierarchy_id) != 0) return 0;  // v1 hierarchies of a hybrid host
  if (!leaf_length && !joined_ns) return 0;
  __u64 id = BPF_CORE_READ(cgroup, kn, id);
  if (scope_id && id_in_scope(BPF_CORE_READ(cgroup, self.parent, cgroup, kn, id))) {
    __u8 one = 1;
    if (bpf_map_update_elem(&member_ids, &id, &one, BPF_ANY))
      lose(PARE_LOSS_CGROUPS);
    else
      __sync_fetch_and_add(&members, 1);
  } else if (leaf_length && leaf_matches((__u64)BPF_CORE_READ(cgroup, kn, name))) {
    // The container, or the container started again, whose first process is an entry point too.
    entry_seen = 0;
    scope_id = id;
    scope_cgroup = (__u64)BPF_CORE_READ(cgroup, self.cgroup);
  } else {
    return 0;
  }
  struct scratch* s = take_scratch(0, PARE_CGROUP);
  if (!s) return 0;
  long n = bpf_probe_read_kernel_str(s->text, PARE_REQUEST_MAX, path);
  s->record.request = s->length = n > 0 ? n : 0;
  send_event(s);
  return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(on_newtask, struct task_struct* task) {
  if (!in_scope_seldom(task)) return 0;
  struct task_struct* parent = bpf_get_current_task_btf();
  if (!in_scope_seldom(parent)) return 0;  // clone3(CLONE_INTO_CGROUP)
  struct task_state* from = state_of(parent);
  if (!from) {
    meet_current();
    from = state_of(parent);
  }
  if (!from) return 0;
  // With the call in progress: the child's first exit is that of the parent's clone.
  struct task_state copy = *from;
  make_state(task, &copy);
  return 0;
}

// The number of the program that the current task runs; the buffer holds its path.
static __always_inline __u32 exe_number(struct scratch* s) {
  static __u32 next = 0;
  s->digest = 0;
  digest();
  __u64 key = s->digest;
  __u32* known = bpf_map_lookup_elem(&exes, &key);
  if (known) return *known;
  __u32 number = __sync_fetch_and_add(&next, 1) + 1;
  if (bpf_map_update_elem(&exes, &key, &number, BPF_NOEXIST)) {
    known = bpf_map_lookup_elem(&exes, &key);
    if (known) return *known;
    lose(PARE_LOSS_EXES);
    return 0;
  }
  s->record.kind = PARE_EXE;
  s->record.exe = number;
  output(s);
  return number;
}

static __always_inline __u32 row_of(__u32 exe) {
  return (exe < PARE_EXES ? exe : PARE_EXES - 1) * PARE_SHARDS;
}

static __always_inline void count_call(struct task_state* state, __u32 nr) {
  __u32 key = (state->row | (bpf_get_smp_processor_id() & (PARE_SHARDS - 1))) &
              (PARE_EXES * PARE_SHARDS - 1);
  struct row* row = bpf_map_lookup_elem(&counts, &key);
  if (row) __sync_fetch_and_add(&row->calls[nr & (PARE_SYSCALLS - 1)], 1);
}

// Docker and Podman put their own init before the entry point (docker run --init).
static __always_inline bool is_engine_init(const char* filename) {
  char name[24] = {};
  bpf_probe_read_kernel_str(name, sizeof(name), filename);
  return SAME(name, "/sbin/docker-init\0") || SAME(name, "/run/podman-init\0") ||
         SAME(name, "/dev/init\0");
}

// A script is executed as well as its interpreter.
static __always_inline void send_script(struct task_state* state, struct linux_binprm* program) {
  struct scratch* s = take_scratch(state, PARE_EXEC);
  if (!s) return;
  struct task_struct* task = bpf_get_current_task_btf();
  long n = bpf_probe_read_kernel_str(s->text, PARE_REQUEST_MAX, program->filename);
  s->record.request = s->length = n > 0 ? n : 0;
  struct fs_struct* fs = BPF_CORE_READ(task, fs);
  add_path(s->text[0] == '/' ? &fs->root : &fs->pwd);
  send_fact(0);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct* task, int old_pid, struct linux_binprm* program) {
  if (!in_scope_seldom(task)) return 0;
  struct task_state* state = state_of(task);
  if (!state) {
    meet_current();
    state = state_of(task);
  }
  if (!state || state->kind == APART) return 0;
  struct scratch* s = take_scratch(state, PARE_EXEC);
  if (!s) return 0;
  struct file* file = BPF_CORE_READ(task, mm, exe_file);
  add_path(&file->f_path);
  if (state->kind != INSIDER) {
    // A runtime's own execve happens in the host's mount namespace, or on a sealed copy of itself.
    if (BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum) == host_mnt_ns ||
        (s->record.flags & PARE_DETACHED)) {
      s->busy = 0;
      return 0;
    }
    if (!entry_seen && is_engine_init(program->filename)) {
      state->kind = INIT;
      s->busy = 0;
      return 0;
    }
    if (__sync_val_compare_and_swap(&entry_seen, 0, 1) != 0) {
      // docker exec, an exec check, a health check; or the engine's init again.
      if (state->kind == OUTSIDER) state->kind = APART;
      s->busy = 0;
      return 0;
    }
    state->kind = INSIDER;
    entry_user_ns = (__u64)BPF_CORE_READ(task, real_cred, user_ns);
  }
  bool entry = !joined_ns && state->exe == 0 && state->row == 0;
  state->exe = exe_number(s);
  state->row = row_of(state->exe);
  if (entry) {
    count_call(state, state->call - 1);  // the entry's own execve began when it was an outsider
    s->record.kind = PARE_ENTRY;
    output(s);
  }
  s->record.kind = PARE_EXEC;
  send_fact(0);
  if (program->interp != program->filename) send_script(state, program);
  return 0;
}

#endif
