// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gate.bpf.c - the XDP program: parse, decide, act, count.
 *
 * Whatever cannot be parsed, looked up or built passes: the worst that a fault here may do is to
 * let a connection in.
 */
#include "maps.h"

#include "events.h"
#include "gate.h"
#include "reset.h"

char LICENSE[] SEC("license") = "GPL";

/* Set by the packet tests only: `now` comes with the packet, as 8 bytes of metadata. */
const volatile _Bool test_clock = 0;

/* What the program does with the frame. */
enum act { ACT_PASS, ACT_DROP, ACT_RESET, ACT_HOLD };

/*
 * The coarse clock, which goes on with the tick, and so with the count of ticks: that is a plain load
 * where the clock is a call, of a third of what the flood path takes. The kernel counts the tick
 * before it moves the clock (tick_do_update_jiffies64): who asks in between is a tick late until the
 * next one.
 */
static __always_inline __u64 gate_clock(const struct xdp_md *ctx, struct seen *seen)
{
	__u64 tick = bpf_jiffies64();

	if (test_clock) {
		const __u64 *now_ns = (void *)(long)ctx->data_meta;

		if ((const void *)(now_ns + 1) <= (const void *)(long)ctx->data)
			return *now_ns;
	}
	if (tick != seen->tick) {
		seen->now_ns = bpf_ktime_get_coarse_ns();
		seen->tick = tick;
	}
	return seen->now_ns;
}

static __always_inline void gate_count(struct counters *c, const struct decision *d, __u32 mode,
				       __u32 family)
{
	__u64 i = mode;

	i = i * FAMILIES + family;
	i = i * CLASSES + d->class;
	i = i * VERDICTS + d->verdict;
	i = i * REASONS + d->reason;
	/* One bound on one number is what the verifier of every kernel understands. */
	__asm__ volatile("" : "+r"(i));
	if (i < sizeof(c->judged) / sizeof(__u64))
		((__u64 *)c->judged)[i]++;
	i = family * VERDICTS + d->verdict;
	__asm__ volatile("" : "+r"(i));
	if (d->again && i < sizeof(c->again) / sizeof(__u64))
		((__u64 *)c->again)[i]++;
}

/*
 * Would an RST leave without the VLAN tag that the SYN came with, as hardware has taken it off?
 * Then it would go into another VLAN, and REFUSE acts as DEFER.
 */
FRAME_OF_ITS_OWN int gate_loses_tag(const struct xdp_md *ctx, const struct control *c)
{
	for (int i = 0; i < UNTAGGED_MOST; i++) {
		__u32 ifindex = *(volatile const __u32 *)&c->untagged[i];

		if (ifindex == UNTAGGED_EVERY || (ifindex && ifindex == ctx->ingress_ifindex))
			return 1;
	}
	return 0;
}

/*
 * The gates, for all that the flood path does not decide. A global function, so that the verifier
 * checks it once by itself and not anew for every shape of frame.
 */
__noinline int gate_decide_alone(struct xdp_md *ctx, struct seen *seen)
{
	struct state st;

	if (!seen || state_load(&st))
		return -1;
	st.packet = ctx;
	seen->decision = gate_decide(&st, &seen->frame.attempt, seen->maybe, seen->now_ns);
	if (seen->decision.verdict == VERDICT_REFUSE && gate_loses_tag(ctx, st.control))
		seen->decision.verdict = VERDICT_DEFER;
	return 0;
}

/* Remembers it; the budget has been asked. */
__noinline int gate_note_alone(struct seen *seen)
{
	struct state st;

	if (!seen || state_load(&st))
		return -1;
	return state_note_deferred(&st, &seen->frame.attempt, seen->now_ns);
}

/* Judges and counts a SYN, and says what to do with it. */
static __always_inline enum act gate_run(struct xdp_md *ctx, struct state *st, struct seen *seen)
{
	__u32 mode = gate_mode(st->policy, seen->now_ns);
	struct decision *d = &seen->decision;

	if (!frame_address_guarded(st->policy, &seen->frame.attempt.dest)) {
		st->counters->frames[FRAME_OTHER_ADDRESS]++;
		return ACT_PASS;
	}
	if (mode == MODE_OFF) {
		st->counters->frames[FRAME_OFF]++;
		return ACT_PASS;
	}
	st->counters->frames[FRAME_SYN]++;
	seen->maybe = state_maybe(st, &seen->frame.attempt, seen->now_ns);
	if (gate_is_flood(st, seen->maybe, seen->now_ns))
		*d = gate_flood();
	else if (gate_decide_alone(ctx, seen))
		return ACT_PASS;
	if (d->remember && !state_budget(st, seen->now_ns))
		gate_note_alone(seen);
	gate_count(st->counters, d, mode, seen->frame.attempt.family);
	events_note(st->control, seen, d, mode);
	if (mode != MODE_ENFORCE)
		return ACT_PASS;
	if (d->verdict == VERDICT_REFUSE)
		return ACT_RESET;
	if (d->paced)
		return ACT_HOLD;
	return d->verdict == VERDICT_DEFER || d->verdict == VERDICT_DROP ? ACT_DROP : ACT_PASS;
}

FRAME_OF_ITS_OWN int gate_reset(struct xdp_md *ctx, struct counters *c, const struct frame *f)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	__u64 had_bytes = data_end - data;
	__u32 bytes;

	/* Keeps the compiler from a 32-bit subtraction of pointers, which the verifier refuses. */
	__asm__ volatile("" : "+r"(had_bytes));
	bytes = reset_build(data, data_end, f);
	if (!bytes || bpf_xdp_adjust_tail(ctx, (int)(bytes - had_bytes))) {
		c->reset_failed++;
		return XDP_DROP;
	}
	return XDP_TX;
}

/* Marks the frame for the tc program behind us. Where the driver has no room for it, it passes. */
static __always_inline int gate_hold(struct xdp_md *ctx, struct counters *c)
{
	struct hold_mark *mark;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*mark))) {
		c->hold_unmarked++;
		return XDP_PASS;
	}
	mark = (void *)(long)ctx->data_meta;
	if ((const void *)(mark + 1) > (const void *)(long)ctx->data) {
		c->hold_unmarked++;
		return XDP_PASS;
	}
	mark->magic = HOLD_MAGIC;
	c->hold_marked++;
	return XDP_PASS;
}

/* Is it generic XDP that runs here? Only that sees again what comes out of the waiting room. */
static __always_inline int gate_is_generic(const struct control *c, __u32 ifindex)
{
	for (int i = 0; i < MAX_INTERFACES; i++)
		if (*(volatile const __u32 *)&c->hold_generic[i] == ifindex)
			return 1;
	return 0;
}

/*
 * Does it come out of the waiting room (hold.bpf.c)? Then its secret source address is taken off,
 * lest a bridge learn it and tell it to others. The sender's own is lost by then; a fixed local one
 * stands for it, as nobody answers to the source of a frame that was routed here.
 */
static __always_inline int gate_came_back(const struct xdp_md *ctx, const struct control *c)
{
	static const __u8 anonymous[ETH_ALEN] = HOLD_ANONYMOUS;
	struct ethhdr *eth = (void *)(long)ctx->data;
	__u64 tag = *(volatile const __u64 *)&c->hold_tag, source = 0;

	if (!tag || (const void *)(eth + 1) > (const void *)(long)ctx->data_end)
		return 0;
	__builtin_memcpy(&source, eth->h_source, ETH_ALEN);
	if (source != tag || !gate_is_generic(c, ctx->ingress_ifindex))
		return 0;
	__builtin_memcpy(eth->h_source, anonymous, ETH_ALEN);
	return 1;
}

SEC("xdp")
int sluice_gate(struct xdp_md *ctx)
{
	struct seen *seen;
	struct state st;
	__u32 kind;

	if (state_load_words(&st))
		return XDP_PASS;
	seen = state_seen(&st);
	kind = frame_parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, st.policy,
			   &seen->frame);
	if (kind != FRAME_SYN) {
		if (kind < FRAME_KINDS)
			st.counters->frames[kind]++;
		return XDP_PASS;
	}
	if (gate_came_back(ctx, st.control)) {
		st.counters->hold_back++;
		return XDP_PASS;
	}
	seen->now_ns = gate_clock(ctx, seen);
	switch (gate_run(ctx, &st, seen)) {
	case ACT_RESET:
		return gate_reset(ctx, st.counters, &seen->frame);
	case ACT_HOLD:
		return gate_hold(ctx, st.counters);
	case ACT_DROP:
		return XDP_DROP;
	case ACT_PASS:
		break;
	}
	return XDP_PASS;
}
