// SPDX-License-Identifier: GPL-2.0-or-later
#include "listed.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "presence.h"

#define UNIT_V4 24 /* the filter's sources: a /24, a /48 */
#define UNIT_V6 48

/* A prefix that is so much shorter is not enumerated, nor are more of all than this: some 30 ms. */
#define SHORTER_MOST 16
#define UNITS_MOST   (8U << 20)

/* One bit after the other: who looks meanwhile sees what is there already. */
static void set(struct presence *p, int column, const union addr *a, __u64 seed)
{
	__u64 source = presence_source(a, seed);

	__atomic_fetch_or(&presence_source_at(p, source)->column[column],
			  presence_source_bits(source), __ATOMIC_RELEASE);
}

static void set_everybody(struct presence *p, int column)
{
	for (size_t i = 0; i < PRESENCE_SOURCES; i++)
		__atomic_store_n(&p->source[i].column[column], ~0ULL, __ATOMIC_RELEASE);
}

/* Sets the bits of all that a prefix covers. Returns how many units that were, or 0: too many. */
static uint64_t cover(struct presence *p, int column, const union addr *from, bool v4,
		      uint32_t bits, __u64 seed)
{
	const uint32_t unit = v4 ? UNIT_V4 : UNIT_V6;
	const uint32_t shorter = bits < unit ? unit - bits : 0;
	const int word = v4 ? 3 : 1; /* of the address: where the unit ends */
	const uint32_t step = 1U << (v4 ? 32 - UNIT_V4 : 64 - UNIT_V6);
	union addr a = *from;

	if (shorter > SHORTER_MOST)
		return 0;
	for (uint32_t i = 0; i < 1U << shorter; i++) {
		set(p, column, &a, seed);
		a.word[word] = htonl(ntohl(a.word[word]) + step);
	}
	return 1ULL << shorter;
}

bool listed_add(struct presence *p, uint32_t slot, const struct class_entry *e, __u64 seed,
		uint64_t *units)
{
	const int column = PRESENCE_LISTED(slot);
	uint64_t covered = cover(p, column, &e->addr, e->family == FAMILY_V4, e->bits, seed);

	*units += covered;
	if (covered && *units <= UNITS_MOST)
		return true;
	set_everybody(p, column);
	return false;
}

void listed_fill(struct presence *p, uint32_t slot, const struct class_list *list, __u64 seed)
{
	uint64_t units = 0;

	for (size_t i = 0; i < PRESENCE_SOURCES; i++)
		p->source[i].column[PRESENCE_LISTED(slot)] = 0;
	for (size_t i = 0; i < list->count; i++)
		if (!listed_add(p, slot, &list->entry[i], seed, &units))
			return;
}

void listed_learn(struct presence *p, const struct prefix_key *key, __u64 seed)
{
	bool v4 = !key->addr.half[0] && key->addr.word[2] == V4_MAPPED_WORD && key->bits >= 96;
	uint32_t bits = (uint32_t)(v4 ? key->bits - 96 : key->bits);

	if (!cover(p, PRESENCE_LEARNED, &key->addr, v4, bits, seed))
		set_everybody(p, PRESENCE_LEARNED);
}
