/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recent.h - what the gate did lately: the last events, who attempts, and a line of seconds. Pure.
 *
 * Events are samples (bpf/events.h); each stands for so many SYNs, and everything here is counted
 * in those. Who attempts is counted by source, by subnet and by wide prefix (IPv4 /16, IPv6 /32),
 * over the last RECENT_WINDOW_S in slices of RECENT_SLICE_S. A table has a fixed number of places: a new
 * prefix takes that of the least busy one of the few that it may have, so that a flood of spoofed
 * addresses pushes out itself and no busy one. Memory is fixed: 3 MB.
 *
 * The main thread's; nothing here locks.
 */
#ifndef RECENT_H
#define RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "events.h"
#include "sluice.h"

#define RECENT_EVENTS	4096
#define RECENT_SECONDS	300
#define RECENT_WINDOW_S 60
#define RECENT_SLICE_S	10
#define RECENT_PLACES	4096 /* prefixes of each kind; a power of two */
#define RECENT_ROWS	100  /* that one recent_rows() gives at most */

#define RECENT_WIDE_V4 16
#define RECENT_WIDE_V6 32

struct recent;

/* One event as it is kept. Sequence numbers begin at 1. */
struct recent_event {
	uint64_t sequence;
	struct event event;
	uint64_t wait_ns; /* of a held one: until its turn */
};

/* One second of the line. All SYNs, not samples. */
struct recent_second {
	uint64_t at_ns;	   /* its end */
	uint64_t took_ns;  /* since the one before */
	uint64_t attempts; /* SYNs that are no retransmits of attempts that are remembered */
	uint64_t verdict[VERDICTS];
	uint32_t load_centi;
	bool load_readable;
	int64_t sessions; /* -1: not counted */
	uint32_t tiers;
	uint32_t mode;
};

/* What came from one prefix, or from all. */
struct recent_row {
	struct prefix_key key;
	uint32_t family;
	uint32_t class; /* of its sources; CLASSES: of several */
	uint64_t attempts;
	uint64_t verdict[VERDICTS]; /* of SYNs */
};

enum recent_kind { RECENT_SOURCE, RECENT_SUBNET, RECENT_WIDE, RECENT_KINDS };

/* seed: random, so that nobody outside chooses places. NULL: no memory. Free: recent_close(). */
struct recent *recent_open(const uint64_t seed[2]);
void recent_close(struct recent *r);

/* Takes one event. The prefixes are those of the policy. */
void recent_add(struct recent *r, const struct policy *p, const struct event *e, uint64_t wait_ns);

/*
 * The first kept event behind a sequence number, or NULL. *missed grows by how many between the two
 * are no longer kept; behind 0 none is missed.
 */
const struct recent_event *recent_after(const struct recent *r, uint64_t sequence,
					uint64_t *missed);

/* The number of the last event; 0: there was none. */
uint64_t recent_last(const struct recent *r);

void recent_add_second(struct recent *r, const struct recent_second *s);

/* The age-th second from the end, 0 the last; NULL: so far back none is kept. */
const struct recent_second *recent_second(const struct recent *r, uint32_t age);

/* The busiest prefixes of a kind, by attempts. Fills at most `most` (<= RECENT_ROWS); returns how
 * many. */
size_t recent_rows(struct recent *r, enum recent_kind kind, uint64_t now_ns, struct recent_row *row,
		   size_t most);

/* One prefix. False: nothing is known of it. */
bool recent_find(struct recent *r, enum recent_kind kind, const struct prefix_key *key,
		 uint64_t now_ns, struct recent_row *row);

/* Shows every prefix of a kind that has attempts in the window, and the most of RECENT_SLICE_S. */
void recent_walk(struct recent *r, enum recent_kind kind, uint64_t now_ns,
		 void (*see)(void *data, const struct recent_row *row, uint64_t busiest),
		 void *data);

/* All of the window together; and the events behind that, and how many seconds they cover. */
void recent_sum(struct recent *r, uint64_t now_ns, struct recent_row *sum, uint64_t *events,
		double *over_s);

/* Is the SYN the first of an attempt, as far as the gate remembers? */
bool recent_is_attempt(uint32_t reason, bool again);

#endif
