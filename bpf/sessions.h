/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sessions.h - what is held open: live sessions, attempts on their way to one, slot time. Pure.
 *
 * An MX breaks by its slots long before its load moves. Three things are known of them here: how
 * many sessions are live (struct live, kept by sessions.bpf.c), how many admitted attempts may
 * still become one (a ring of seconds), and what each source has held (struct holder).
 */
#ifndef SESSIONS_H
#define SESSIONS_H

#include "sluice.h"

#define SESSIONS_TRIES 4

/* Bounds of one charge of slot time, so that the product below stays within 64 bits. */
#define SLOT_ELAPSED_MAX_NS (1ULL << 40) /* 18 minutes */
#define SLOT_SESSIONS_MAX   1024
#define SLOT_DEBT_BURSTS    8
#define SLOT_COST_MASK	    ((1ULL << SLOT_COST_SHIFT) - 1)

enum room { ROOM_FREE, ROOM_PENDING, ROOM_NONE };

static __always_inline __u64 pending_word(__u32 second, __u32 count)
{
	return (__u64)second << 32 | count;
}

/*
 * One more attempt was admitted. Returns 0, or -1 when it was lost under contention: then it counts
 * when it is a session. (NULL is never passed here or below; the verifier asks for the check.)
 */
VERIFIED_ALONE int pending_add(struct live *l, __u64 now_ns)
{
	__u32 second = (__u32)(now_ns / NSEC_PER_SEC);
	__u64 *slot;

	if (!l)
		return -1;
	slot = &l->pending[second & (PENDING_RING - 1)];
	for (int i = 0; i < SESSIONS_TRIES; i++) {
		__u64 old = *(volatile __u64 *)slot;
		__u64 next = old >> 32 == second ? old + 1 : pending_word(second, 1);

		if (__sync_val_compare_and_swap(slot, old, next) == old)
			return 0;
	}
	return -1;
}

/* An attempt that was admitted then has become a session. Returns 0, or -1: it no longer counts. */
VERIFIED_ALONE int pending_sub(struct live *l, __u64 admitted_ns)
{
	__u32 second = (__u32)(admitted_ns / NSEC_PER_SEC);
	__u64 *slot;

	if (!l)
		return -1;
	slot = &l->pending[second & (PENDING_RING - 1)];
	for (int i = 0; i < SESSIONS_TRIES; i++) {
		__u64 old = *(volatile __u64 *)slot;

		if (old >> 32 != second || !(__u32)old)
			return -1;
		if (__sync_val_compare_and_swap(slot, old, old - 1) == old)
			return 0;
	}
	return -1;
}

/* Attempts of the last PENDING_WINDOW_S seconds that are no sessions yet. */
static __always_inline __u32 pending_count(const struct live *l, __u64 now_ns)
{
	__u32 now_s = (__u32)(now_ns / NSEC_PER_SEC), count = 0;

	for (__u32 i = 0; i < PENDING_WINDOW_S; i++) {
		__u64 word = *(volatile const __u64 *)&l->pending[(now_s - i) & (PENDING_RING - 1)];

		if ((__u32)(word >> 32) == now_s - i)
			count += (__u32)word;
	}
	return count;
}

/*
 * Is there a slot? Live sessions alone may refuse; attempts on their way only make newcomers wait,
 * and count no more than pending_most, as they can be spoofed. They never stand in the way of a
 * known sender, whose share is there for that. Returns an enum room.
 */
VERIFIED_ALONE int sessions_room(const struct session_limits *s, const struct live *l, int known,
				 __u64 now_ns)
{
	__u32 coming;
	__s64 live;

	if (!s || !l)
		return ROOM_FREE;
	live = *(volatile const __s64 *)&l->sessions;
	if (live >= (__s64)(known ? s->most : s->most_unknown))
		return ROOM_NONE;
	if (known)
		return ROOM_FREE;
	coming = pending_count(l, now_ns);
	if (coming > s->pending_most)
		coming = s->pending_most;
	return live + coming >= s->most_unknown ? ROOM_PENDING : ROOM_FREE;
}

/* What so many sessions cost that were open for so long, as debt. */
static __always_inline __u64 slot_cost_ns(const struct session_limits *s, __u64 sessions,
					  __u64 elapsed_ns)
{
	__u64 held_ns;

	if (sessions > SLOT_SESSIONS_MAX)
		sessions = SLOT_SESSIONS_MAX;
	held_ns = elapsed_ns * sessions;
	/* In two parts: the product is too large, and what a shift cuts off adds up by looks. */
	return (held_ns >> SLOT_COST_SHIFT) * s->slot_cost +
	       ((held_ns & SLOT_COST_MASK) * s->slot_cost >> SLOT_COST_SHIFT);
}

/*
 * The most that slot time can owe: so long after its last session everybody may open one again, a
 * quarter of an hour with the burst of two minutes. One session of a holder alone may cost several
 * bursts; with less than this the rest would be forgiven, and a few hundred holders kept slots.
 */
static __always_inline __u64 slot_debt_max_ns(const struct session_limits *s)
{
	return SLOT_DEBT_BURSTS * s->slot_tau_ns;
}

/*
 * Charges a source for what its open sessions have held since the last look. Whoever moves since_ns
 * charges the time in between, so that no time is charged twice; a charge lost under contention is
 * in the source's favour. Asked at each begin and end of a session and at each of its SYNs.
 */
static __always_inline void holder_settle(struct holder *h, const struct session_limits *s,
					  __u64 now_ns)
{
	__u64 since_ns = *(volatile __u64 *)&h->since_ns, elapsed_ns, cost_ns, most_ns;
	__u64 sessions = *(volatile __u64 *)&h->sessions;

	if (now_ns <= since_ns ||
	    __sync_val_compare_and_swap(&h->since_ns, since_ns, now_ns) != since_ns)
		return;
	if (!sessions || !s->slot_cost)
		return;
	elapsed_ns = now_ns - since_ns;
	if (elapsed_ns > SLOT_ELAPSED_MAX_NS)
		elapsed_ns = SLOT_ELAPSED_MAX_NS;
	since_ns = now_ns - elapsed_ns;
	cost_ns = slot_cost_ns(s, sessions, elapsed_ns);
	most_ns = now_ns + slot_debt_max_ns(s);
	for (int i = 0; i < SESSIONS_TRIES; i++) {
		__u64 old = *(volatile __u64 *)&h->tat_ns;
		/* From when on it was held: what is worked off meanwhile counts, looks or not. */
		__u64 next = (old > since_ns ? old : since_ns) + cost_ns;

		if (next > most_ns)
			next = most_ns;
		if (__sync_val_compare_and_swap(&h->tat_ns, old, next) == old)
			return;
	}
}

/* What its slot time owes now, with the sessions that are open. */
static __always_inline __u64 holder_debt_ns(struct holder *h, const struct session_limits *s,
					    __u64 now_ns)
{
	__u64 tat_ns, debt_ns;

	holder_settle(h, s, now_ns);
	tat_ns = *(volatile __u64 *)&h->tat_ns;
	debt_ns = tat_ns > now_ns ? tat_ns - now_ns : 0;
	/* Left over from a policy with a longer memory: no more than ours can make of it. */
	return debt_ns < slot_debt_max_ns(s) ? debt_ns : slot_debt_max_ns(s);
}

/*
 * May the source hold one more session? Returns REASON_SOURCE_SESSIONS, REASON_SOURCE_TIME, or
 * REASONS when nothing stands against it. A known source may hold twice as many, and its slot
 * time is not asked for.
 */
VERIFIED_ALONE int holder_verdict(struct holder *h, const struct session_limits *s, int known,
				  __u64 now_ns)
{
	if (!h || !s)
		return REASONS;
	if (s->per_source && *(volatile __u64 *)&h->sessions >= (__u64)s->per_source << !!known)
		return REASON_SOURCE_SESSIONS;
	if (s->slot_cost && !known && holder_debt_ns(h, s, now_ns) > s->slot_tau_ns)
		return REASON_SOURCE_TIME;
	return REASONS;
}

/* A session more or less. Never below none, whatever events were missed. */
static __always_inline void holder_add(struct holder *h, int change)
{
	for (int i = 0; i < SESSIONS_TRIES; i++) {
		__u64 old = *(volatile __u64 *)&h->sessions;

		if (change < 0 && !old)
			return;
		if (__sync_val_compare_and_swap(&h->sessions, old, old + (__u64)(__s64)change) ==
		    old)
			return;
	}
}

/* How full the accept queue is that a SYN would end in. */
struct backlog {
	__u32 waiting; /* sk_ack_backlog and young requests */
	__u32 most;    /* sk_max_ack_backlog */
};

enum patience { PATIENCE_NEW, PATIENCE_AGAIN, PATIENCE_KNOWN };

/* Steps of about a millisecond: no longer than the coarse clock's, so that one is never split. */
#define LET_IN_SHIFT 20

/* SYNs that the stack may have been given and not looked at yet (net.core.gro_normal_batch). */
#define LET_IN_UNSEEN 8

/*
 * What the queue may hold when this SYN gets there. SYNs that are polled together are judged before
 * the stack sees the first of them: what was let in within this step of the clock counts on top of
 * what the queue held at its start. No more than a batch of them can be unseen at a time, so that
 * those let in to other listeners do not count for ever.
 */
static __always_inline __u64 backlog_waiting(const struct live *l, const struct backlog *b,
					     __u64 now_ns)
{
	__u64 word = *(volatile const __u64 *)&l->let_in, sum;

	if ((__u32)(word >> 32) != (__u32)(now_ns >> LET_IN_SHIFT))
		return b->waiting;
	sum = l->let_in_base + (__u32)word;
	if (sum > (__u64)b->waiting + LET_IN_UNSEEN)
		sum = (__u64)b->waiting + LET_IN_UNSEEN;
	return sum > b->waiting ? sum : b->waiting;
}

/*
 * Is there room in the accept queue? The kernel takes one more than most (sk_acceptq_is_full,
 * include/net/sock.h). Newcomers may fill half of it, who has waited nine tenths, known senders all
 * of it; one place each at least.
 */
VERIFIED_ALONE int backlog_has_room(const struct live *l, const struct backlog *b, int patience,
				    __u64 now_ns)
{
	__u64 places, mine;

	if (!l || !b)
		return 1;
	places = (__u64)b->most + 1;
	mine = (places + 1) / 2;
	if (patience == PATIENCE_AGAIN)
		mine = places * 9 / 10;
	else if (patience == PATIENCE_KNOWN)
		mine = places;
	return backlog_waiting(l, b, now_ns) < (mine ? mine : 1);
}

/* One more was let in while the queue held so many. Lost under contention, which frees no more
 * than one place. Returns 0 or -1. */
VERIFIED_ALONE int backlog_let_in(struct live *l, __u32 waiting, __u64 now_ns)
{
	__u32 step = (__u32)(now_ns >> LET_IN_SHIFT);
	__u64 old;

	if (!l)
		return -1;
	old = *(volatile __u64 *)&l->let_in;
	if ((__u32)(old >> 32) != step)
		l->let_in_base = waiting;
	return __sync_val_compare_and_swap(
		       &l->let_in, old,
		       (__u32)(old >> 32) == step ? old + 1 : pending_word(step, 1)) == old
		       ? 0
		       : -1;
}

#endif
