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

/* Sets the bits of all that a prefix covers. Returns how many units that were, or 0: too many. */
static uint64_t cover(__u64 *bits, const struct class_entry *e, __u64 seed)
{
	const uint32_t unit = e->family == FAMILY_V4 ? UNIT_V4 : UNIT_V6;
	const uint32_t shorter = e->bits < unit ? unit - e->bits : 0;
	const int word = e->family == FAMILY_V4 ? 3 : 1; /* of the address: where the unit ends */
	const uint32_t step = 1U << (e->family == FAMILY_V4 ? 32 - UNIT_V4 : 64 - UNIT_V6);
	union addr a = e->addr;

	if (shorter > SHORTER_MOST)
		return 0;
	for (uint32_t i = 0; i < 1U << shorter; i++) {
		uint64_t source = presence_source(&a, seed);

		bits[source / 64] |= 1ULL << source % 64;
		a.word[word] = htonl(ntohl(a.word[word]) + step);
	}
	return 1ULL << shorter;
}

bool listed_add(__u64 bits[static PRESENCE_SOURCE_WORDS], const struct class_entry *e, __u64 seed,
		uint64_t *units)
{
	uint64_t covered = cover(bits, e, seed);

	*units += covered;
	if (covered && *units <= UNITS_MOST)
		return true;
	memset(bits, 0xff, PRESENCE_SOURCE_WORDS * sizeof(*bits));
	return false;
}

void listed_fill(__u64 bits[static PRESENCE_SOURCE_WORDS], const struct class_list *list,
		 __u64 seed)
{
	uint64_t units = 0;

	memset(bits, 0, PRESENCE_SOURCE_WORDS * sizeof(*bits));
	for (size_t i = 0; i < list->count; i++)
		if (!listed_add(bits, &list->entry[i], seed, &units))
			return;
}
