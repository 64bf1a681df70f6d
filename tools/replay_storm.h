/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay_storm.h - a storm that is made up: attempts at random moments from so many sources. Pure.
 *
 * The moments are those of a Poisson process: how many come in a second varies as it does where
 * senders know nothing of each other. The sources are in 10.0.0.0/8, each attempt's is chosen at
 * random, and they are spread over subnets, each of which has as many. The same seed makes the
 * same storm.
 */
#ifndef REPLAY_STORM_H
#define REPLAY_STORM_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice.h"

#define STORM_RATE_MAX	   50000U /* a second: with the longest waits what may wait at a time */
#define STORM_SUBNETS_MAX  65536U /* the /24s in 10.0.0.0/8 */
#define STORM_HOSTS_MAX	   254U	  /* in each */
#define STORM_SOURCES_MAX  (STORM_SUBNETS_MAX * STORM_HOSTS_MAX)
#define STORM_ATTEMPTS_MAX 1000000000U

struct storm {
	double interval_ns; /* on average; at least 1e9 / STORM_RATE_MAX */
	uint32_t sources, subnets;
	uint64_t for_ns;
	uint64_t random; /* the seed, and then the state */
	uint16_t port;	 /* that is asked for */
	double at_ns;	 /* of the last attempt; begins at 0 */
};

/* The next attempt and its moment from the beginning. False: the storm is over. */
bool storm_next(struct storm *s, uint64_t *at_ns, struct attempt *a);

#endif
