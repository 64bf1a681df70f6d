/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gcra.h - the one-word token bucket.
 *
 * The whole state of a bucket is its theoretical arrival time, tat: the moment at which it will
 * be full again (generic cell rate algorithm, ITU-T I.371, virtual scheduling). What it owes, its
 * debt, is tat - now. A connection conforms while the debt is within a tolerance, and is charged
 * by moving tat on, with one 64-bit compare-and-exchange: no lock, no second word, no division.
 *
 * Who has waited, or is known, is given a larger tolerance on the same word. So a bucket under
 * overload hovers at the newcomers' tolerance, and the patient always find room above it.
 */
#ifndef GCRA_H
#define GCRA_H

#include "sluice.h"

#define GCRA_TRIES 4

enum charge { CHARGE_OK, CHARGE_DENIED, CHARGE_CONTENDED };

/* What a look at a bucket says: the base that a charge adds to, and the debt that is judged. */
struct gcra_view {
	__u64 base_ns;
	__u64 debt_ns;
	__u32 repaired; /* the debt was left over from another policy */
};

/*
 * Reads a word as of now, for somebody who may owe tau. A debt clearly above debt_max cannot come
 * from this policy: it counts as tau1, or as tau where that is less, so that the next SYN conforms
 * and its charge repairs the word. (Without this a limit that is loosened leaves everybody out for
 * as long as the old one would have.)
 */
static __always_inline struct gcra_view gcra_look(__u64 tat_ns, __u64 now_ns,
						  const struct bucket *b, __u64 tau_ns)
{
	struct gcra_view v = {.base_ns = now_ns};

	if (tat_ns <= now_ns)
		return v;
	v.base_ns = tat_ns;
	v.debt_ns = tat_ns - now_ns;
	if (v.debt_ns > b->debt_max_ns + CLOCK_APART_NS) {
		v.debt_ns = tau_ns < b->tau1_ns ? tau_ns : b->tau1_ns;
		v.base_ns = now_ns + v.debt_ns;
		v.repaired = 1;
	}
	return v;
}

/* One charge: what is asked, and what came of it. */
struct gcra_op {
	__u64 now_ns;
	__u64 cost_ns;
	__u64 tau_ns;	  /* the debt up to which it conforms */
	__u64 written_ns; /* on CHARGE_OK the word as it was left; a refund by exchange needs it */
	__u64 repaired;	  /* on CHARGE_OK: the word was put right */
};

/*
 * Charges a word if its debt is within the tolerance. Returns an enum charge. (NULL is never
 * passed; the verifier asks for the check.)
 */
VERIFIED_ALONE int gcra_charge(__u64 *word, const struct bucket *b, struct gcra_op *op)
{
	if (!word || !b || !op)
		return CHARGE_DENIED;
	for (int i = 0; i < GCRA_TRIES; i++) {
		__u64 old = *(volatile __u64 *)word;
		struct gcra_view v = gcra_look(old, op->now_ns, b, op->tau_ns);

		if (v.debt_ns > op->tau_ns)
			return CHARGE_DENIED;
		op->written_ns = v.base_ns + op->cost_ns;
		op->repaired = v.repaired;
		if (__sync_val_compare_and_swap(word, old, op->written_ns) == old)
			return CHARGE_OK;
	}
	return CHARGE_CONTENDED;
}

/* Gives a charge back on a word that everybody writes: what others charged meanwhile stays. */
static __always_inline void gcra_refund_add(__u64 *word, __u64 cost_ns)
{
	__sync_fetch_and_add(word, -cost_ns);
}

/*
 * Gives a charge back only if nobody has written the word since. Returns 0, or -1 when the refund
 * is lost: the bucket then owes one cost too much, which time heals.
 */
static __always_inline int gcra_refund_exact(__u64 *word, __u64 cost_ns, __u64 written_ns)
{
	__u64 old = __sync_val_compare_and_swap(word, written_ns, written_ns - cost_ns);

	return old == written_ns ? 0 : -1;
}

#endif
