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
	struct hold hold;    /* the room, as last seen */
	bool wanted;	     /* pace-horizon is not 0 */
	bool open;	     /* the gate holds */
	bool standing;	     /* there may be a room of ours that is not wanted any more */
	bool due;	     /* something has changed that pacing_is_due() does not see */
	bool too_long;	     /* more waits than pace-horizon allows: nobody joins */
	uint64_t t_ns;	     /* the interval that the room was set to */
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

/* How long the main thread may sleep at most, in ms, so that a queue that is too long is followed. */
int pacing_patience_ms(const struct daemon *d);

/* How long a newcomer would be held now; 0: not at all. The caller holds the lock. */
uint64_t pacing_wait_ns(struct daemon *d);

/* The daemon ends: the gate holds no more. What waits is still let out, by a room that stays; or,
 * where the filter was detached, is waited for before the room is taken away. */
void pacing_end(struct daemon *d);

#endif
