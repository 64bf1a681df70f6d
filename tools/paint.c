// SPDX-License-Identifier: GPL-2.0-or-later
#include "paint.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool paint_allowed(void)
{
	const char *forbidden = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(forbidden && *forbidden) && term && strcmp(term, "dumb") && isatty(STDOUT_FILENO);
}

const char *paint_verdict(const char *verdict, bool on)
{
	static const char *const colours[][2] = {
		{"pass", "\033[32m"},	{"hold", "\033[36m"}, {"defer", "\033[33m"},
		{"refuse", "\033[31m"}, {"drop", "\033[35m"},
	};

	for (size_t i = 0; on && i < sizeof(colours) / sizeof(colours[0]); i++)
		if (!strcmp(verdict, colours[i][0]))
			return colours[i][1];
	return "";
}

const char *paint_bold(bool on)
{
	return on ? "\033[1m" : "";
}

const char *paint_faint(bool on)
{
	return on ? "\033[2m" : "";
}

const char *paint_end(bool on)
{
	return on ? "\033[0m" : "";
}
