/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * suggest.h - limits from the past, each with its reason and with what it would have touched.
 *
 * The rule is the same for all: twice what 99 minutes in a hundred have needed (of bursts 999 in a
 * thousand, of load and sessions 999 in a thousand and half as much again), and never below a floor
 * that small sites live well with. Of all connections it is also twice what half of the days have
 * needed at their busiest, since what comes every day is no storm. So a storm of a few hours in a month moves no limit, and what it
 * would have met is what `touched` says. Pure.
 */
#ifndef SUGGEST_H
#define SUGGEST_H

#include <stddef.h>
#include <stdint.h>

#include "history.h"

#define SUGGEST_LEAST_MINUTES 60
#define SUGGEST_MOST	      9

struct suggestion {
	const char *section, *key;
	char value[32];
	char reason[320]; /* a sentence */
	/*
	 * Of the attempts of the past: the share that it would have touched. Below 0: of a burst,
	 * which goes with the rate before it.
	 */
	double touched;
	uint32_t at_most;	  /* the share is an upper bound */
	uint32_t touched_minutes; /* in so many of them; of sources and subnets at most */
	uint32_t worst;		  /* of these the one that it would have touched most; 0: none */
};

struct suggestions {
	struct suggestion one[SUGGEST_MOST];
	size_t count;
	uint32_t minutes;     /* looked at */
	uint32_t enforced;    /* of them, so many not in monitor mode */
	uint32_t first, last; /* minutes since 1970 */
	uint64_t attempts;
	uint32_t without_sessions, without_load; /* minutes */
};

/*
 * Looks back at no more than HISTORY_DAYS before the last minute. Returns 0, -ENODATA for fewer than
 * SUGGEST_LEAST_MINUTES (s->minutes says how many), or -ENOMEM.
 */
int suggest_make(const struct history_book *b, uint32_t cpus, struct suggestions *s);

#endif
