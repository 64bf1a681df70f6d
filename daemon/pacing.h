/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pacing.h - HOLD as the daemon sees it: keeps the waiting room as the config wants it, lets the
 * gate hold only while it stands, and knows how it fares.
 *
 * The main thread's alone: rtnetlink may have to wait for others, and the lease may not.
 */
#ifndef PACING_H
#define PACING_H

#include "hold.h"

#define PACING_LEASE_NS (5 * NSEC_PER_SEC) /* the gate holds for so long without a look */

struct pacing {
	struct hold hold;     /* the room, as last seen */
	bool wanted;	      /* pace-horizon is not 0 */
	bool open;	      /* the gate holds */
	bool standing;	      /* there may be a room of ours that is not wanted any more */
	uint64_t t_ns;	      /* the interval of the bucket that the room follows */
	uint64_t room_t_ns;   /* its own, which is shorter where it would be late for good */
	uint64_t leave_by_ns; /* those who wait have left by then, so it is shorter; 0: it is not */
	uint64_t queue_ns;  /* under the lock: more waits than pace-horizon allows, so long; or 0 */
	uint64_t tended_ns; /* when it was last looked at */
	uint64_t horizon_ns; /* pace-horizon and the newcomers' tolerance then */
	uint64_t tau1_ns;
	uint64_t drained_ns;  /* those who waited when it last became slower have left by then */
	uint64_t closed_ns;   /* when the gate ceased to hold */
	uint64_t unmarked;    /* SYNs that could not be marked, of the counters */
	uint64_t unmarked_ns; /* when that was last seen to grow */
	uint64_t marked;      /* SYNs that were marked, and those that the room's filter has seen */
	uint64_t met;
	uint64_t unmet_ns; /* when marked ones were last seen to meet no filter */
	char problem[512]; /* why nothing is held though it is wanted: a sentence, or empty */
};

struct daemon;

/* Sees to the room; after every tick and every change of the config. Takes the lock. */
void pacing_tend(struct daemon *d);

/* Has something changed that the room must follow at once? Then it is to be tended now. */
bool pacing_is_due(struct daemon *d);

/* How long the main thread may sleep, in ms: less while more waits than pace-horizon allows. */
int pacing_patience_ms(const struct daemon *d);

/* How long a newcomer would be held now; 0: not at all. The caller holds the lock. */
uint64_t pacing_wait_ns(struct daemon *d);

/* The longest wait that the policy's tolerances need room for. The caller holds the lock. */
uint64_t pacing_horizon_ns(const struct daemon *d);

/*
 * The XDP mode of an interface is about to change, and with it how the gate knows what comes out of
 * the room: it is let run empty first, for some seconds at most. Takes the lock.
 */
void pacing_drain(struct daemon *d, const struct config *next);

/* The daemon ends: the gate holds no more. What waits is still let out, by a room that stays; or,
 * where the filter was detached, is waited for before the room is taken away. */
void pacing_end(struct daemon *d);

#endif
