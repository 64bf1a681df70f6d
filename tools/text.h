/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text.h - words in and out: durations, moments, and nothing on a terminal that could steer it.
 */
#ifndef TEXT_H
#define TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define DURATION_MAX_S (366U * 24 * 3600) /* of --for: longer is not an override but a setting */

/* Writes one sentence to standard error, behind "sluice: ". */
void text_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Copies in, with every control character as \xNN: C0, DEL, and C1, which UTF-8 writes as two
 * bytes. in must be UTF-8 (jansson lets nothing else in). Cuts what does not fit.
 */
void text_escape(char *out, size_t size, const char *in);

/*
 * A copy of the whole value with all its strings and keys escaped, or NULL. What the daemon says
 * may quote a file, a path or an interface that somebody else has named.
 */
json_t *text_escaped(const json_t *value);

/* 90s, 10m, 2h. Returns 0, or -EINVAL for anything else, zero and above DURATION_MAX_S. */
int text_duration(const char *text, uint32_t *seconds);

/* "14:32:10 (in 9 min 30 s)", from now on; with its date where that is not today. */
void text_moment(char *out, size_t size, double in_s);

/* "9 min 30 s": the two greatest units. */
void text_span(char *out, size_t size, double span_s);

#endif
