// The few kernel structures that the recorder reads, by the names of their fields: CO-RE moves the
// offsets to those of the running kernel.
#ifndef PARE_RECORD_BPF_KERNEL_H_
#define PARE_RECORD_BPF_KERNEL_H_

#include <linux/bpf.h>
#include <stdbool.h>

#define CORE __attribute__((preserve_access_index))
#define TS_COMPAT 0x0002            // arch/x86/include/asm/thread_info.h
#define X32_SYSCALL_BIT 0x40000000  // arch/x86/include/uapi/asm/unistd.h
#define FMODE_WRITE 0x2             // include/linux/fs.h
#define FMODE_CREATED 0x100000

typedef unsigned int kuid_val;

struct pt_regs {
  unsigned long di, si, dx, r10, r8, r9, ax, orig_ax;
} CORE;

struct kernfs_node {
  __u64 id;
  const char* name;
} CORE;

struct cgroup;
struct cgroup_subsys_state {
  struct cgroup* cgroup;
  struct cgroup_subsys_state* parent;
} CORE;
struct cgroup_root {
  int hierarchy_id;
} CORE;
struct cgroup {
  struct cgroup_subsys_state self;
  struct kernfs_node* kn;
  struct cgroup_root* root;
} CORE;
struct css_set {
  struct cgroup* dfl_cgrp;
} CORE;

struct qstr {
  const unsigned char* name;
} CORE;
struct super_block {
  unsigned long s_magic;
} CORE;
struct inode {
  unsigned short i_mode;
  unsigned int i_rdev;
} CORE;
struct dentry {
  struct dentry* d_parent;
  struct qstr d_name;
  struct inode* d_inode;
} CORE;
struct vfsmount {
  struct dentry* mnt_root;
} CORE;
struct mnt_namespace;
struct mount {
  struct mount* mnt_parent;
  struct dentry* mnt_mountpoint;
  struct vfsmount mnt;
  struct mnt_namespace* mnt_ns;
} CORE;
struct path {
  struct vfsmount* mnt;
  struct dentry* dentry;
} CORE;
struct file {
  unsigned int f_mode;
  unsigned int f_flags;
  struct path f_path;
  struct inode* f_inode;
  void* private_data;
} CORE;
struct fdtable {
  unsigned int max_fds;
  struct file** fd;
} CORE;
struct files_struct {
  struct fdtable* fdt;
} CORE;
struct fs_struct {
  struct path root, pwd;
} CORE;

struct ns_common {
  unsigned int inum;
} CORE;
struct mnt_namespace {
  struct ns_common ns;
} CORE;
struct nsproxy {
  struct mnt_namespace* mnt_ns;
} CORE;

typedef struct {
  kuid_val val;
} kuid_t;
struct user_namespace {
  struct ns_common ns;
} CORE;
struct cred {
  kuid_t euid;
  kuid_t fsuid;
  struct user_namespace* user_ns;
} CORE;
typedef struct {
  int counter;
} atomic_t;
struct seccomp {
  atomic_t filter_count;
} CORE;
struct thread_info {
  __u32 status;
} CORE;
struct mm_struct {
  struct file* exe_file;
} CORE;
struct task_struct {
  struct thread_info thread_info;
  int pid;
  int tgid;
  struct task_struct* group_leader;
  const struct cred* real_cred;
  const struct cred* cred;
  struct css_set* cgroups;
  struct fs_struct* fs;
  struct files_struct* files;
  struct nsproxy* nsproxy;
  struct mm_struct* mm;
  __u64 start_time;  // CLOCK_MONOTONIC
  struct seccomp seccomp;
} CORE;

struct in6_addr_bytes {
  __u8 bytes[16];
};
struct in6_addr;
struct sock_common {
  __be32 skc_daddr;
  __be32 skc_rcv_saddr;
  __be16 skc_dport;
  __u16 skc_num;
  unsigned short skc_family;
  struct in6_addr_bytes skc_v6_daddr;
  struct in6_addr_bytes skc_v6_rcv_saddr;
} CORE;
struct sock_cgroup_data {
  struct cgroup* cgroup;  // since Linux 5.15 (8520e224f547)
} CORE;
struct sock {
  struct sock_common __sk_common;
  int sk_err;
  __u16 sk_type;
  __u16 sk_protocol;
  struct sock_cgroup_data sk_cgrp_data;
} CORE;
struct socket {
  struct sock* sk;
} CORE;
struct sk_buff {
  struct sock* sk;
  unsigned char* head;
  __u16 network_header;
  __be16 protocol;
} CORE;

// io_uring: a request begins with its operation's own structure (io_uring/*.c).
struct filename {
  const char* name;
} CORE;
struct io_kiocb {
  __u8 opcode;
} CORE;
struct io_open {
  int dfd;
  struct filename* filename;
  struct {
    __u64 flags;
  } how;
} CORE;
struct io_unlink {
  int dfd;
  struct filename* filename;
} CORE;
struct io_mkdir {
  int dfd;
  struct filename* filename;
} CORE;
struct io_statx {
  int dfd;
  struct filename* filename;
} CORE;
struct io_rename {
  int new_dfd;
  struct filename* newpath;
} CORE;
struct io_link {
  int new_dfd;
  struct filename* newpath;
} CORE;
struct io_connect {
  void* addr;
  int addr_len;
} CORE;
struct io_socket {
  int domain, type, protocol;
} CORE;

struct linux_binprm {
  const char* filename;
  const char* interp;
} CORE;

#endif
