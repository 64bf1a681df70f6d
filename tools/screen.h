/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screen.h - a view that fits on one screen: at most SCREEN_LINES lines of SCREEN_COLUMNS. It is
 * built whole and printed whole, so that an answer which is not understood shows nothing.
 */
#ifndef SCREEN_H
#define SCREEN_H

#include <stddef.h>

#define SCREEN_LINES   24
#define SCREEN_COLUMNS 100
#define SCREEN_LABEL   11 /* columns of the label in front of each paragraph */

struct screen {
	unsigned lines;
	char line[SCREEN_LINES][SCREEN_COLUMNS + 1];
};

/* One line, cut where it is too long. Past the last line: nothing. */
void screen_line(struct screen *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Words behind a label, wrapped; at most `lines` lines, the last one ends in "..." if cut. */
void screen_paragraph(struct screen *s, const char *label, unsigned lines, const char *text);

void screen_print(const struct screen *s);

/* A text that grows: pieces of a list. Cuts what does not fit. */
struct words {
	char text[4096];
	size_t used;
};

void words_add(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
