/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * paint.h - colours, on a terminal that may have them: not where NO_COLOR is set (no-color.org),
 * nor where TERM is dumb.
 */
#ifndef PAINT_H
#define PAINT_H

#include <stdbool.h>

/* Standard output is a terminal, and colours are not forbidden. */
bool paint_allowed(void);

/* The SGR sequence of a verdict by its name in the protocol; "" where on is false. */
const char *paint_verdict(const char *verdict, bool on);
const char *paint_bold(bool on);
const char *paint_faint(bool on);
const char *paint_end(bool on);

#endif
