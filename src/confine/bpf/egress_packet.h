// What a packet says of itself.
#ifndef PARE_CONFINE_BPF_EGRESS_PACKET_H_
#define PARE_CONFINE_BPF_EGRESS_PACKET_H_

#include "confine/bpf/egress_maps.h"

#define ENETUNREACH 101
#define ECONNREFUSED 111
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#define PORT_DNS 53
#define LOOPBACK_DEVICE 1  // the first device of every network namespace
#define TCP_SYN_FLAG 2
#define TCP_ACK_FLAG 16

#define ALIGNED __attribute__((aligned(8)))

struct packet {
  __u8 from[16] ALIGNED;
  __u8 to[16] ALIGNED;
  __u16 source, destination;  // host order; 0 where the protocol has no ports
  __u16 payload;              // offset of what TCP or UDP carries
  __u8 protocol;
  __u8 tcp_flags;
  __u8 fragment;  // not the first one
};

static __always_inline void set_v4(__u8 address[16], __be32 v4) {
  __builtin_memset(address, 0, 10);
  address[10] = address[11] = 0xff;
  __builtin_memcpy(&address[12], &v4, 4);
}

// `start`: where the IP header is. 0: it is IP.
static __always_inline int read_packet(struct __sk_buff* skb, __u32 start, struct packet* p) {
  __u8 ip[40] = {};
  __u32 next;
  __builtin_memset(p, 0, sizeof(*p));
  if (bpf_skb_load_bytes(skb, start, ip, 20)) return -1;
  if (ip[0] >> 4 == 4) {
    __be32 v4;
    __builtin_memcpy(&v4, &ip[12], 4);
    set_v4(p->from, v4);
    __builtin_memcpy(&v4, &ip[16], 4);
    set_v4(p->to, v4);
    p->protocol = ip[9];
    p->fragment = (ip[6] & 0x1f) | ip[7] ? 1 : 0;
    next = start + (ip[0] & 15) * 4;
  } else if (ip[0] >> 4 == 6) {
    if (bpf_skb_load_bytes(skb, start, ip, 40)) return -1;
    __builtin_memcpy(p->from, &ip[8], 16);
    __builtin_memcpy(p->to, &ip[24], 16);
    p->protocol = ip[6];
    next = start + 40;
  } else {
    return -1;
  }
  if (p->fragment) return 0;
  if (p->protocol == IPPROTO_TCP) {
    __u8 tcp[14];
    if (bpf_skb_load_bytes(skb, next, tcp, sizeof(tcp))) return 0;
    p->source = tcp[0] << 8 | tcp[1];
    p->destination = tcp[2] << 8 | tcp[3];
    p->tcp_flags = tcp[13];
    p->payload = next + (tcp[12] >> 4) * 4;
  } else if (p->protocol == IPPROTO_UDP) {
    __u8 udp[8];
    if (bpf_skb_load_bytes(skb, next, udp, sizeof(udp))) return 0;
    p->source = udp[0] << 8 | udp[1];
    p->destination = udp[2] << 8 | udp[3];
    p->payload = next + 8;
  }
  return 0;
}

// The protocol behind the IP header; of IPv6 the first next header. 0: unknown.
static __always_inline __u8 transport_of(struct __sk_buff* skb) {
  const __u8* ip = (void*)(long)skb->data;
  __u8 start[10];  // up to IPv4's protocol
  if ((void*)(ip + sizeof(start)) > (void*)(long)skb->data_end) {
    if (bpf_skb_load_bytes(skb, 0, start, sizeof(start))) return 0;
    ip = start;
  }
  return ip[0] >> 4 == 4 ? ip[9] : ip[6];
}

static __always_inline bool same_address(const __u8 a[16], const __u8 b[16]) {
  for (int i = 0; i < 16; i++)
    if (a[i] != b[i]) return false;
  return true;
}

static __always_inline bool is_v4(const __u8 address[16]) {
  const __u64* high = (const __u64*)address;
  const __u32* mark = (const __u32*)&address[8];
  return high[0] == 0 && mark[0] == bpf_htonl(0xffff);
}

// 127/8, ::1 and the unspecified addresses, which connect to the host itself.
static __always_inline bool is_loopback(const __u8 address[16]) {
  if (is_v4(address)) {
    __u32 v4;
    __builtin_memcpy(&v4, &address[12], 4);
    return address[12] == 127 || v4 == 0;
  }
  const __u64* words = (const __u64*)address;
  return words[0] == 0 && (words[1] == 0 || words[1] == bpf_cpu_to_be64(1));
}

// Ranges that a public name has no business in (RFC 6890, RFC 6598, RFC 4193), 169.254.169.254
// among them.
static __always_inline bool is_private(const __u8 address[16]) {
  if (is_v4(address)) {
    __u8 a = address[12], b = address[13];
    return a == 0 || a == 10 || a == 127 || (a == 100 && b >= 64 && b < 128) ||
           (a == 169 && b == 254) || (a == 172 && b >= 16 && b < 32) || (a == 192 && b == 168) ||
           (a == 192 && b == 0 && address[14] == 0) || a >= 224;
  }
  const __u64* words = (const __u64*)address;
  if (words[0] == 0) return true;  // ::, ::1 and IPv4 in obsolete forms
  if (words[0] == bpf_cpu_to_be64(0x0064ff9b00000000ULL)) return true;  // NAT64: any IPv4
  if (address[0] == 0x20 && address[1] == 0x02) return true;            // 6to4: any IPv4
  return (address[0] & 0xfe) == 0xfc || address[0] == 0xfe || address[0] == 0xff;
}

#endif
