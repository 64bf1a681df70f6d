/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * coming.h - attempts on their way: let in, and not yet sessions. Pure.
 *
 * Between the SYN that is let in and the session lies a round trip, in which nobody else counts
 * the attempt. Who is let in meanwhile would overrun every limit on sessions, so it is counted
 * here, by the step of time in which it is to arrive. But a SYN can be spoofed, and a flood of
 * those never arrives: what the steps before have lost says how much of the present ones to expect.
 *
 * A word of a ring is its step and a count: one compare-and-exchange, and a slot that the ring has
 * come round to is none of the present one's. CPUs a tick apart write different slots at worst.
 */
#ifndef COMING_H
#define COMING_H

#include "sluice.h"

#define COMING_TRIES 4

/* Left as a loop: what it takes of the short stack unrolled, others need. */
#ifdef __clang__
#define KEEP_LOOP _Pragma("clang loop unroll(disable)")
#else
#define KEEP_LOOP
#endif

/* --- one count a step ------------------------------------------------------------------------ */

static __always_inline __u64 step_word(__u32 step, __u32 count)
{
	return (__u64)step << 32 | count;
}

static __always_inline __u32 step_count(const __u64 *slot, __u32 step)
{
	__u64 word = *(volatile const __u64 *)slot, differs = word >> 32 ^ step;

	return (__u32)word * (__u32)((differs - 1) >> 63); /* no branch: coming_match() */
}

/*
 * One more in this step. Returns 0, or -1 when it was lost under contention. (NULL is never passed
 * here or below; the verifier asks for the check.)
 */
VERIFIED_ALONE int step_add(__u64 *slot, __u32 step)
{
	if (!slot)
		return -1;
	for (int i = 0; i < COMING_TRIES; i++) {
		__u64 old = *(volatile __u64 *)slot;
		__u64 next = old >> 32 == step ? old + 1 : step_word(step, 1);

		if (__sync_val_compare_and_swap(slot, old, next) == old)
			return 0;
	}
	return -1;
}

/* One less in this step. Returns 0, or -1: it no longer counts, or it was lost. */
VERIFIED_ALONE int step_sub(__u64 *slot, __u32 step)
{
	if (!slot)
		return -1;
	for (int i = 0; i < COMING_TRIES; i++) {
		__u64 old = *(volatile __u64 *)slot;

		if (old >> 32 != step || !(__u32)old)
			return -1;
		if (__sync_val_compare_and_swap(slot, old, old - 1) == old)
			return 0;
	}
	return -1;
}

/* --- of everybody: how many were let in, and how many of them are still to arrive -------------- */

#define COMING_BITS 22 /* 4 million a step each; above them 20 bits of the step: 13 days */
#define COMING_MASK ((1ULL << COMING_BITS) - 1)
#define COMING_ONE  ((1ULL << COMING_BITS) + 1) /* let in, and to arrive */

/* Sums over some steps. */
struct coming_sum {
	__u64 let_in, to_arrive;
	__u64 steps; /* in which anybody was let in */
};

static __always_inline __u32 coming_step(__u64 at_ns)
{
	return (__u32)(at_ns >> COMING_SHIFT);
}

static __always_inline __u64 coming_head(__u32 step)
{
	return (__u64)step << 2 * COMING_BITS;
}

static __always_inline int coming_is_of(__u64 word, __u32 step)
{
	return !((word ^ coming_head(step)) >> 2 * COMING_BITS);
}

/*
 * One more was let in that is to arrive at that time. Returns 0, or -1 when it was lost under
 * contention: then it counts when it is a session.
 */
VERIFIED_ALONE int coming_add(struct coming *c, __u64 at_ns)
{
	__u32 step = coming_step(at_ns);
	__u64 *slot;

	if (!c)
		return -1;
	slot = &c->word[step & (COMING_RING - 1)];
	for (int i = 0; i < COMING_TRIES; i++) {
		__u64 old = *(volatile __u64 *)slot;
		__u64 next = old + COMING_ONE;

		if (!coming_is_of(old, step))
			next = coming_head(step) + COMING_ONE;
		else if ((old >> COMING_BITS & COMING_MASK) == COMING_MASK)
			return -1;
		if (__sync_val_compare_and_swap(slot, old, next) == old)
			return 0;
	}
	return -1;
}

/* One that was to arrive in that step has. Returns 0, or -1: it no longer counts. */
VERIFIED_ALONE int coming_arrived(struct coming *c, __u32 step)
{
	__u64 *slot;

	if (!c)
		return -1;
	slot = &c->word[step & (COMING_RING - 1)];
	for (int i = 0; i < COMING_TRIES; i++) {
		__u64 old = *(volatile __u64 *)slot;

		if (!coming_is_of(old, step) || !(old & COMING_MASK))
			return -1;
		if (__sync_val_compare_and_swap(slot, old, old - 1) == old)
			return 0;
	}
	return -1;
}

/* 1 if the step is the word's, else 0; without a branch, of which each doubles what the verifier
 * has to walk in a loop. */
static __always_inline __u64 coming_match(__u64 word, __u32 step)
{
	__u64 differs = (word ^ coming_head(step)) >> 2 * COMING_BITS;

	return (differs - 1) >> 63;
}

/* Sums so many steps from the first on. The bound of the loop is a constant at each caller. */
static __always_inline struct coming_sum coming_over(const struct coming *c, __u32 first,
						     __u32 steps)
{
	struct coming_sum sum = {};

	KEEP_LOOP
	for (__u32 i = 0; i < steps; i++) {
		__u64 word = *(volatile const __u64 *)&c->word[(first + i) & (COMING_RING - 1)];
		__u64 match = coming_match(word, first + i);

		sum.let_in += (word >> COMING_BITS & COMING_MASK) * match;
		sum.to_arrive += (word & COMING_MASK) * match;
		sum.steps += match;
	}
	return sum;
}

/*
 * Attempts that are no sessions yet, of the last COMING_STEPS steps and of those held until later.
 * Spoofed ones among them.
 */
static __always_inline __u32 coming_count(const struct coming *c, __u64 now_ns)
{
	return (__u32)coming_over(c, coming_step(now_ns) - (COMING_STEPS - 1),
				  COMING_STEPS + COMING_AHEAD)
		.to_arrive;
}

/* What the steps before the young ones have lost: as many of the young ones as that is will be. */
static __always_inline struct coming_sum coming_past(const struct coming *c, __u64 now_ns)
{
	return coming_over(c, coming_step(now_ns) - (COMING_STEPS - 1), COMING_PAST);
}

/*
 * So many of COMING_YOUNG steps will never arrive, if those before are a guide: what a step of
 * theirs has lost, and a quarter more, as chance has it. Steps without anybody say nothing, so that
 * a flood is known for one as soon as its first step is no longer young.
 */
static __always_inline __u64 coming_lost(const struct coming_sum *past)
{
	return past->steps ? past->to_arrive * COMING_YOUNG * 5 / (past->steps * 4) : 0;
}

/*
 * How many attempts that were let in are still to be expected as sessions: of the fresh ones the
 * share that arrived of those before, or what is more of the young ones than a steady flood would be.
 * So a burst of real clients counts in full, also within a flood; a flood counts for as long as it is
 * young itself, COMING_YOUNG steps, and hardly at all from then on. fresh: of coming_fresh(), or
 * COMING_ANY where only the young ones are known.
 */
#define COMING_ANY (~0ULL)

VERIFIED_ALONE int coming_expected(const struct coming *c, __u64 fresh, __u64 now_ns)
{
	struct coming_sum past, young;
	__u64 share, more, lost;

	if (!c)
		return 0;
	past = coming_past(c, now_ns);
	young = coming_over(c, coming_step(now_ns) - (COMING_YOUNG - 1),
			    COMING_YOUNG + COMING_AHEAD);
	if (past.to_arrive > past.let_in)
		past.to_arrive = past.let_in;
	if (fresh > young.to_arrive)
		fresh = young.to_arrive;
	share = fresh * (past.let_in - past.to_arrive + 1) / (past.let_in + 1);
	lost = coming_lost(&past);
	more = young.to_arrive > lost ? young.to_arrive - lost : 0;
	return (int)(share > more ? share : more);
}

/* --- of one source ----------------------------------------------------------------------------- */

static __always_inline __u32 coming_of_source_step(__u64 at_ns)
{
	return (__u32)(at_ns >> COMING_OF_SOURCE_SHIFT);
}

static __always_inline int coming_of_source_add(struct coming_of_source *c, __u64 at_ns)
{
	__u32 step = coming_of_source_step(at_ns);

	return step_add(&c->word[step & (COMING_OF_SOURCE_RING - 1)], step);
}

static __always_inline int coming_of_source_arrived(struct coming_of_source *c, __u64 at_ns)
{
	__u32 step = coming_of_source_step(at_ns);

	return step_sub(&c->word[step & (COMING_OF_SOURCE_RING - 1)], step);
}

/* Its attempts of this step, the one before, and those that are held until later. */
VERIFIED_ALONE int coming_of_source_count(const struct coming_of_source *c, __u64 now_ns)
{
	__u32 first = coming_of_source_step(now_ns) - 1, count = 0;

	if (!c)
		return 0;
	KEEP_LOOP
	for (__u32 i = 0; i < COMING_OF_SOURCE_RING - 1; i++)
		count += step_count(&c->word[(first + i) & (COMING_OF_SOURCE_RING - 1)], first + i);
	return (int)count;
}

/* --- what is let in to the accept queues just now, and what waits in the room ------------------ */

static __always_inline __u32 near_step(__u64 at_ns)
{
	return (__u32)(at_ns >> NEAR_SHIFT) & NEAR_MASK;
}

static __always_inline int near_add(struct live *l, __u64 turn_ns)
{
	__u32 step = near_step(turn_ns);

	return step_add(&l->near[step & (NEAR_RING - 1)], step);
}

/* One of that near_step() has arrived. */
static __always_inline int near_arrived(struct live *l, __u32 step)
{
	return step_sub(&l->near[step & (NEAR_RING - 1)], step);
}

/*
 * Let in within NEAR_FRESH steps, or waiting in the room, and no session yet. A step of everybody is
 * a whole number of near ones: what waits until a later one is counted there.
 */
static __always_inline __u64 coming_fresh(const struct live *l, __u64 now_ns)
{
	int waiting = *(volatile const __u64 *)&l->held_until_ns > now_ns;
	__u32 now = near_step(now_ns), last = waiting ? now | (NEAR_OF_COMING - 1) : now;
	__u64 count = 0;

	KEEP_LOOP
	for (__u32 i = 0; i < NEAR_FRESH + NEAR_OF_COMING; i++) {
		__u32 step = (now - (NEAR_FRESH - 1) + i) & NEAR_MASK;

		count += step_count(&l->near[step & (NEAR_RING - 1)], step);
		if (step == last)
			break;
	}
	if (waiting)
		count +=
			coming_over(&l->everybody, coming_step(now_ns) + 1, COMING_AHEAD).to_arrive;
	return count;
}

/*
 * Let in within the last NEAR_STEPS steps, about the longest round trip, no session yet, and more
 * than a steady flood would be.
 */
static __always_inline __u32 near_expected(const struct live *l, __u64 now_ns)
{
	__u32 now = near_step(now_ns), count = 0;
	struct coming_sum past = coming_past(&l->everybody, now_ns);
	__u64 lost = coming_lost(&past) / NEAR_OF_YOUNG;

	KEEP_LOOP
	for (__u32 i = 0; i < NEAR_STEPS; i++) {
		__u32 step = (now - i) & NEAR_MASK;

		count += step_count(&l->near[step & (NEAR_RING - 1)], step);
	}
	return count > lost ? count - (__u32)lost : 0;
}

/* Which of HELD_LISTENERS a listener is; two that share a number count together. */
static __always_inline __u32 held_slot(__u32 address, __u16 port)
{
	return ((address ^ port) * 2654435761U) >> 30; /* by the golden ratio; two bits */
}

static __always_inline int held_add(struct live *l, __u32 slot, __u64 turn_ns)
{
	__u32 step = (__u32)(turn_ns >> HELD_SHIFT);

	return step_add(&l->held[slot & (HELD_LISTENERS - 1)][step & (HELD_RING - 1)], step);
}

/*
 * How many wait in the room for that listener, by what they were told. Of the present step so many
 * as is left of it, and two more: they do not leave at even distances.
 */
VERIFIED_ALONE int held_now(const struct live *l, __u32 slot, __u64 now_ns)
{
	__u32 step = (__u32)(now_ns >> HELD_SHIFT), count, left;
	__u64 left_ns = (1ULL << HELD_SHIFT) - (now_ns & ((1ULL << HELD_SHIFT) - 1));

	if (!l || *(volatile const __u64 *)&l->held_until_ns <= now_ns)
		return 0;
	slot &= HELD_LISTENERS - 1;
	count = step_count(&l->held[slot][step & (HELD_RING - 1)], step);
	left = (__u32)(count * left_ns >> HELD_SHIFT) + 2;
	if (count > left)
		count = left;
	KEEP_LOOP
	for (__u32 i = 1; i < HELD_STEPS; i++)
		count += step_count(&l->held[slot][(step + i) & (HELD_RING - 1)], step + i);
	return (int)count;
}

/* Until when somebody is in the room, as all were told. */
static __always_inline void held_until(struct live *l, __u64 left_ns)
{
	__u64 last_ns = *(volatile __u64 *)&l->held_until_ns;

	/* A lost race leaves an end that is a little early: the last ones then do not count. */
	if (left_ns > last_ns)
		__sync_val_compare_and_swap(&l->held_until_ns, last_ns, left_ns);
}

/*
 * What an admitted attempt has to know for its arrival, in one word: in its upper half the step of
 * everybody, below it the near one, in the lowest byte ADMITTED_.
 */
static __always_inline __u64 admitted_coming(__u64 turn_ns, __u32 flags)
{
	return (__u64)coming_step(turn_ns) << 32 | near_step(turn_ns) << 8 | flags;
}

static __always_inline __u32 admitted_step(__u64 coming)
{
	return (__u32)(coming >> 32);
}

static __always_inline __u32 admitted_near(__u64 coming)
{
	return (__u32)coming >> 8;
}

/*
 * Notes an attempt that is let in at turn_ns. left_ns: until then it may be in the waiting room; 0:
 * it goes at once. slot: of the listener, or HELD_NOWHERE. Returns 0, or -1: without live sessions.
 */
VERIFIED_ALONE int coming_note(struct live *l, __u64 turn_ns, __u64 left_ns, __u32 slot, __u32 rank)
{
	if (!l)
		return -1;
	coming_add(&l->everybody, turn_ns);
	if (rank == CLASS_KNOWN)
		coming_add(&l->known, turn_ns);
	near_add(l, turn_ns);
	if (left_ns) {
		held_until(l, left_ns);
		if (slot < HELD_LISTENERS)
			held_add(l, slot, left_ns);
	}
	return 0;
}

#endif
