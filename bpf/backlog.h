/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backlog.h - has the accept queue of the listener room for one more? Pure.
 */
#ifndef BACKLOG_H
#define BACKLOG_H

#include "coming.h"
#include "sluice.h"

#define BACKLOG_TRIES 4

/* How full the accept queue is that a SYN would end in. */
struct backlog {
	__u32 waiting; /* sk_ack_backlog: connected, and not accepted by the MTA */
	__u32 young;   /* requests whose SYN-ACK was sent once: they come within a round trip */
	__u32 most;    /* sk_max_ack_backlog */
	__u32 slot;    /* of held_slot(): whose waiters count */
	__u32 blind; /* so many requests that the kernel answers by cookies: young shows nothing */
};

enum patience { PATIENCE_NEW, PATIENCE_AGAIN, PATIENCE_KNOWN };

/* Steps of about a millisecond: no longer than the coarse clock's, so that one is never split. */
#define LET_IN_SHIFT 20

/* SYNs that the stack may have been given and not looked at yet (net.core.gro_normal_batch). */
#define LET_IN_UNSEEN 8

/* The word of what was let in within a step: step, what was known at its start, how many since. */
static __always_inline __u64 let_in_word(__u32 step, __u32 base, __u32 count)
{
	return (__u64)step << 32 | (__u64)(base < 0xffff ? base : 0xffff) << 16 | count;
}

/*
 * What is in the queue or about to be. A kernel that has too many requests answers by SYN cookies
 * and notes nothing: then what was let in within about a round trip counts instead of what it shows.
 */
static __always_inline __u64 backlog_known(const struct live *l, const struct backlog *b,
					   __u64 now_ns)
{
	__u64 coming = b->young;

	if (b->blind) {
		__u32 near = near_expected(l, now_ns);

		if (near > coming)
			coming = near;
	}
	return b->waiting + coming;
}

/* Newcomers may fill half of the queue, who has waited nine tenths, known senders all of it; one
 * place each at least. The kernel takes one more than most (sk_acceptq_is_full, net/sock.h). */
static __always_inline __u64 backlog_places(const struct backlog *b, int patience)
{
	__u64 places = (__u64)b->most + 1, mine = (places + 1) / 2;

	if (patience == PATIENCE_AGAIN)
		mine = places * 9 / 10;
	else if (patience == PATIENCE_KNOWN)
		mine = places;
	return mine ? mine : 1;
}

/*
 * Takes a place in the queue, if there is one: those who wait in the room for it have theirs, and so has
 * what was let in within this step of the clock, as SYNs that are polled together are judged before
 * the stack sees the first of them. No more than a batch of them can be unseen at a time, so that
 * those let in to other listeners do not count for ever. One exchange, so that two CPUs never take
 * the last place twice; under contention it is given away, which is one too many at most.
 * wait_ns: this SYN is to wait in the room, and takes its place there. A place of which no use is
 * made after all is lost for this step. Returns 1, or 0: no room.
 */
VERIFIED_ALONE int backlog_claim(struct live *l, const struct backlog *b, int patience,
				 __u64 wait_ns, __u64 now_ns)
{
	__u32 step = (__u32)(now_ns >> LET_IN_SHIFT);
	__u64 known, mine, room;

	if (!l || !b)
		return 1;
	known = backlog_known(l, b, now_ns);
	mine = backlog_places(b, patience);
	room = (__u64)held_now(l, b->slot, now_ns);
	for (int i = 0; i < BACKLOG_TRIES; i++) {
		__u64 old = *(volatile __u64 *)&l->let_in, waiting = known, base = known, count = 0;

		if ((__u32)(old >> 32) == step) {
			base = old >> 16 & 0xffff;
			count = old & 0xffff;
			if (base + count > waiting)
				waiting = base + count;
			if (waiting > known + LET_IN_UNSEEN)
				waiting = known + LET_IN_UNSEEN;
		}
		if (waiting + room >= mine)
			return 0;
		if (wait_ns || count == 0xffff)
			return 1;
		if (__sync_val_compare_and_swap(&l->let_in, old,
						let_in_word(step, (__u32)base, count + 1)) == old)
			return 1;
	}
	return 1;
}

#endif
