/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sessions.h - what is held open: live sessions, attempts on their way to one, slot time. Pure.
 *
 * An MX breaks by its slots long before its load moves. Three things are known of them here: how
 * many sessions are live (struct live, kept by sessions.bpf.c), how many admitted attempts may
 * still become one (coming.h), and what each source has held (struct holder).
 */
#ifndef SESSIONS_H
#define SESSIONS_H

#include "coming.h"
#include "sluice.h"

#define SESSIONS_TRIES 4

/* Bounds of one charge of slot time, so that the product below stays within 64 bits. */
#define SLOT_ELAPSED_MAX_NS (1ULL << 40) /* 18 minutes */
#define SLOT_SESSIONS_MAX   1024
#define SLOT_DEBT_BURSTS    8
#define SLOT_COST_MASK	    ((1ULL << SLOT_COST_SHIFT) - 1)

enum room { ROOM_FREE, ROOM_PENDING, ROOM_NONE };

/*
 * Is there a slot? Live sessions alone may refuse. Attempts on their way make newcomers wait: those
 * that are expected, and of the others, which can be spoofed, no more than pending_most. A known
 * sender waits for those of known senders alone: the known-share is not for others to fill.
 * Returns an enum room.
 */
VERIFIED_ALONE int sessions_room(const struct session_limits *s, const struct live *l, int known,
				 __u64 now_ns)
{
	__s64 live, coming;
	__u32 pending;

	if (!s || !l)
		return ROOM_FREE;
	live = *(volatile const __s64 *)&l->sessions;
	if (live >= (__s64)(known ? s->most : s->most_unknown))
		return ROOM_NONE;
	if (known) {
		coming = coming_expected(&l->known, COMING_ANY, now_ns);
		return live + coming >= s->most ? ROOM_PENDING : ROOM_FREE;
	}
	coming = coming_expected(&l->everybody, coming_fresh(l, now_ns), now_ns);
	pending = coming_count(&l->everybody, now_ns);
	if (pending > s->pending_most)
		pending = s->pending_most;
	if (coming < pending)
		coming = pending;
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
 * May the source hold one more session, with so many on their way? h is NULL where it never had
 * one. Returns REASON_SOURCE_SESSIONS, REASON_SOURCE_TIME, or REASONS when nothing stands against
 * it. A known source may hold twice as many, and its slot time is not asked for.
 */
VERIFIED_ALONE int holder_verdict(struct holder *h, const struct session_limits *s, int known,
				  __u32 coming, __u64 now_ns)
{
	__u64 sessions;

	if (!s)
		return REASONS;
	sessions = h ? *(volatile __u64 *)&h->sessions : 0;
	if (s->per_source && (sessions >= (__u64)s->per_source << !!known ||
			      sessions + coming >= (__u64)s->per_source << !!known))
		return REASON_SOURCE_SESSIONS;
	if (h && s->slot_cost && !known && holder_debt_ns(h, s, now_ns) > s->slot_tau_ns)
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

#endif
