/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mark.h - a SYN that waits: what the gate says of it to the tc program behind it (hold.bpf.c), and
 * what is counted.
 */
#ifndef MARK_H
#define MARK_H

#include "sluice.h"

/*
 * In the frame's metadata, which a driver empties before XDP sees a frame: only an XDP program can
 * have written it. (What else may do so, writes something else.)
 */
#define HOLD_MAGIC 0x534c55494345484fULL /* "SLUICEHO" */

struct hold_mark {
	__u64 magic;
};

/* The source address of a frame that comes back, once generic XDP has seen it (gate_came_back). */
#define HOLD_ANONYMOUS                        \
	{                                     \
		0x02, 'S', 'L', 'U', 'I', 'C' \
	}

/* One more that waits. */
static __always_inline void hold_count(struct counters *c, __u64 wait_ns)
{
	__u32 n = time_bucket(wait_ns);

	if (n < TIME_BUCKETS)
		c->held[n]++;
	c->held_ns += wait_ns;
}

#endif
