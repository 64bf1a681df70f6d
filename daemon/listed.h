/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listed.h - the class lists as the presence filter has them (bpf/presence.h). Pure.
 */
#ifndef LISTED_H
#define LISTED_H

#include <stdbool.h>
#include <stdint.h>

#include "classes.h"
#include "sluice.h"

/*
 * Fills a filter that nobody uses yet with all that a list covers, under the seed of this load.
 * Where that would be too much, as with a prefix shorter than /8 (IPv4) or /32 (IPv6), it says of
 * everybody that he may be listed: the gate then goes the whole way for all.
 */
void listed_fill(__u64 bits[static PRESENCE_SOURCE_WORDS], const struct class_list *list,
		 __u64 seed);

/* One entry more; *units is the sum so far. Returns false when the filter now has everybody. */
bool listed_add(__u64 bits[static PRESENCE_SOURCE_WORDS], const struct class_entry *e, __u64 seed,
		uint64_t *units);

#endif
