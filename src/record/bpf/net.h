// Where the workload sends to, what it listens on, and the DNS messages that name the addresses.
#ifndef PARE_RECORD_BPF_NET_H_
#define PARE_RECORD_BPF_NET_H_

#include <bpf/bpf_endian.h>

#include "record/bpf/scope.h"

#define EACCES 13
#define EHOSTUNREACH 113
#define ENETUNREACH 101
#define ECONNREFUSED 111
#define ETIMEDOUT 110
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_PACKET 17
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_LISTEN 10
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define PORT_DNS 53
#define DOCKER_RESOLVER bpf_htonl(0x7f00000b)  // 127.0.0.11: its port is rewritten on the way

static __always_inline void set_v4(__u8 address[16], __be32 v4) {
  __builtin_memset(address, 0, 10);
  address[10] = address[11] = 0xff;
  __builtin_memcpy(&address[12], &v4, 4);
}

static __always_inline struct task_state* current_insider(void) {
  struct task_struct* task = bpf_get_current_task_btf();
  if (!in_scope_seldom(task)) return 0;
  struct task_state* state = state_of(task);
  return is_insider(state) ? state : 0;
}

static __always_inline void add_outcome(struct pare_flow_key* key, int outcome, bool attempt) {
  struct pare_flow* flow = bpf_map_lookup_elem(&flows, key);
  if (!flow) {
    struct pare_flow fresh = {};
    fresh.first_ns = bpf_ktime_get_ns();
    bpf_map_update_elem(&flows, key, &fresh, BPF_NOEXIST);
    flow = bpf_map_lookup_elem(&flows, key);
  }
  if (!flow) {
    lose(PARE_LOSS_FLOWS);
    return;
  }
  if (attempt) {
    __sync_fetch_and_add(&flow->attempts, 1);
    flow->last_ns = bpf_ktime_get_ns();
  }
  if (outcome >= 0 && outcome < PARE_OUTCOMES) __sync_fetch_and_add(&flow->outcomes[outcome], 1);
}

static __always_inline int outcome_of(int error) {
  if (error == ECONNREFUSED) return PARE_REFUSED;
  if (error == EPERM || error == EACCES) return PARE_DENIED;
  if (error == ENETUNREACH || error == EHOSTUNREACH) return PARE_UNREACHABLE;
  return PARE_TIMED_OUT;
}

// The remote end of a socket; false when it is no IP socket.
static __always_inline bool remote_of(const struct sock* sk, struct pare_flow_key* key) {
  __u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
  if (family == AF_INET)
    set_v4(key->address, BPF_CORE_READ(sk, __sk_common.skc_daddr));
  else if (family == AF_INET6)
    BPF_CORE_READ_INTO(&key->address, sk, __sk_common.skc_v6_daddr);
  else
    return false;
  key->port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
  key->protocol = BPF_CORE_READ(sk, sk_protocol);
  key->serve = serving;
  return true;
}

static __always_inline void add_listener(const struct sock* sk) {
  struct pare_listener_key key = {};
  key.port = BPF_CORE_READ(sk, __sk_common.skc_num);
  key.protocol = BPF_CORE_READ(sk, sk_protocol);
  key.v6 = BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6;
  if (key.v6)
    BPF_CORE_READ_INTO(&key.address, sk, __sk_common.skc_v6_rcv_saddr);
  else
    set_v4(key.address, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
  // listen(2) without bind(2) enters the state before it has a port; its exit knows the port.
  if (!key.port) return;
  __u64 one = 1;
  if (bpf_map_update_elem(&listeners, &key, &one, BPF_ANY)) lose(PARE_LOSS_LISTENERS);
}

static __always_inline struct sock* sock_of(int fd) {
  struct file* file = file_of(bpf_get_current_task_btf(), fd);
  if (!file) return 0;
  struct socket* socket = BPF_CORE_READ(file, private_data);
  return BPF_CORE_READ(socket, sk);
}

// A TCP connection begins in the caller's context and ends in any.
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_set_state, const struct sock* sk, int old, int new) {
  __u64 id = (__u64)sk;
  if (old == TCP_SYN_SENT) {
    struct pare_flow_key* known = bpf_map_lookup_elem(&connecting, &id);
    if (!known) return 0;
    struct pare_flow_key key = *known;
    bpf_map_delete_elem(&connecting, &id);
    add_outcome(&key, new == TCP_ESTABLISHED ? PARE_CONNECTED : outcome_of(sk->sk_err), false);
    return 0;
  }
  if (new != TCP_SYN_SENT&& new != TCP_LISTEN) return 0;
  struct task_state* state = current_insider();
  if (!state) return 0;
  if (new == TCP_LISTEN) {
    add_listener(sk);
    return 0;
  }
  struct pare_flow_key key = {};
  if (!remote_of(sk, &key)) return 0;
  state->began = 1;
  add_outcome(&key, -1, true);
  if (bpf_map_update_elem(&connecting, &id, &key, BPF_ANY)) lose(PARE_LOSS_FLOWS);
  return 0;
}

// A failed connect, sendto, sendmsg or sendmmsg: an attempt that no packet shows.
static __always_inline void failed_attempt(int fd, __u64 address, long ret, bool connects) {
  if (ret != -ENETUNREACH && ret != -EHOSTUNREACH && ret != -EPERM && ret != -EACCES) return;
  struct sock* sk = sock_of(fd);
  struct pare_flow_key key = {};
  if (!sk || !remote_of(sk, &key)) return;
  // A connect of anything but TCP sends nothing.
  if (connects && key.protocol == IPPROTO_UDP) return;
  struct {
    __u16 family;
    __be16 port;
    __be32 v4;
    __u8 v6[16];
  } to = {};
  if (address && bpf_probe_read_user(&to, sizeof(to), (void*)address) != 0)
    bpf_probe_read_user(&to, 16, (void*)address);  // struct sockaddr_in at the end of a page
  if (to.family == AF_INET)
    set_v4(key.address, to.v4);
  else if (to.family == AF_INET6)
    __builtin_memcpy(key.address, to.v6, 16);
  if (to.family) key.port = bpf_ntohs(to.port);
  add_outcome(&key, outcome_of(-ret), true);
}

// Copies a DNS message to the ring. At most PARE_PACKET_MAX bytes.
static __always_inline struct pare_record* dns_record(__u16 flags, __u32 length) {
  struct pare_record* r = bpf_ringbuf_reserve(&ring, sizeof(*r) + PARE_PACKET_MAX, 0);
  if (!r) {
    lose(PARE_LOSS_RING);
    return 0;
  }
  __builtin_memset(r, 0, sizeof(*r));
  r->kind = PARE_DNS;
  r->flags = flags | (serving ? PARE_SERVE : 0);
  r->request = length;
  return r;
}

struct udp_header {
  __be16 source, destination, length, checksum;
};

static __always_inline void send_question(const unsigned char* udp, struct udp_header* header) {
  __u32 length = bpf_ntohs(header->length) - sizeof(*header);
  if (length < 12 || length > 0xffff) return;
  if (length > PARE_PACKET_MAX) length = PARE_PACKET_MAX;
  struct pare_record* r = dns_record(0, length);
  if (!r) return;
  char* text = (char*)(r + 1);
  bpf_probe_read_kernel(text, length, udp + sizeof(*header));
  __u32 question = (__u32)bpf_ntohs(header->source) << 16 | (__u8)text[0] << 8 | (__u8)text[1];
  __u8 one = 1;
  bpf_map_update_elem(&questions, &question, &one, BPF_ANY);
  bpf_ringbuf_submit(r, 0);
}

// Every packet that leaves for a device (lo included), in the context of its sender. TCP's are
// known by their sockets' states.
SEC("tp_btf/net_dev_queue")
int BPF_PROG(on_net_dev_queue, struct sk_buff* skb) {
  struct task_struct* task = bpf_get_current_task_btf();
  if (!in_scope(task) || !is_insider(state_of(task))) return 0;
  // Forwarded in a soft interrupt on top of an insider, or somebody else's socket.
  struct sock* sk = BPF_CORE_READ(skb, sk);
  if (!sk) return 0;
  struct pare_flow_key key = {};
  key.protocol = BPF_CORE_READ(sk, sk_protocol);
  key.packet = BPF_CORE_READ(sk, __sk_common.skc_family) == AF_PACKET;
  if (key.protocol == IPPROTO_TCP && !key.packet) return 0;
  if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup) &&
      !id_in_scope(BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id)))
    return 0;
  const unsigned char* ip = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
  __u8 header[40];
  const unsigned char* next;
  __be16 protocol = BPF_CORE_READ(skb, protocol);
  if (bpf_probe_read_kernel(header, sizeof(header), ip)) return 0;
  if (protocol == bpf_htons(ETH_P_IP)) {
    __be32 v4;
    __builtin_memcpy(&v4, &header[16], 4);
    set_v4(key.address, v4);
    key.protocol = header[9];
    next = ip + (header[0] & 15) * 4;
  } else if (protocol == bpf_htons(ETH_P_IPV6)) {
    __builtin_memcpy(key.address, &header[24], 16);
    key.protocol = header[6];
    next = ip + 40;
  } else {
    key.protocol = 0;
  }
  key.serve = serving;
  if (key.protocol == IPPROTO_UDP) {
    struct udp_header udp = {};
    bpf_probe_read_kernel(&udp, sizeof(udp), next);
    key.port = bpf_ntohs(udp.destination);
    __be32 last;
    __builtin_memcpy(&last, &key.address[12], 4);
    if (key.port == PORT_DNS || last == DOCKER_RESOLVER ||
        BPF_CORE_READ(sk, __sk_common.skc_dport) == bpf_htons(PORT_DNS))
      send_question(next, &udp);
  }
  add_outcome(&key, PARE_SENT, true);
  return 0;
}

// Attached to the container's cgroup: answers to questions that insiders asked.
SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff* skb) {
  __u8 start[20];
  __u32 offset;
  if (bpf_skb_load_bytes(skb, 0, start, sizeof(start))) return 1;
  if (start[0] >> 4 == 4 && start[9] == IPPROTO_UDP)
    offset = (start[0] & 15) * 4;
  else if (start[0] >> 4 == 6 && start[6] == IPPROTO_UDP)
    offset = 40;
  else
    return 1;
  struct {
    struct udp_header udp;
    __u8 id[2];
  } head;
  if (bpf_skb_load_bytes(skb, offset, &head, 10)) return 1;
  __u32 question = (__u32)bpf_ntohs(head.udp.destination) << 16 | head.id[0] << 8 | head.id[1];
  if (!bpf_map_lookup_elem(&questions, &question)) return 1;
  bpf_map_delete_elem(&questions, &question);
  __u32 length = bpf_ntohs(head.udp.length) - sizeof(head.udp);
  if (length < 12 || length > 0xffff) return 1;
  if (length > PARE_PACKET_MAX) length = PARE_PACKET_MAX;
  struct pare_record* r = dns_record(PARE_ANSWER, length);
  if (!r) return 1;
  if (bpf_skb_load_bytes(skb, offset + sizeof(head.udp), r + 1, length))
    bpf_ringbuf_discard(r, 0);
  else
    bpf_ringbuf_submit(r, 0);
  return 1;
}

#endif
