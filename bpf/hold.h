/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hold.h - what the gate says to the tc program behind it (hold.bpf.c), and when.
 */
#ifndef HOLD_MARK_H
#define HOLD_MARK_H

#include "sluice.h"

/*
 * In the frame's metadata, which a driver empties before XDP sees a frame: only an XDP program can
 * have written it. (What else may do so, writes something else.)
 */
#define HOLD_MAGIC 0x534c55494345484fULL /* "SLUICEHO" */

struct hold_mark {
	__u64 magic;
};

/*
 * Does it take its place in the room? Also the one that takes a bucket's last token does, though
 * its turn is now: the room spaces what it lets out, and so the first that waits has somebody to
 * be spaced from. Without it that one would leave at once, an interval early.
 */
static __always_inline int hold_paces(const struct bucket *global, __u64 debt_ns)
{
	return debt_ns + global->t_ns > global->tau1_ns;
}

/* The n of the first bucket, of less than 2^n ms, that a time falls in. */
static __always_inline __u32 hold_bucket(__u64 ns)
{
	__u64 ms = ns / NSEC_PER_MSEC;
	__u32 n = 0;

	for (; n < TIME_BUCKETS - 1; n++)
		if (ms < 1ULL << n)
			break;
	return n;
}

/* One more that waits. */
static __always_inline void hold_count(struct counters *c, __u64 wait_ns)
{
	__u32 n = hold_bucket(wait_ns);

	if (n < TIME_BUCKETS)
		c->held[n]++;
	c->held_ns += wait_ns;
}

#endif
