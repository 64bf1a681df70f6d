// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * run.c - runs every row of the tables, or with an argument those whose sentence holds it.
 * Ends with: N passed, N failed, N skipped
 */
#include "packet.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct frame_row *const frame_tables[] = {rows_frames_link, rows_frames_ip,
						       rows_frames_tcp};
static const struct row *const tables[] = {rows_flags,	  rows_limits,	rows_priority, rows_trusted,
					   rows_attempts, rows_classes, rows_modes,    rows_tiers,
					   rows_resets,	  rows_cpus,	rows_verifier, rows_replay,
					   rows_hold,	  rows_sessions};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char complaints[16384];
static unsigned int passed, failed, skipped;
static const char *wanted;
static bool skip;

void complain(const char *format, ...)
{
	size_t used = strlen(complaints);
	va_list args;

	if (used + 2 >= sizeof(complaints))
		return;
	va_start(args, format);
	vsnprintf(complaints + used, sizeof(complaints) - used - 1, format, args);
	va_end(args);
	strcat(complaints, "\n");
}

static void report(const char *sentence, int wrong)
{
	char *rest, *line;

	if (wrong <= 0) {
		passed += !wrong;
		skipped += wrong < 0;
		return;
	}
	failed++;
	printf("FAILED: %s\n", sentence);
	for (line = strtok_r(complaints, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		printf("\t%s\n", line);
}

/* Is the row's turn? Counts it when it is skipped. */
static bool turn(const char *sentence)
{
	complaints[0] = 0;
	if (wanted && !strstr(sentence, wanted))
		return false;
	skipped += skip;
	return !skip;
}

static void run_all(void)
{
	for (size_t t = 0; t < COUNT(frame_tables); t++)
		for (const struct frame_row *fr = frame_tables[t]; fr->sentence; fr++)
			if (turn(fr->sentence))
				report(fr->sentence, frame_row_run(fr));
	for (size_t t = 0; t < COUNT(tables); t++)
		for (const struct row *row = tables[t]; row->sentence; row++)
			if (turn(row->sentence))
				report(row->sentence, row_run(row));
}

int main(int argc, char **argv)
{
	const char *why = "";
	int err = bench_open(&why);

	setvbuf(stdout, NULL, _IOLBF, 0);
	wanted = argc > 1 ? argv[1] : NULL;
	if (err)
		printf("packet: the program was not loaded: %s\n", why);
	/* What may not be done here is skipped; a program that does not load is a failure. */
	skip = err == -EPERM;
	if (err && !skip)
		failed = 1;
	/* One CPU: the counters are summed, but the remembering budget is a share of each. */
	if (!err && bench_pin(0)) {
		printf("packet: the test cannot be bound to one CPU\n");
		failed = 1;
	}
	if (!failed)
		run_all();
	bench_close();
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	return failed || (!passed && !skipped) ? EXIT_FAILURE : EXIT_SUCCESS;
}
