// The egress window's kernel side. It is attached to a container's cgroup, or to the cgroup above
// it and then holds for the one container in scope.
#include "confine/bpf/egress_dns.h"

#define PASS 1
#define DENY 0         // EPERM to who sends
#define DENY_SILENT 2  // NET_XMIT_DROP: who sends hears nothing (include/linux/bpf-cgroup.h)
#define NAMELESS 80    // bytes of a TCP packet too short to say a server's name

static __always_inline bool current_in_scope(void) {
  return !scope_level || (scope_id && bpf_get_current_ancestor_cgroup_id(scope_level) == scope_id);
}

static __always_inline bool packet_in_scope(struct __sk_buff* skb) {
  return !scope_level || (scope_id && bpf_skb_ancestor_cgroup_id(skb, scope_level) == scope_id);
}

static __always_inline struct socket_state* state_of(struct bpf_sock* sk, bool create) {
  return bpf_sk_storage_get(&sockets, sk, 0, create ? BPF_SK_STORAGE_GET_F_CREATE : 0);
}

// How connect and sendmsg fail.
static __always_inline int refuse(void) {
  if (refusal == PARE_EGRESS_SILENT) return PASS;  // the packets are dropped
  bpf_set_retval(refusal == PARE_EGRESS_REFUSED ? -ECONNREFUSED : -ENETUNREACH);
  return DENY;
}

static __always_inline int drop(void) {
  __sync_fetch_and_add(&dropped_packets, 1);
  return refusal == PARE_EGRESS_SILENT ? DENY_SILENT : DENY;
}

static __always_inline void aim(struct socket_state* state, const struct wanted* w, __u8 role) {
  __builtin_memcpy(state->address, w->address, 16);
  state->port = w->port;
  state->rule = w->rule;
  state->serial = w->serial;
  state->role = role;
  state->peeked = 0;
}

static __always_inline bool is_peer(const __u8 address[16], __u16 port, __u16 local) {
  struct peer peer = {.port = port, .local = local};
  __builtin_memcpy(peer.address, address, 16);
  __u64* when = bpf_map_lookup_elem(&peers, &peer);
  return when && bpf_ktime_get_ns() - *when < 180 * SECOND;
}

// connect(2), and sendmsg(2) of a datagram socket that is not connected.
static __always_inline int decide(struct bpf_sock_addr* ctx, struct wanted* w, bool connects) {
  if (!current_in_scope() || !ctx->sk) return PASS;
  struct socket_state* state = state_of(ctx->sk, true);
  if (!state) {
    lose(PARE_EGRESS_LOSS_SOCKETS);
    return refuse();
  }
  w->port = bpf_ntohs(ctx->user_port);
  w->protocol = ctx->protocol;
  set_process(state);
  w->exe = state->exe;
  bool stream = ctx->type == SOCK_STREAM;
  // What a datagram carries is known where it leaves; a question has a name.
  if (w->protocol == IPPROTO_UDP &&
      (w->port == PORT_DNS || bpf_map_lookup_elem(&resolvers, w->address)))
    return PASS;
  if (is_own(w->address)) return PASS;
  if (!stream && is_peer(w->address, w->port, ctx->sk->src_port)) return PASS;
  if (is_allowed(w)) {
    aim(state, w, ROLE_ACTIVE);
    if (stream) count_try(w->address, w->port, w->protocol, PARE_EGRESS_ALLOWED, state, 0);
    return PASS;
  }
  aim(state, w, ROLE_DENIED);
  // Connecting a datagram socket sends nothing: it fails as it does without a route. What would
  // have been sent is never seen, so it is told apart; port 0 is getaddrinfo(3) sorting addresses.
  if (!stream && connects) {
    if (refusal != PARE_EGRESS_UNREACHABLE) return PASS;
    if (w->port) count_try(w->address, w->port, w->protocol, PARE_EGRESS_UNSENT, state, 0);
    return refuse();
  }
  if (stream || refusal != PARE_EGRESS_SILENT)
    count_try(w->address, w->port, w->protocol, why_denied(w->address), state, 0);
  return refuse();
}

static __always_inline int decide4(struct bpf_sock_addr* ctx, bool connects) {
  struct wanted w = {};
  set_v4(w.address, ctx->user_ip4);
  return decide(ctx, &w, connects);
}

static __always_inline int decide6(struct bpf_sock_addr* ctx, bool connects) {
  struct wanted w = {};
  __u32* words = (__u32*)w.address;
  words[0] = ctx->user_ip6[0];
  words[1] = ctx->user_ip6[1];
  words[2] = ctx->user_ip6[2];
  words[3] = ctx->user_ip6[3];
  return decide(ctx, &w, connects);
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr* ctx) {
  return decide4(ctx, true);
}
SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr* ctx) {
  return decide6(ctx, true);
}
SEC("cgroup/sendmsg4")
int on_sendmsg4(struct bpf_sock_addr* ctx) {
  return decide4(ctx, false);
}
SEC("cgroup/sendmsg6")
int on_sendmsg6(struct bpf_sock_addr* ctx) {
  return decide6(ctx, false);
}

// Who made a socket is known before it sends; a raw one meets no other hook.
SEC("cgroup/sock_create")
int on_sock_create(struct bpf_sock* sk) {
  if (!current_in_scope()) return PASS;
  if (sk->type == SOCK_STREAM) return PASS;  // its connect says it
  struct socket_state* state = state_of(sk, true);
  if (state) set_process(state);
  return PASS;
}

// The other side began: answers may go there.
SEC("sockops")
int on_sockops(struct bpf_sock_ops* ops) {
  if (ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB || !ops->sk) return 1;
  struct socket_state* state = state_of(ops->sk, true);
  if (state)
    state->role = ROLE_PASSIVE;
  else
    lose(PARE_EGRESS_LOSS_SOCKETS);
  return 1;
}

// A connection older than the window: it came in if its local port is listened on.
static __always_inline bool came_in_before(struct __sk_buff* skb, const struct packet* p) {
  struct bpf_sock_tuple tuple = {};
  struct bpf_sock* sk;
  if (is_v4(p->from)) {
    __builtin_memcpy(&tuple.ipv4.saddr, &p->to[12], 4);
    __builtin_memcpy(&tuple.ipv4.daddr, &p->from[12], 4);
    tuple.ipv4.dport = bpf_htons(p->source);
    sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
  } else {
    __builtin_memcpy(tuple.ipv6.saddr, p->to, 16);
    __builtin_memcpy(tuple.ipv6.daddr, p->from, 16);
    tuple.ipv6.dport = bpf_htons(p->source);
    sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
  }
  if (!sk) return false;
  bool listens = sk->state == BPF_TCP_LISTEN;
  bpf_sk_release(sk);
  return listens;
}

static __always_inline int decide_tcp(struct __sk_buff* skb, struct packet* p, struct bpf_sock* sk,
                                      struct socket_state* state) {
  if (sk->state == BPF_TCP_LISTEN) return PASS;  // SYN-ACK, sent for the listener
  if (state && state->role == ROLE_PASSIVE) return PASS;
  if (state && state->role == ROLE_ACTIVE && still_allowed(state)) {
    if (!state->peeked) state->peeked = show(skb, p, PARE_EGRESS_FIRST_BYTES);
    return PASS;
  }
  bool syn = (p->tcp_flags & (TCP_SYN_FLAG | TCP_ACK_FLAG)) == TCP_SYN_FLAG;
  if (joined && !syn && (!state || state->role == ROLE_NONE) && came_in_before(skb, p)) {
    state = state_of(sk, true);
    if (state) state->role = ROLE_PASSIVE;
    return PASS;
  }
  struct wanted w = {.port = p->destination, .protocol = IPPROTO_TCP};
  __builtin_memcpy(w.address, p->to, 16);
  bool allowed = is_allowed(&w);
  bool told = state && state->role != ROLE_NONE;  // connect counted it
  if (!told) {
    state = state_of(sk, true);
    count_try(p->to, p->destination, IPPROTO_TCP, allowed ? PARE_EGRESS_ALLOWED : why_denied(p->to),
              state, 0);
  }
  if (state) aim(state, &w, allowed ? ROLE_ACTIVE : ROLE_DENIED);
  return allowed ? PASS : drop();
}

static __always_inline int decide_other(struct __sk_buff* skb, struct packet* p,
                                        struct socket_state* state) {
  if (p->protocol == IPPROTO_UDP && is_peer(p->to, p->destination, p->source)) return PASS;
  __u64 bytes = p->payload ? skb->len - p->payload : skb->len;
  bool aimed = state && state->role == ROLE_ACTIVE && state->port == p->destination &&
               !p->fragment && same_address(state->address, p->to);
  if (aimed && still_allowed(state)) {
    count_try(p->to, p->destination, p->protocol, PARE_EGRESS_ALLOWED, state, bytes);
    return PASS;
  }
  struct wanted w = {.port = p->destination, .protocol = p->protocol};
  __builtin_memcpy(w.address, p->to, 16);
  bool allowed = !p->fragment && is_allowed(&w);
  count_try(p->to, p->destination, p->protocol, allowed ? PARE_EGRESS_ALLOWED : why_denied(p->to),
            state, bytes);
  return allowed ? PASS : drop();
}

static __always_inline void flow_of(const struct packet* p, bool back, struct flow* flow) {
  __builtin_memset(flow, 0, sizeof(*flow));
  __builtin_memcpy(flow->from, back ? p->to : p->from, 16);
  __builtin_memcpy(flow->to, back ? p->from : p->to, 16);
  flow->source = back ? p->destination : p->source;
  flow->destination = back ? p->source : p->destination;
  flow->protocol = p->protocol;
}

static __always_inline int approve(const struct packet* p) {
  if (!guarded) return PASS;
  struct flow flow;
  __u64 now = bpf_ktime_get_ns();
  flow_of(p, false, &flow);
  bpf_map_update_elem(&approved, &flow, &now, BPF_ANY);
  return PASS;
}

// Every IP packet that a socket of the container sends, whatever made the socket.
SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff* skb) {
  struct packet p;
  struct bpf_sock* sk = skb->sk;
  if (sk) sk = bpf_sk_fullsock(sk);
  struct socket_state* state = sk ? state_of(sk, false) : 0;
  // A raw socket of protocol TCP writes its own headers; a stream's are the kernel's.
  bool stream = sk && sk->type == SOCK_STREAM && sk->protocol == IPPROTO_TCP;
  // The hot path, ahead of the test of scope: a neighbour's sockets pass either way.
  if (stream && state && !guarded &&
      (state->role == ROLE_PASSIVE ||
       (state->role == ROLE_ACTIVE && (state->peeked || skb->len <= NAMELESS) &&
        still_allowed(state))))
    return PASS;
  if (!packet_in_scope(skb)) return PASS;
  if (!sk) return drop();
  if (read_packet(skb, 0, &p)) return drop();
  if (p.protocol == IPPROTO_UDP && !p.fragment &&
      (p.destination == PORT_DNS || bpf_map_lookup_elem(&resolvers, p.to)) &&
      !(state && is_peer(p.to, p.destination, p.source)))
    return ask(skb, &p, state) ? approve(&p) : drop();
  // Nobody but a resolver answers in its name.
  if (bpf_map_lookup_elem(&resolvers, p.from)) return drop();
  if (skb->ifindex == LOOPBACK_DEVICE) return PASS;
  int verdict = stream && p.protocol == IPPROTO_TCP ? decide_tcp(skb, &p, sk, state)
                                                    : decide_other(skb, &p, state);
  return verdict == PASS ? approve(&p) : verdict;
}

SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff* skb) {
  struct packet p;
  if (transport_of(skb) != IPPROTO_UDP || !packet_in_scope(skb)) return PASS;
  if (read_packet(skb, 0, &p) || p.fragment) return PASS;
  if (bpf_map_lookup_elem(&resolvers, p.from)) {
    // A packet socket on the loopback device could answer in a resolver's name.
    if (skb->ifindex == LOOPBACK_DEVICE && !is_loopback(p.from)) return DENY;
    return take_answer(skb, &p);
  }
  if (skb->ifindex == LOOPBACK_DEVICE) return PASS;
  struct bpf_sock* sk = skb->sk;
  if (sk) sk = bpf_sk_fullsock(sk);
  struct socket_state* state = sk ? state_of(sk, false) : 0;
  // A socket that began itself is no server: what comes back opens nothing.
  if (state && state->role != ROLE_NONE) return PASS;
  struct peer peer = {.port = p.source, .local = p.destination};
  __builtin_memcpy(peer.address, p.from, 16);
  __u64 now = bpf_ktime_get_ns();
  bpf_map_update_elem(&peers, &peer, &now, BPF_ANY);
  return PASS;
}

// ---- the host's end of the container's veth: what passes no cgroup hook (AF_PACKET)

#define ETHERNET 14
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define ETH_P_ARP 0x0806
#define TC_OK 0
#define TC_DROP 2

// IPv6 neighbour discovery and multicast listening: the link's own upkeep.
static __always_inline bool is_upkeep(struct __sk_buff* skb, const struct packet* p) {
  if (p->protocol == 0 && p->to[0] == 0xff && p->to[1] == 0x02)
    return true;  // MLD, with its hop-by-hop option
  if (p->protocol != IPPROTO_ICMPV6 || (p->to[0] != 0xff && p->to[0] != 0xfe && p->from[0] != 0xfe))
    return false;
  __u8 type;
  if (bpf_skb_load_bytes(skb, ETHERNET + 40, &type, 1)) return false;
  return type >= 133 && type <= 136;
}

SEC("tc")
int guard_out(struct __sk_buff* skb) {
  struct packet p;
  if (skb->protocol == bpf_htons(ETH_P_ARP)) return TC_OK;
  bool ip = skb->protocol == bpf_htons(ETH_P_IP) || skb->protocol == bpf_htons(ETH_P_IPV6);
  if (ip && read_packet(skb, ETHERNET, &p) == 0) {
    struct flow flow;
    flow_of(&p, false, &flow);
    __u64 now = bpf_ktime_get_ns();
    __u64* when = bpf_map_lookup_elem(&approved, &flow);
    if (when && now - *when < 5 * SECOND) return TC_OK;
    when = bpf_map_lookup_elem(&entered, &flow);
    if (when && now - *when < 180 * SECOND) return TC_OK;
    if (is_upkeep(skb, &p)) return TC_OK;
  } else {
    __builtin_memset(&p, 0, sizeof(p));
  }
  count_try(p.to, p.destination, p.protocol, PARE_EGRESS_PACKET, 0, skb->len);
  __sync_fetch_and_add(&dropped_packets, 1);
  return TC_DROP;
}

// What comes in may be answered, flow by flow: also by the kernel itself (RST, echo replies).
SEC("tc")
int guard_in(struct __sk_buff* skb) {
  struct packet p;
  bool ip = skb->protocol == bpf_htons(ETH_P_IP) || skb->protocol == bpf_htons(ETH_P_IPV6);
  if (!ip || read_packet(skb, ETHERNET, &p)) return TC_OK;
  struct flow flow;
  flow_of(&p, true, &flow);
  __u64 now = bpf_ktime_get_ns();
  bool known = bpf_map_lookup_elem(&entered, &flow) != 0;
  bool begins =
      p.protocol != IPPROTO_TCP || (p.tcp_flags & (TCP_SYN_FLAG | TCP_ACK_FLAG)) == TCP_SYN_FLAG;
  if (!known) {
    if (!begins && !joined) return TC_OK;
    // An answer to what the container began, such as a SYN-ACK, opens nothing.
    __u64* when = bpf_map_lookup_elem(&approved, &flow);
    if (when && now - *when < 180 * SECOND) return TC_OK;
  }
  bpf_map_update_elem(&entered, &flow, &now, BPF_ANY);
  return TC_OK;
}

// ---- a container that is not there yet, or starts again

// A flavour of struct cgroup (bpf_core_read.h): what the recorder's does not name.
struct cgroup___depth {
  int level;
} __attribute__((preserve_access_index));

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_cgroup_mkdir, struct cgroup* cgroup) {
  if (!scope_level || BPF_CORE_READ(cgroup, root, hierarchy_id) != 0) return 0;
  if (scope_parent && BPF_CORE_READ(cgroup, self.parent, cgroup, kn, id) != scope_parent) return 0;
  char name[PARE_EGRESS_LEAF] = {};
  bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(cgroup, kn, name));
  for (int i = 0; i < PARE_EGRESS_LEAF; i++)
    if (name[i] != scope_leaf[i]) return 0;
  scope_level = BPF_CORE_READ((struct cgroup___depth*)cgroup, level);
  scope_id = BPF_CORE_READ(cgroup, kn, id);
  return 0;
}
