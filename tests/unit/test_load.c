// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The load: a line of /proc/loadavg into hundredths, and what is no such line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"
#include "unit.h"

static void good_lines(void)
{
	static const struct {
		const char *text;
		uint32_t centi;
	} lines[] = {
		{"0.52 0.58 0.59 1/345 6789\n", 52},
		{"0.00 0.00 0.00 1/1 1", 0},
		{"12.5", 1250},
		{"7", 700},
		{"7\n", 700},
		{"3.999 1 1", 399}, /* cut, not rounded: the kernel writes two digits */
		{"1000000", 100000000},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		uint32_t centi = 1;
		int bad = load_parse(lines[i].text, &centi);

		CHECK(!bad && centi == lines[i].centi, "'%s': %d, %u", lines[i].text, bad, centi);
	}
}

static void bad_lines(void)
{
	static const char *const lines[] = {
		"",   " 1.00", "-1.00", "+1",	"x",	"1,5",	   "1.",
		".5", "1e3",   "nan",	"1.5x", "0x10", "1000001", "99999999999999999999",
		"\n", "1.2.3",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		uint32_t centi;

		CHECK(load_parse(lines[i], &centi) < 0, "'%s' was taken", lines[i]);
	}
}

/* What cannot be read is said, and never waited for. */
static void files(void)
{
	char folder[] = "/tmp/sluice-load-XXXXXX", path[64];
	struct load_sample s;
	FILE *f;

	if (!mkdtemp(folder)) {
		unit_skip("no folder for a file to read");
		return;
	}
	snprintf(path, sizeof(path), "%s/loadavg", folder);
	load_read(path, &s);
	CHECK(!s.readable && strstr(s.why.text, "No such file"), "missing: %s", s.why.text);
	CHECK(!mkfifo(path, 0600), "no pipe");
	load_read(path, &s); /* nobody writes: an open that waits would hang here */
	CHECK(!s.readable && strstr(s.why.text, "not a regular file"), "pipe: %s", s.why.text);
	unlink(path);
	f = fopen(path, "w");
	fputs("hello\n", f);
	fclose(f);
	load_read(path, &s);
	CHECK(!s.readable && strstr(s.why.text, "does not begin with a load"), "%s", s.why.text);
	f = fopen(path, "w");
	fputs("30.25 1 1 1/1 1\n", f);
	fclose(f);
	load_read(path, &s);
	CHECK(s.readable && s.load_centi == 3025, "%d %u", s.readable, s.load_centi);
	CHECK(s.running >= 1, "somebody runs: we do");
	unlink(path);
	rmdir(folder);
}

void suite_load(void)
{
	static CU_TestInfo tests[] = {
		{"lines that are a load", good_lines},
		{"lines that are none", bad_lines},
		{"files that are there, are not, and are pipes", files},
		CU_TEST_INFO_NULL,
	};

	unit_suite("load", tests);
}
