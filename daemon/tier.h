/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tier.h - the load predicates delay, queue and refuse: a pure step function.
 *
 * A predicate is entered when the load reaches x-la, and left when the load is below x-la *
 * leave-ratio and it has been active for `hold`. They do not depend on each other. After
 * refuse-max without a pause refuse ends into queue, for REFUSE_PAUSE_NS at least: a load that
 * refusing does not lower (a hung file server, say) must not shut the door for ever.
 */
#ifndef TIER_H
#define TIER_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice.h"

#define TIER_COUNT	3
#define REFUSE_PAUSE_NS (60 * NSEC_PER_SEC)

/* What the step needs of the config. Loads in hundredths; 0 is off. */
struct tier_limits {
	uint32_t delay_la_centi, queue_la_centi, refuse_la_centi;
	uint32_t leave_ratio_percent;
	bool sendmail; /* compat: the load is rounded to a whole number, no leave-ratio */
	uint64_t hold_ns;
	uint64_t refuse_max_ns;
};

/* The controller's memory. All zero is normal. */
struct tier_state {
	uint32_t active;		 /* TIER_ set */
	uint64_t since_ns[TIER_COUNT];	 /* when delay, queue, refuse became active */
	uint64_t refuse_paused_until_ns; /* refuse-max was reached: queue instead, until then */
};

/* One sample. */
struct tier_input {
	uint64_t now_ns;
	bool readable; /* false: the load is unknown, which counts as normal */
	uint32_t load_centi;
	uint32_t blocked; /* tasks in uninterruptible sleep, procs_blocked of /proc/stat */
};

enum tier_why {
	TIER_WHY_NONE,	     /* nothing changed */
	TIER_WHY_LOAD,	     /* the load crossed a threshold */
	TIER_WHY_BLOCKED,    /* as LOAD, and at least half of it is blocked tasks: I/O, not mail */
	TIER_WHY_UNREADABLE, /* the load cannot be read */
	TIER_WHY_REFUSE_MAX, /* refuse has lasted refuse-max */
};

/* Steps the state by one sample. Returns why the active set changed, or TIER_WHY_NONE. */
enum tier_why tier_step(struct tier_state *s, const struct tier_limits *l,
			const struct tier_input *in);

/* "normal", or the most severe active tier. Static storage. */
const char *tier_name(uint32_t active);

#endif
