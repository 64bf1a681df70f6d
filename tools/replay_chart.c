// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The time line in the terminal: a panel of bars for each figure, one below the other over the
 * same axis. Blocks of an eighth of a line where the locale has them, else plain ASCII; colours
 * only on a terminal, and not where NO_COLOR (no-color.org) is set.
 */
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replay.h"
#include "text.h"

#define COLUMNS 80
#define ROWS	4 /* of a panel */
#define EIGHTHS 8

struct panel {
	const char *title;
	const char *colour;   /* SGR, ECMA-48 */
	double rate[COLUMNS]; /* a second */
	double most;	      /* at the top */
};

enum { PANEL_ATTEMPTS, PANEL_ADMITTED, PANEL_LOST, PANEL_DEFERRED, PANELS };

struct chart {
	struct panel panel[PANELS];
	uint32_t columns;
	double column_s;
	bool blocks, colours;
};

static bool wants_colours(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb");
}

static bool has_blocks(void)
{
	setlocale(LC_CTYPE, "");
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

static void fill(struct chart *c, const struct tally *t)
{
	uint32_t each;

	c->columns = tally_columns(t, COLUMNS, &each);
	c->column_s = (double)each * (double)t->bin_ns / 1e9;
	for (uint32_t i = 0; i < c->columns; i++) {
		struct tally_bin b = tally_column(t, each, i);
		double count[PANELS] = {
			[PANEL_ATTEMPTS] = b.attempts,
			[PANEL_ADMITTED] = b.fate[FATE_ADMITTED],
			[PANEL_LOST] = (double)b.fate[FATE_LOST] + b.fate[FATE_REFUSED],
			[PANEL_DEFERRED] = b.deferred,
		};

		for (int p = 0; p < PANELS; p++) {
			c->panel[p].rate[i] = count[p] / c->column_s;
			if (c->panel[p].rate[i] > c->panel[p].most)
				c->panel[p].most = c->panel[p].rate[i];
		}
	}
	/* What began and how it ended is counted alike: on one scale they can be compared. */
	for (int p = PANEL_ATTEMPTS; p <= PANEL_LOST; p++)
		if (c->panel[p].most > c->panel[PANEL_ATTEMPTS].most)
			c->panel[PANEL_ATTEMPTS].most = c->panel[p].most;
	c->panel[PANEL_ADMITTED].most = c->panel[PANEL_ATTEMPTS].most;
	c->panel[PANEL_LOST].most = c->panel[PANEL_ATTEMPTS].most;
}

/* How much of a row (from the bottom) a bar fills, in eighths. Whatever is there is seen. */
static int eighths(const struct panel *p, uint32_t column, int row)
{
	double height = p->most > 0 ? p->rate[column] / p->most * ROWS * EIGHTHS : 0;
	int whole = (int)(height + 0.5);

	if (!whole && p->rate[column] > 0)
		whole = 1;
	whole -= row * EIGHTHS;
	return whole < 0 ? 0 : whole > EIGHTHS ? EIGHTHS : whole;
}

static void print_cell(const struct chart *c, int filled)
{
	static const char *const block[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char ascii[] = " ...::::#";

	if (c->blocks)
		fputs(block[filled], stdout);
	else
		putchar(ascii[filled]);
}

static void print_panel(const struct chart *c, const struct panel *p)
{
	printf("%s\n", p->title);
	for (int row = ROWS - 1; row >= 0; row--) {
		if (row == ROWS - 1)
			printf("%8.*f |", p->most < 10 ? 1 : 0, p->most);
		else
			printf("%8s |", row ? "" : "0");
		if (c->colours)
			fputs(p->colour, stdout);
		for (uint32_t i = 0; i < c->columns; i++)
			print_cell(c, eighths(p, i, row));
		puts(c->colours ? "\033[0m" : "");
	}
}

static void print_axis(const struct chart *c)
{
	char end[48];
	int room;

	text_span(end, sizeof(end), c->columns * c->column_s);
	room = (int)c->columns - 3 - (int)strlen(end);
	printf("%8s +", "");
	for (uint32_t i = 0; i < c->columns; i++)
		putchar('-');
	printf("\n%8s  0 s%*s%s\n", "", room > 1 ? room : 1, "", end);
}

void replay_chart(const struct tally *t)
{
	struct chart c = {
		.panel = {[PANEL_ATTEMPTS] = {.title = "new attempts a second",
					      .colour = "\033[34m"},
			  [PANEL_ADMITTED] = {.title = "admitted a second", .colour = "\033[32m"},
			  [PANEL_LOST] = {.title = "given up or refused a second",
					  .colour = "\033[31m"},
			  [PANEL_DEFERRED] = {.title = "deferred SYNs a second",
					      .colour = "\033[33m"}},
		.blocks = has_blocks(),
		.colours = wants_colours(),
	};

	fill(&c, t);
	for (int p = 0; p < PANELS; p++)
		if (c.panel[p].most > 0 &&
		    (p != PANEL_LOST || t->fate[FATE_LOST] || t->fate[FATE_REFUSED]))
			print_panel(&c, &c.panel[p]);
	print_axis(&c);
}
