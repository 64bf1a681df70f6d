/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * look.h - reads out of the maps what the gate would see of one source. Writes nothing.
 *
 * The daemon reads its own maps, the command line those that are pinned, where no daemon runs.
 */
#ifndef LOOK_H
#define LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "backlog.h"
#include "sessions.h"
#include "sluice.h"

/*
 * The descriptor of a map by its name in maps.h; negative: there is none. Whoever has the tries of
 * the classes at hand gives them by the names below and their slot, 0 or 1; else they are got from
 * the outer maps, which takes CAP_SYS_ADMIN.
 */
#define LOOK_TRIE_V4 "trie_v4_"
#define LOOK_TRIE_V6 "trie_v6_"
typedef int look_map_fn(void *data, const char *name);

/* What is remembered of one attempt. */
struct look_attempt {
	uint64_t deferred_ns;	/* when it was first deferred; 0: never, or forgotten */
	uint64_t admitted_ns;	/* when it was admitted; 0: likewise */
	uint64_t held_until_ns; /* its turn, where it was sent through the waiting room */
	struct admitted admitted;
};

/* A copy of all that the gate asks for when it judges a SYN of this source. */
struct look {
	uint64_t now_ns; /* CLOCK_MONOTONIC, before the first read */
	struct policy policy;
	struct control control;
	struct live live;
	uint64_t remember_tat_ns; /* of the CPU that has most left of its budget */
	uint32_t listed;	  /* enum class: by the lists */
	struct prefix_key source, subnet;
	bool has_source_tat, has_subnet_tat, has_holder, has_coming, has_learned;
	uint64_t source_tat_ns, subnet_tat_ns;
	struct holder holder;
	struct coming_of_source coming;
	struct learned learned;
	bool has_queue; /* somebody else knows how full the accept queue is; not in a map */
	struct backlog queue;
};

/*
 * Fills *l for the source of an attempt. Returns 0, or -errno with a sentence: a map that the gate
 * cannot do without is missing or has another shape.
 */
int look_source(look_map_fn *map, void *data, const struct attempt *a, struct look *l,
		struct config_error *err);

/* What is remembered of an attempt; nothing, where nothing can be read. */
void look_attempt(look_map_fn *map, void *data, const struct attempt *a, struct look_attempt *seen);

#endif
