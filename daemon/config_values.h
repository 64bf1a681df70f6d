/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_values.h - between the text that an operator writes and the values that are meant: lines
 * of a file, numbers with units, addresses. Pure, but for the two that read a file.
 *
 * A parser returns NULL, or what is wrong with the text, as a clause that can stand between "KEY =
 * VALUE: " and "; expected ...". What it was to fill is then undefined.
 */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include <stdbool.h>
#include <stdio.h>

#include "config.h"

#define RATE_COUNT_MAX	1000000000ULL
#define RATE_PERIOD_MAX (86400 * NSEC_PER_SEC)
#define RATE_MAX_PER_S	1000000ULL /* and at least one in RATE_PERIOD_MAX */
#define LOAD_MAX	100000	   /* of x-la: more tasks than Linux numbers by default */
#define PATH_TEXT_MAX	180 /* so that every key = path fits into a line that libinih reads */

const char *value_count(const char *text, uint64_t min, uint64_t max, uint32_t *v);
/* 15/s, 6/10s, 20/2min; "off" fills 0 and is for the caller to refuse. */
const char *value_rate(const char *text, struct rate *r);
const char *value_duration(const char *text, uint64_t min_ns, uint64_t max_ns, uint64_t *ns);
/* A decimal with at most two places, in hundredths. */
const char *value_hundredths(const char *text, uint64_t min, uint64_t max, uint32_t *v);
const char *value_interface(const char *text, char name[static IFNAMSIZ]);
const char *value_path(const char *text, char path[static CONFIG_PATH_MAX]);
/* One address of either family; IPv4 as ::ffff:a.b.c.d, which may not be written so. */
const char *value_address(const char *text, union addr *a, enum family *family);

/* The same the other way; what they write, the parsers above read as the same value. */
int format_rate(const struct rate *r, char *text, size_t size);
int format_duration(uint64_t ns, char *text, size_t size);
int format_hundredths(uint32_t v, char *text, size_t size);
int format_address(const union addr *a, char *text, size_t size);

/* A value of any kind as it may be shown in an error: short, and printable on a terminal. */
#define SHOWN_MAX 80
const char *value_shown(const char *text, char shown[static SHOWN_MAX]);

/*
 * Opens a file of settings: a plain file, or a device such as /dev/null. A pipe could make a
 * reload wait for ever. Returns 0 or -errno (-EISDIR, -EINVAL for what is no file).
 */
int file_open(const char *path, FILE **stream);

/* The same for a file that sluiced has written itself: never through a link (-ELOOP). */
int file_open_own(const char *path, FILE **stream);

/*
 * Reads one line without its end, LF or CR LF. Returns 1, or 0 at the end of the file, -E2BIG for
 * a line of size bytes or more, -EILSEQ for a control character in it (NUL among them), -EIO.
 */
int file_line(FILE *stream, char *text, size_t size);

#endif
