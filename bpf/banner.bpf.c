// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * banner.bpf.c - tc egress: how long a client waits for the MTA's first word.
 *
 * SMTP servers speak first (RFC 5321 section 3.1). The time from the handshake to the first bytes
 * that go out is what the accept queue, a free process and the MTA's own checks cost: the truest
 * sign of how it fares. It only looks: every packet goes on as it was.
 */
#include "maps.h"

#include "state.h"

char LICENSE[] SEC("license") = "GPL";

#define TC_ACT_UNSPEC (-1)

/* The first bytes go out within so many segments; behind them nothing is looked up any more. */
#define FIRST_SEGMENTS 8

static __always_inline void banner_attempt(struct attempt *a, const struct bpf_sock *sk)
{
	a->source_port = sk->dst_port;
	a->dest_port = bpf_htons(sk->src_port);
	a->family = FAMILY_V4;
	if (sk->family == ADDRESS_FAMILY_V4) {
		a->source.word[2] = a->dest.word[2] = V4_MAPPED_WORD;
		a->source.word[3] = sk->dst_ip4;
		a->dest.word[3] = sk->src_ip4;
		return;
	}
	a->source.word[0] = sk->dst_ip6[0];
	a->source.word[1] = sk->dst_ip6[1];
	a->source.word[2] = sk->dst_ip6[2];
	a->source.word[3] = sk->dst_ip6[3];
	a->dest.word[0] = sk->src_ip6[0];
	a->dest.word[1] = sk->src_ip6[1];
	a->dest.word[2] = sk->src_ip6[2];
	a->dest.word[3] = sk->src_ip6[3];
	if (a->source.half[0] || a->source.word[2] != V4_MAPPED_WORD)
		a->family = FAMILY_V6;
}

static __always_inline void banner_seen(struct state *st, const struct attempt *a)
{
	__u64 fingerprint = state_fingerprint(st, a), waited_ns;
	struct session *s = bpf_map_lookup_elem(&sessions, &fingerprint);
	__u32 n;

	if (!s || s->flags & SESSION_ANSWERED)
		return;
	s->flags |= SESSION_ANSWERED;
	waited_ns = state_age(s->begun_ns, bpf_ktime_get_coarse_ns());
	n = time_bucket(waited_ns);
	if (n < TIME_BUCKETS)
		st->counters->banner[n]++;
	st->counters->banner_ns += waited_ns;
}

SEC("tc")
int sluice_banner(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct attempt a = {};
	struct bpf_tcp_sock *tcp;
	struct state st;

	if (!sk)
		return TC_ACT_UNSPEC;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != IPPROTO_TCP || state_load(&st) ||
	    !frame_port_guarded(st.policy, bpf_htons(sk->src_port)))
		return TC_ACT_UNSPEC;
	tcp = bpf_tcp_sock(sk);
	if (!tcp || !tcp->data_segs_out || tcp->data_segs_out > FIRST_SEGMENTS)
		return TC_ACT_UNSPEC;
	banner_attempt(&a, sk);
	banner_seen(&st, &a);
	return TC_ACT_UNSPEC;
}
