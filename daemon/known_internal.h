/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * known_internal.h - the table of known senders, as its two rooms share it: known.c has the rule
 * and the order of the entries, known_file.c the file.
 *
 * An entry is a slot of one array. It is found by a chained hash; it stands in a heap by the
 * moment when its standing ends; a candidate stands in a list, the one seen longest ago first; and
 * what the kernel has not been told yet stands in a queue. All of them link slots by their number.
 */
#ifndef KNOWN_INTERNAL_H
#define KNOWN_INTERNAL_H

#include "known.h"

#define NO_SLOT UINT32_MAX

/* A clock beyond this (the year 19,000) is taken for this, so that sums of times have room. */
#define KNOWN_CLOCK_MAX_S (UINT64_C(1) << 39)

struct slot {
	struct prefix_key key;
	uint64_t seen_s;       /* its last good session; with no days, of no meaning */
	uint64_t counted_s;    /* the last one that counted as a day */
	uint64_t good_until_s; /* marks; 0: none */
	uint64_t bad_until_s;
	uint64_t due_s;	       /* when its standing ends; NEVER_NS: never */
	uint64_t told_until_s; /* what the kernel was told, unless told_class is unknown */
	uint32_t told_class;
	uint32_t chain; /* the next of its bucket, or of the free ones: index + 1, or 0 */
	uint32_t older, newer;
	uint32_t place; /* in the heap */
	uint32_t next_change;
	uint16_t days;
	bool added;
	uint8_t standing; /* enum standing; NONE: free, or gone with the kernel not told yet */
	bool queued;
};

struct known {
	/* The rule. */
	uint32_t days;
	uint64_t bytes, for_s, candidate_s;
	/* Table seconds base_s were at base_boot_ns. */
	uint64_t base_s, base_boot_ns;

	size_t most, slots;
	struct slot *slot;
	uint32_t touched; /* slots from here on were never used, nor written */
	uint32_t free;	  /* the first free one of the others: index + 1, or 0 */
	uint32_t free_count;
	uint32_t *bucket; /* heads of the chains: index + 1, or 0 */
	uint32_t bucket_mask;
	__u64 seed[2];
	uint32_t *heap;
	uint32_t heap_size; /* so many sources live */
	uint32_t oldest, newest;
	uint32_t first_change, last_change;
	struct known_counts counts;

	char path[CONFIG_PATH_MAX]; /* empty: not kept */
	bool changed;		    /* since it was last written */
	uint64_t saved_boot_ns;	    /* the last attempt */
	struct config_error read_problem, write_problem;
};

/* Seconds of the table. */
uint64_t known_now_s(const struct known *k, uint64_t boot_ns);

/* The slot of a key, or NO_SLOT; one that the kernel has not been told is gone is found too. */
uint32_t known_find(const struct known *k, const struct prefix_key *key);

/* Takes a free slot for a key that is not there, if there is one and the table is not full. */
uint32_t known_take(struct known *k, const struct prefix_key *key);

/* Puts the entry where it belongs after any change to it, or at a later time. */
void known_settle(struct known *k, uint32_t i, uint64_t now_s);

/* Empties the table as if it were new; the kernel has been told nothing then. */
void known_clear(struct known *k);

#endif
