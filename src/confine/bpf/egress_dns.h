// DNS over UDP: a question leaves when its name is allowed, and an answer's addresses are open
// before the answer reaches who asked, so that the first connection passes.
#ifndef PARE_CONFINE_BPF_EGRESS_DNS_H_
#define PARE_CONFINE_BPF_EGRESS_DNS_H_

#include "confine/bpf/egress_rules.h"

#define DNS_HEADER 12
#define TYPE_A 1
#define TYPE_AAAA 28
#define TYPE_HTTPS 65
#define ANSWERS_MAX 64
#define LABELS_MAX 40
#define QUESTION_SLACK 64  // bytes after the question: EDNS, nothing that carries data

struct question {
  struct pare_egress_question_key key ALIGNED;
  __u32 next;  // where the next label's length is
  __u32 end;   // of the name, its last zero included; 0: not found yet
  __u32 broken;
};

static long fold_byte(__u32 i, struct question* q) {
  __u8* byte = &q->key.name.bytes[i & (PARE_EGRESS_NAME - 1)];
  if (q->end || q->broken) {
    *byte = 0;
  } else if (i == q->next) {
    if (*byte == 0)
      q->end = i + 1;
    else if (*byte > 63)
      q->broken = 1;
    else
      q->next = i + 1 + *byte;
  } else if (*byte >= 'A' && *byte <= 'Z') {
    *byte |= 0x20;
  }
  return 0;
}

// Reads the only question of a DNS message that begins at `offset`. q->end is 0 where it has none
// that could be allowed; the name then is what fits.
static __always_inline int read_question(struct __sk_buff* skb, __u32 offset, struct question* q) {
  __builtin_memset(q, 0, sizeof(*q));
  __u32 from = offset + DNS_HEADER;
  __u32 length = skb->len - from;
  if (skb->len <= from) return -1;
  if (length >= PARE_EGRESS_NAME) {
    if (bpf_skb_load_bytes(skb, from, q->key.name.bytes, PARE_EGRESS_NAME)) return -1;
  } else {
    length &= PARE_EGRESS_NAME - 1;
    if (length == 0) return -1;
    if (bpf_skb_load_bytes(skb, from, q->key.name.bytes, length)) return -1;
  }
  bpf_loop(PARE_EGRESS_NAME, fold_byte, q, 0);
  if (q->broken) q->end = 0;
  __u8 tail[4];
  if (q->end && bpf_skb_load_bytes(skb, from + q->end, tail, sizeof(tail)) == 0)
    q->key.type = tail[0] << 8 | tail[1];
  return 0;
}

static __always_inline void count_question(struct question* q, const struct socket_state* state,
                                           __u64 bytes) {
  if (state) q->key.pid = state->pid;
  __sync_fetch_and_add(&question_totals[q->key.verdict & (PARE_EGRESS_TOTALS - 1)], 1);
  struct pare_egress_tries* row = tries_of(&questions, &q->key, state);
  if (row)
    add_try(row, bytes);
  else
    lose(PARE_EGRESS_LOSS_QUESTIONS);
}

static __always_inline void pending_of(struct __sk_buff* skb, __u32 payload,
                                       const __u8 resolver[16], __u16 port,
                                       struct pending_key* key) {
  __builtin_memset(key, 0, sizeof(*key));
  __builtin_memcpy(key->resolver, resolver, 16);
  key->port = port;
  bpf_skb_load_bytes(skb, payload, &key->id, 2);
}

// May this question leave for `p->to`? Counts it.
__attribute__((noinline)) static int ask(struct __sk_buff* skb, struct packet* p,
                                         struct socket_state* state) {
  struct question q;
  if (read_question(skb, p->payload, &q)) return 0;
  __u32 bytes = skb->len - p->payload;
  bool resolver = bpf_map_lookup_elem(&resolvers, p->to) != 0;
  __u32* name = 0;
  __u8 counts[DNS_HEADER];
  if (resolver && q.end && bpf_skb_load_bytes(skb, p->payload, counts, sizeof(counts)) == 0) {
    // A query with one question and nothing in the sections that could carry more than EDNS.
    bool plain = (counts[2] & 0xf8) == 0 && counts[4] == 0 && counts[5] == 1 && counts[6] == 0 &&
                 counts[7] == 0 && counts[8] == 0 && counts[9] == 0 && counts[10] == 0 &&
                 counts[11] <= 1 && bytes <= DNS_HEADER + q.end + 4 + QUESTION_SLACK;
    bool type = q.key.type == TYPE_A || q.key.type == TYPE_AAAA || q.key.type == TYPE_HTTPS;
    if (plain && type) name = bpf_map_lookup_elem(&names, &q.key.name);
  }
  bool passes = name || (resolver && open_names);
  q.key.verdict = passes ? PARE_EGRESS_ALLOWED : PARE_EGRESS_DENIED;
  __builtin_memcpy(q.key.resolver, p->to, 16);
  count_question(&q, state, bytes);
  if (!passes) return 0;
  struct pending_key key;
  __u32 id = name ? *name : 0;
  pending_of(skb, p->payload, p->to, p->source, &key);
  bpf_map_update_elem(&pending, &key, &id, BPF_ANY);
  return 1;
}

struct answer_walk {
  struct __sk_buff* skb;
  __u32 offset;  // of the next record
  __u32 name;
  int withhold;
  __u8 address[16] ALIGNED;
};

static __always_inline void open_address(struct answer_walk* walk, __u32 ttl) {
  if (is_loopback(walk->address)) {
    walk->withhold = 1;
    return;
  }
  struct pare_egress_answer_key key = {.name = walk->name};
  __builtin_memcpy(key.address, walk->address, 16);
  // The low bit of a name's id says that private addresses are meant.
  if (is_private(walk->address) && !(walk->name & 1)) {
    bpf_map_update_elem(&rebound, walk->address, &walk->name, BPF_ANY);
    return;
  }
  if (ttl < PARE_EGRESS_TTL_MIN) ttl = PARE_EGRESS_TTL_MIN;
  if (ttl > PARE_EGRESS_TTL_MAX) ttl = PARE_EGRESS_TTL_MAX;
  __u64 until = bpf_ktime_get_ns() + ttl * SECOND;
  if (bpf_map_update_elem(&answers, &key, &until, BPF_ANY)) {
    lose(PARE_EGRESS_LOSS_ANSWERS);
    walk->withhold = 1;
  }
}

static long take_record(__u32 i, struct answer_walk* walk) {
  __u32 at = walk->offset;
  for (int label = 0; label < LABELS_MAX; label++) {
    __u8 length;
    if (bpf_skb_load_bytes(walk->skb, at, &length, 1)) return 1;
    if (length >= 0xc0) {  // a pointer ends a name
      at += 2;
      break;
    }
    at += 1 + length;
    if (length == 0) break;
  }
  __u8 fixed[10];
  if (bpf_skb_load_bytes(walk->skb, at, fixed, sizeof(fixed))) return 1;
  __u16 type = fixed[0] << 8 | fixed[1], class = fixed[2] << 8 | fixed[3];
  __u32 ttl = (__u32)fixed[4] << 24 | fixed[5] << 16 | fixed[6] << 8 | fixed[7];
  __u16 size = fixed[8] << 8 | fixed[9];
  at += sizeof(fixed);
  walk->offset = at + size;
  if (class != 1) return 0;
  if (type == TYPE_A && size == 4) {
    __be32 v4;
    if (bpf_skb_load_bytes(walk->skb, at, &v4, 4)) return 1;
    set_v4(walk->address, v4);
  } else if (type == TYPE_AAAA && size == 16) {
    if (bpf_skb_load_bytes(walk->skb, at, walk->address, 16)) return 1;
  } else {
    return 0;
  }
  open_address(walk, ttl);
  return 0;
}

// An answer on its way in. 0: it is withheld.
__attribute__((noinline)) static int take_answer(struct __sk_buff* skb, struct packet* p) {
  struct pending_key key;
  pending_of(skb, p->payload, p->from, p->destination, &key);
  __u32* asked = bpf_map_lookup_elem(&pending, &key);
  if (!asked) return 0;
  __u32 name = *asked;
  if (!name) {  // of no rule: it opens nothing
    show(skb, p, PARE_EGRESS_ANSWER);
    return 1;
  }
  struct question q;
  if (read_question(skb, p->payload, &q) || !q.end) return 0;
  __u32* known = bpf_map_lookup_elem(&names, &q.key.name);
  if (!known || *known != name) return 0;
  __u8 counts[DNS_HEADER];
  if (bpf_skb_load_bytes(skb, p->payload, counts, sizeof(counts))) return 0;
  if (!(counts[2] & 0x80)) return 0;
  struct answer_walk walk = {.skb = skb, .name = name};
  walk.offset = p->payload + DNS_HEADER + q.end + 4;
  __u32 records = (__u32)counts[6] << 8 | counts[7];
  bpf_loop(records > ANSWERS_MAX ? ANSWERS_MAX : records, take_record, &walk, 0);
  if (walk.withhold) return 0;
  bpf_map_delete_elem(&pending, &key);
  return 1;
}

#endif
