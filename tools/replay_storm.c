// SPDX-License-Identifier: GPL-2.0-or-later
#include "replay_storm.h"

#include <arpa/inet.h>
#include <math.h>

#define STORM_DEST 0x0afffffeU /* 10.255.255.254: of us; no source is called so */

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) */
static uint64_t draw(struct storm *s)
{
	uint64_t z = s->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* Of (0, 1]: the 53 bits that a double holds. */
static double draw_share(struct storm *s)
{
	return (double)((draw(s) >> 11) + 1) * 0x1p-53;
}

static union addr address(uint32_t host)
{
	union addr a = {.word = {0, 0, V4_MAPPED_WORD, htonl(host)}};

	return a;
}

bool storm_next(struct storm *s, uint64_t *at_ns, struct attempt *a)
{
	uint64_t random;
	uint32_t n;

	s->at_ns -= log(draw_share(s)) * s->interval_ns;
	if (!(s->at_ns < (double)s->for_ns))
		return false;
	*at_ns = (uint64_t)s->at_ns;
	n = (uint32_t)(draw(s) % s->sources);
	random = draw(s);
	*a = (struct attempt){
		/* The hosts of a subnet are 1 to 254, the subnets count up. */
		.source = address(0x0a000000U + n % s->subnets * 256 + n / s->subnets + 1),
		.dest = address(STORM_DEST),
		.source_port = (uint16_t)(random >> 48),
		.dest_port = htons(s->port),
		.isn = (uint32_t)random,
		.family = FAMILY_V4,
	};
	return true;
}
