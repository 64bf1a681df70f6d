/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * top.h - the parts of sluice top: the loop and the terminal (top.c), what is drawn (top_view.c),
 * and the answer where no daemon gives it (top_pins.c).
 */
#ifndef TOP_H
#define TOP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "config.h"

#define TOP_SHAPE 1

/* What there is to draw on. */
struct top_paper {
	int rows, columns; /* rows 0: as many as it takes */
	bool colours;
	bool blocks;   /* the locale has the block elements of Unicode */
	bool terminal; /* lines end so that they cover what stood there */
};

/*
 * Draws the whole view as a text, which the caller frees. The strings of the answer must be escaped
 * (text.h). NULL: the answer is not understood, or no memory; *why says which.
 */
char *top_view(const json_t *answer, const struct top_paper *paper, const char **why);

/* The last second as one line with its end; likewise. */
char *top_line(const json_t *answer, const char **why);

/*
 * The answer read from the pinned maps of an instance, which takes a second: rates are what is
 * counted meanwhile. NULL with *err filled.
 */
json_t *top_pins(const char *instance, struct config_error *err);

#endif
