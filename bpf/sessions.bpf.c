// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sessions.bpf.c - live sessions, slot time, who behaved well: told by the kernel's own states.
 *
 * The tracepoint inet_sock_set_state sees every change of state of every TCP socket of the machine
 * (net/ipv4/af_inet.c). A session lives from ESTABLISHED until the MTA has closed it or it was
 * reset: ESTABLISHED and CLOSE_WAIT, in which the MTA still holds its slot. Only this network
 * namespace and the guarded ports and addresses count.
 *
 * The table of sessions is the one truth: whoever puts a session in counts it, whoever takes it
 * out counts it off. So no event can count twice, and a missed one is put right by the daemon,
 * which runs sluice_session_fix with what the kernel's own list of sockets says.
 *
 * The coarse clock is not for tracing programs; the fine one is never behind it, and at most a tick
 * ahead (state_age).
 */
#include "maps.h"

#include "gate.h"

char LICENSE[] SEC("license") = "GPL";

/* The network namespace whose sessions count, as stat(2) numbers it. */
const volatile __u32 netns_inum = 0;

/* The local port alone is asked first: skc_num is 0 already when an RST closes a socket. */
static __always_inline int session_port_guarded(const struct policy *p, const struct sock *sk,
						__u16 *port)
{
	*port = BPF_CORE_READ((const struct inet_sock *)sk, inet_sport);
	return frame_port_guarded(p, *port);
}

static __always_inline void session_v4(union addr *a, __u32 word)
{
	a->half[0] = 0;
	a->word[2] = V4_MAPPED_WORD;
	a->word[3] = word;
}

/* The addresses and ports of a socket as an attempt of its client; no ISN. 0, or -1: not ours. */
static __always_inline int session_attempt(const struct policy *p, const struct sock *sk,
					   struct attempt *a)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	a->isn = 0;
	a->family = FAMILY_V4;
	a->source_port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	if (family == ADDRESS_FAMILY_V4) {
		session_v4(&a->source, BPF_CORE_READ(sk, __sk_common.skc_daddr));
		session_v4(&a->dest, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
	} else if (family == ADDRESS_FAMILY_V6) {
		BPF_CORE_READ_INTO(&a->source, sk, __sk_common.skc_v6_daddr);
		BPF_CORE_READ_INTO(&a->dest, sk, __sk_common.skc_v6_rcv_saddr);
		/* A dual-stack socket has its IPv4 peers as ::ffff:a.b.c.d. */
		if (a->source.half[0] || a->source.word[2] != V4_MAPPED_WORD)
			a->family = FAMILY_V6;
	} else {
		return -1;
	}
	return frame_address_guarded(p, &a->dest) ? 0 : -1;
}

/* Does the source itself hold so much that it has used half of its slot time? */
static __always_inline int session_of_holder(const struct policy *p, const struct prefix_key *key,
					     __u64 now_ns)
{
	struct holder *h = bpf_map_lookup_elem(&holders, key);

	return h && p->sessions.slot_cost &&
	       holder_debt_ns(h, &p->sessions, now_ns) > p->sessions.slot_tau_ns / 2;
}

/*
 * In a load tier, past half of the global burst or of the slots that unknown senders have, or begun
 * by somebody who holds slots: what begins so proves nothing of its sender.
 */
static __always_inline __u32 session_pressed(struct state *st, const struct prefix_key *key,
					     __u64 now_ns)
{
	const struct policy *p = st->policy;
	__u32 tiers = gate_tiers(p, st->control, now_ns);
	const struct bucket *global = tiers & TIER_QUEUE ? &p->global_queue : &p->global;
	__u64 debt_ns =
		gcra_look(st->control->global_tat_ns, now_ns, global, global->tau1_ns).debt_ns;
	int few = p->sessions.most && 2 * st->live->sessions > (__s64)p->sessions.most_unknown;

	return tiers || few || debt_ns > global->tau1_ns / 2 || session_of_holder(p, key, now_ns)
		       ? SESSION_PRESSED
		       : 0;
}

/* Finds the holder of a source, or makes it. NULL: the table has no room. */
static __always_inline struct holder *session_holder(const struct prefix_key *key, __u64 now_ns)
{
	struct holder *h = bpf_map_lookup_elem(&holders, key);
	struct holder fresh = {.tat_ns = 0, .since_ns = now_ns};

	if (h)
		return h;
	bpf_map_update_elem(&holders, key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&holders, key);
}

/* Counts a session. Returns 0, also if it is counted already, or -1: the table has no room. */
static __always_inline int session_begin(struct state *st, const struct attempt *a, __u64 begun_ns,
					 __u64 now_ns)
{
	__u64 fingerprint = state_fingerprint(st, a);
	struct session s = {.begun_ns = begun_ns, .family = a->family};
	struct holder *h;

	state_slot_key(st, TABLE_HOLDER, a, &s.source);
	s.flags = session_pressed(st, &s.source, now_ns);
	if (bpf_map_update_elem(&sessions, &fingerprint, &s, BPF_NOEXIST)) {
		if (bpf_map_lookup_elem(&sessions, &fingerprint))
			return 0;
		st->counters->sessions_untracked++;
		return -1;
	}
	st->counters->sessions_begun++;
	__sync_fetch_and_add(&st->live->sessions, 1);
	__sync_fetch_and_add(&st->live->changes, 1);
	h = session_holder(&s.source, now_ns);
	if (!h)
		return 0;
	holder_settle(h, &st->policy->sessions, now_ns);
	holder_add(h, 1);
	return 0;
}

/* Counts a session off. Returns 0 with *s what it was, or -1: it was not counted. */
static __always_inline int session_finish(struct state *st, __u64 fingerprint, struct session *s,
					  __u64 now_ns)
{
	struct session *found = bpf_map_lookup_elem(&sessions, &fingerprint);
	struct holder *h;

	if (!found)
		return -1;
	*s = *found;
	if (bpf_map_delete_elem(&sessions, &fingerprint))
		return -1; /* somebody else was faster */
	st->counters->sessions_ended++;
	__sync_fetch_and_add(&st->live->sessions, -1);
	__sync_fetch_and_add(&st->live->changes, 1);
	h = bpf_map_lookup_elem(&holders, &s->source);
	if (h) {
		holder_settle(h, &st->policy->sessions, now_ns);
		holder_add(h, -1);
	}
	return 0;
}

static __always_inline void session_tell(struct state *st, const struct session *s, __u64 bytes,
					 int in_order, __u64 now_ns)
{
	struct session_end *end;

	if (bytes < st->policy->sessions.learn_bytes)
		return;
	end = bpf_ringbuf_reserve(&ends, sizeof(*end), 0);
	if (!end) {
		st->counters->end_lost++;
		return;
	}
	*end = (struct session_end){.source = s->source,
				    .bytes = bytes,
				    .lasted_ns = state_age(s->begun_ns, now_ns),
				    .family = s->family,
				    .flags = s->flags,
				    .in_order = in_order};
	bpf_ringbuf_submit(end, 0);
}

static __always_inline int session_is_live(int tcp_state)
{
	return tcp_state == TCP_STATE_ESTABLISHED || tcp_state == TCP_STATE_CLOSE_WAIT;
}

static __always_inline int session_change(const struct sock *sk, int before, int after)
{
	struct attempt a = {};
	struct session was;
	struct state st;
	__u64 now_ns;

	/* Of a client's own connections none comes from SYN_RECV. */
	if (before == TCP_STATE_SYN_RECV ? after != TCP_STATE_ESTABLISHED
					 : !session_is_live(before) || session_is_live(after))
		return 0;
	if (state_load(&st) || !session_port_guarded(st.policy, sk, &a.dest_port) ||
	    BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum) != netns_inum ||
	    session_attempt(st.policy, sk, &a))
		return 0;
	now_ns = bpf_ktime_get_ns();
	if (before == TCP_STATE_SYN_RECV) {
		__u32 next = BPF_CORE_READ((const struct tcp_sock *)sk, copied_seq);

		state_arrived(&st, &a, bpf_htonl(next - 1));
		session_begin(&st, &a, now_ns, now_ns);
	} else if (!session_finish(&st, state_fingerprint(&st, &a), &was, now_ns)) {
		session_tell(&st, &was, BPF_CORE_READ((const struct tcp_sock *)sk, bytes_received),
			     after != TCP_STATE_CLOSE, now_ns);
	}
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int sluice_sessions(__u64 *ctx)
{
	return session_change((const void *)ctx[0], (int)ctx[1], (int)ctx[2]);
}

/* The same, for kernels that do not take the typed one. */
SEC("raw_tp/inet_sock_set_state")
int sluice_sessions_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return session_change((const void *)ctx->args[0], (int)ctx->args[1], (int)ctx->args[2]);
}

/* Asked by the daemon: puts right what an event that was missed has left wrong. */
SEC("syscall")
int sluice_session_fix(struct session_fix *fix)
{
	struct session was;
	struct holder *h;
	struct state st;
	__u64 now_ns = bpf_ktime_get_ns();

	if (state_load(&st))
		return -1;
	switch (fix->what) {
	case SESSION_FIX_BEGIN: {
		struct attempt a = fix->attempt;

		return session_begin(&st, &a, now_ns, now_ns);
	}
	case SESSION_FIX_END:
		return session_finish(&st, fix->fingerprint, &was, now_ns);
	case SESSION_FIX_HOLDER: {
		struct prefix_key key = fix->source;

		h = session_holder(&key, now_ns);
		if (!h)
			return -1;
		holder_settle(h, &st.policy->sessions, now_ns);
		h->sessions = fix->count;
		return 0;
	}
	}
	return -1;
}
