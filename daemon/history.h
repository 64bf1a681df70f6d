/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * history.h - what came in the last 31 days, minute by minute: what `sluice suggest` looks back at.
 *
 * Of each minute the sums of its six ten seconds and maxima are kept, of each hour how many sources
 * and subnets had so many attempts in a minute. Both are rings of a fixed size: 3 MB. A minute is
 * one of the daemon's own; where none ran there is none. Pure: seconds and clock are arguments.
 *
 * The file, little-endian words of 32 bits:
 *
 *	magic (2 words, "sluice-h"), version, minutes, hours
 *	of each minute, the oldest first, 16 words: as struct history_minute
 *	of each hour, the oldest first, 1 + 2 * 16 * 2 words: as struct history_hour
 *	CRC-32 of all of it
 *
 * The main thread's.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_DAYS	31
#define HISTORY_MINUTES (HISTORY_DAYS * 24 * 60)
#define HISTORY_HOURS	(HISTORY_DAYS * 24 + 1) /* the first and the last are parts of one */
#define HISTORY_TENS	6
#define HISTORY_BINS	16
#define HISTORY_NONE	UINT32_MAX /* not counted, not readable */
#define HISTORY_VERSION 1

enum history_kind { HISTORY_SOURCE, HISTORY_SUBNET, HISTORY_KINDS };

/* Numbers that do not fit are as large as they can be. */
struct history_minute {
	uint32_t minute;		  /* since 1970, of its end */
	uint32_t seconds;		  /* of it that were seen: 30 to 90 */
	uint32_t enforced;		  /* of these, so many were not in monitor mode */
	uint32_t ten[HISTORY_TENS];	  /* attempts in ten seconds */
	uint32_t peak;			  /* attempts in the busiest second */
	uint32_t most[HISTORY_KINDS];	  /* attempts of the busiest source and subnet */
	uint32_t most_ten[HISTORY_KINDS]; /* the most that one had in ten seconds */
	uint32_t sessions;		  /* the most that were live, or HISTORY_NONE */
	uint32_t load_centi;		  /* the greatest, or HISTORY_NONE */
};

/* Bin i: who had 2^i to 2^(i+1)-1 attempts in a minute; the last has no end. */
struct history_hour {
	uint32_t hour; /* since 1970 */
	struct {
		uint32_t count; /* of sources or subnets, minute by minute */
		uint32_t attempts;
	} bin[HISTORY_KINDS][HISTORY_BINS];
};

struct history_second {
	uint64_t took_ns; /* since the one before */
	uint64_t attempts;
	int64_t sessions; /* -1: not counted */
	uint32_t load_centi;
	bool load_readable;
	bool enforced;
};

struct history_book;

/* Empty. NULL: no memory. Free: history_close(). */
struct history_book *history_open(void);
void history_close(struct history_book *b);

/* Adds a second to the minute at hand. */
void history_add_second(struct history_book *b, const struct history_second *s);

/* Adds one source or subnet to it: its attempts in the minute and in its busiest ten seconds. */
void history_add_prefix(struct history_book *b, enum history_kind kind, uint64_t attempts,
			uint64_t busiest);

/* Ends the minute at hand; of less than half a minute nothing is kept. wall_s: since 1970. */
void history_end_minute(struct history_book *b, uint64_t wall_s);

/* The index-th, the oldest is 0. NULL: there are not so many. */
const struct history_minute *history_minute(const struct history_book *b, size_t index);
const struct history_hour *history_hour(const struct history_book *b, size_t index);

/* The file, to be freed. NULL: no memory. */
uint8_t *history_encode(const struct history_book *b, size_t *size);

/*
 * The other way, into an empty book. Returns 0, or -EBADMSG for what is damaged, -EPROTO for a
 * newer version; the book is empty then.
 */
int history_decode(struct history_book *b, const uint8_t *bytes, size_t size);

/* CRC-32 as zlib's: the last word of a file is that of the others. */
uint32_t history_sum(const uint8_t *bytes, size_t size);

/* --- history_file.c ---------------------------------------------------------------------------- */

#define HISTORY_PATH_MAX 256

/* /var/lib/sluice/<instance>/history */
void history_path(const char *instance, char path[static HISTORY_PATH_MAX]);

/* Reads a file into an empty book. Returns 0, -ENOENT, as history_decode(), or other -errno. */
int history_read(struct history_book *b, const char *path);

/* Writes it whole: after a crash of the machine it is the old one or the new one. 0 or -errno. */
int history_write(const struct history_book *b, const char *path);

#endif
