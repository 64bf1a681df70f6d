/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listed.h - who is listed or learned, as the presence filter has it (bpf/presence.h). Pure.
 */
#ifndef LISTED_H
#define LISTED_H

#include <stdbool.h>
#include <stdint.h>

#include "classes.h"
#include "sluice.h"

/*
 * Fills the column of a class slot that nobody uses yet with all that a list covers, under the seed
 * of this load. Where that would be too much, as with a prefix shorter than /8 (IPv4) or /32 (IPv6),
 * it says of everybody that he may be listed: the gate then asks the tables for all.
 */
void listed_fill(struct presence *p, uint32_t slot, const struct class_list *list, __u64 seed);

/* One entry more; *units is the sum so far. Returns false when the column now has everybody. */
bool listed_add(struct presence *p, uint32_t slot, const struct class_entry *e, __u64 seed,
		uint64_t *units);

/* Somebody is about to be learned, while the filter is in use. Never taken back. */
void listed_learn(struct presence *p, const struct prefix_key *key, __u64 seed);

#endif
