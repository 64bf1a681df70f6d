/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay_tally.h - what came of the attempts of a replay, in bounded memory. Pure.
 */
#ifndef REPLAY_TALLY_H
#define REPLAY_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice.h"

/* Waiting times are counted by the millisecond up to here; nobody's client waits longer. */
#define TALLY_WAITS 131072

/* The time line: so many bins of a width that doubles when the replay outgrows them. */
#define TALLY_BINS	 1024
#define TALLY_BIN_NS	 (100 * NSEC_PER_MSEC)
#define TALLY_PLACES_MAX (1U << 20) /* sources, and subnets, that are counted each by itself */

enum fate { FATE_ADMITTED, FATE_REFUSED, FATE_LOST, FATES };

struct tally_bin {
	uint32_t attempts;    /* that began */
	uint32_t deferred;    /* SYNs */
	uint32_t fate[FATES]; /* attempts that ended so */
};

/* A source, or a subnet. */
struct tally_place {
	struct prefix_key key; /* bits: 0 is a free place */
	uint64_t wait_ms;      /* of the admitted, all together */
	uint32_t fate[FATES];
	uint32_t wait_most_ms;
	uint8_t reason; /* of the last that was lost or refused */
	uint8_t class;
};

struct tally_places {
	struct tally_place *place; /* open addressing; a power of two */
	uint32_t size, count;
	__u64 seed[2];		/* of the hash */
	uint64_t beyond[FATES]; /* attempts of those that found no place */
};

struct tally {
	uint64_t attempts;
	uint64_t syns[VERDICTS][REASONS]; /* judged */
	uint64_t again;			  /* of them: retransmits of a remembered attempt */
	uint64_t fate[FATES];
	uint64_t fate_class[FATES][CLASSES];
	uint64_t fate_reason[FATES][REASONS]; /* of the last SYN */
	uint64_t at_once;		      /* admitted by their first SYN, which was not held */
	uint64_t held;			      /* admitted after they were held */
	uint64_t copies;   /* SYNs of the capture behind an admission: judged as they are */
	uint64_t replaced; /* and before it: the model sends in their place */
	uint64_t wait_ms[TALLY_WAITS];
	uint64_t bin_ns;
	uint64_t end_ns;			      /* of the last that happened */
	uint64_t arrived_ns;			      /* the last attempt began */
	uint32_t second, this_second, busiest_second; /* attempts that began in a whole second */
	struct tally_bin bin[TALLY_BINS];
	struct tally_places sources, subnets;
};

/* An attempt that has come to its end. */
struct tally_end {
	uint64_t at_ns; /* from the beginning of the replay, as all times here */
	uint64_t wait_ms;
	enum fate fate;
	uint8_t reason, class;
	bool first; /* by its first SYN */
	bool held;
	struct prefix_key source, subnet;
};

/* Returns 0 with *tally (tally_close), or -ENOMEM. */
int tally_open(struct tally **tally);
void tally_close(struct tally *t);

void tally_attempt(struct tally *t, uint64_t at_ns);
void tally_syn(struct tally *t, uint64_t at_ns, uint8_t verdict, uint8_t reason, bool again);
/* Returns 0 or -ENOMEM. */
int tally_fate(struct tally *t, const struct tally_end *end);

/* So many ms or less had waited this share (0 to 1) of the admitted; 0 when there are none. */
uint32_t tally_waited(const struct tally *t, double share);

/*
 * The time line as at most so many columns of equal width: returns how many there are up to the
 * end, and in *each how many bins go into one. A column is the sum of its bins.
 */
uint32_t tally_columns(const struct tally *t, uint32_t most, uint32_t *each);
struct tally_bin tally_column(const struct tally *t, uint32_t each, uint32_t column);

/*
 * The places with the most lost and refused attempts, the worst first, at most `most` that lost
 * any. Returns how many.
 */
unsigned int tally_worst(const struct tally_places *p, const struct tally_place **worst,
			 unsigned int most);

#endif
