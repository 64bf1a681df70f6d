/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * import_exim.h - between the two halves of Exim's import: import_exim_lines.c reads lines as Exim
 * sees them, import_exim.c knows what they mean.
 */
#ifndef IMPORT_EXIM_H
#define IMPORT_EXIM_H

#include "import.h"

/* What .ifdef and its kin say of a line. MAYBE: only the binary of Exim knows. */
enum exim_truth { EXIM_NO, EXIM_MAYBE, EXIM_YES };

struct exim_lines;

/* Reads t and adds remarks to i. NULL: there is no memory. */
struct exim_lines *exim_lines_open(struct import *i, struct import_text *t);
void exim_lines_close(struct exim_lines *l);

/*
 * The next line that says something and may be in force: macros replaced, continuations joined,
 * blanks at both ends taken off. It lasts until the next call. NULL behind the last one, or with a
 * remark where the rest cannot be read.
 */
char *exim_line(struct exim_lines *l, unsigned int *number, enum exim_truth *in_force);

/* A copy that lasts until the close, or NULL when there is no room: macros can multiply text. */
char *exim_keep(struct exim_lines *l, const char *text);

/* Is it this word, with no more of a name behind it? */
bool exim_starts(const char *text, const char *word);

#endif
