/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_rows.h - the table of keys, as the rooms of the config share it: config.c owns it,
 * config_load.c fills a config by it, config_check.c looks at what was filled.
 */
#ifndef CONFIG_ROWS_H
#define CONFIG_ROWS_H

#include <stdbool.h>

#include "config.h"

enum row_type {
	ROW_COUNT,	/* uint32_t */
	ROW_RATE,	/* struct rate */
	ROW_PER_SECOND, /* uint32_t, written as a rate */
	ROW_DURATION,	/* uint64_t, ns */
	ROW_HUNDREDTHS, /* uint32_t */
	ROW_CHOICE,	/* uint32_t, the place among the words */
	ROW_PATH,	/* char[CONFIG_PATH_MAX] */
	ROW_INTERFACE,	/* char[IFNAMSIZ] */
	ROW_PORT,	/* uint16_t, host order */
	ROW_ADDRESS,	/* union addr */
};

#define ROW_MAY_BE_OFF 1U /* a rate: "off" is accepted */
#define ROW_DERIVED    2U /* the default is made from other values; key.fallback says how */
#define ROW_MAY_BE_NIL 4U /* nothing behind the = is a value: none */
#define ROW_BARE_ZERO  8U /* a duration that is written 0 */

#define ROWS	   49
#define VALUES_MAX 32 /* of one repeatable key */

struct row {
	struct config_key key;
	enum row_type type;
	uint32_t flags;
	uint64_t min, max; /* in the unit of the type */
	const char *const *words;
	size_t offset; /* into struct config: of the value, or of the first of several */
	/* Of a repeatable key (capacity above 0): */
	size_t count_offset;
	uint32_t capacity;
	size_t size;
};

/* The table, in order; NULL behind the last. */
const struct row *row_at(size_t index);
size_t row_index(const struct row *row);

/* NULL when the name stands in no such section; with section NULL: in any. */
const struct row *row_find(const char *section, const char *name);

/* The row of a member of struct config. */
#define ROW_OF(member) row_by_offset(offsetof(struct config, member))
const struct row *row_by_offset(size_t offset);

/* How many values a repeatable key has, and where its n-th lies. */
uint32_t *row_count(const struct row *row, struct config *c);
void *row_value(const struct row *row, struct config *c, uint32_t n);

/* Reads one value into where it lies, zeroed before. Returns NULL, or what is wrong with it. */
const char *row_parse(const struct row *row, const char *text, void *value);

/* Where a value was written. */
struct place {
	const char *name; /* the file, or the override as it was given; NULL: a default */
	uint32_t line;	  /* 0: an override */
};

struct load {
	struct config *c;
	const struct config_facts *facts;
	struct config_error *err;
	int failed; /* the first error, -errno */
	struct place here;
	struct place place[ROWS][VALUES_MAX]; /* of a scalar: the first */
	const char *file;		      /* the main file; NULL: none */
};

/* Records an error at a place (NULL or a default: the main file). The first one stays. */
int load_fail(struct load *l, const struct place *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Where the member was set, or NULL when its default is in force. */
#define PLACE_OF(l, member) load_place(l, ROW_OF(member))
const struct place *load_place(const struct load *l, const struct row *row);

/* config_check.c: derives the defaults that hang on other values; then checks all together. */
void config_derive(struct load *l);
int config_check(struct load *l);

#endif
