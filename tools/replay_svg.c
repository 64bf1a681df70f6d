// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The time line as a picture: SVG 1.1 without scripts, fonts or links, readable on light and dark.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config_values.h"
#include "replay.h"
#include "text.h"

#define WIDTH	900
#define LEFT	70
#define RIGHT	20
#define TOP	70
#define PANEL	110 /* its height */
#define GAP	40
#define COLUMNS 400

enum { CURVE_ATTEMPTS, CURVE_ADMITTED, CURVE_LOST, CURVE_DEFERRED, CURVES };

static const struct {
	const char *title, *colour;
} curves[CURVES] = {
	[CURVE_ATTEMPTS] = {"new attempts a second", "#4477aa"},
	[CURVE_ADMITTED] = {"admitted a second", "#228833"},
	[CURVE_LOST] = {"given up or refused a second", "#cc3344"},
	[CURVE_DEFERRED] = {"deferred SYNs a second", "#bb8800"},
};

struct picture {
	double rate[CURVES][COLUMNS], most[CURVES];
	uint32_t columns;
	double column_s;
};

static void fill(struct picture *p, const struct tally *t)
{
	uint32_t each;

	p->columns = tally_columns(t, COLUMNS, &each);
	p->column_s = (double)each * (double)t->bin_ns / 1e9;
	for (uint32_t i = 0; i < p->columns; i++) {
		struct tally_bin b = tally_column(t, each, i);
		double lost = (double)b.fate[FATE_LOST] + b.fate[FATE_REFUSED];

		p->rate[CURVE_ATTEMPTS][i] = b.attempts / p->column_s;
		p->rate[CURVE_ADMITTED][i] = b.fate[FATE_ADMITTED] / p->column_s;
		p->rate[CURVE_LOST][i] = lost / p->column_s;
		p->rate[CURVE_DEFERRED][i] = b.deferred / p->column_s;
	}
	for (int c = 0; c < CURVES; c++)
		for (uint32_t i = 0; i < p->columns; i++) {
			/* All but the SYNs are on one scale. */
			double *most = &p->most[c == CURVE_DEFERRED ? c : CURVE_ATTEMPTS];

			if (p->rate[c][i] > *most)
				*most = p->rate[c][i];
		}
	p->most[CURVE_ADMITTED] = p->most[CURVE_LOST] = p->most[CURVE_ATTEMPTS];
}

/* Text of others: nothing in it is markup. */
static void put_text(FILE *f, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '&':
			fputs("&amp;", f);
			break;
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		default:
			fputc(*text, f);
		}
}

static void put_curve(FILE *f, const struct picture *p, int c, int top)
{
	double step = (double)(WIDTH - LEFT - RIGHT) / p->columns;
	double most = p->most[c] > 0 ? p->most[c] : 1;

	fprintf(f, "<text x=\"%d\" y=\"%d\" class=\"t\">%s</text>\n", LEFT, top - 8,
		curves[c].title);
	fprintf(f, "<text x=\"%d\" y=\"%d\" class=\"n\">%.*f</text>\n", LEFT - 8, top + 8,
		most < 10 ? 1 : 0, p->most[c]);
	fprintf(f, "<text x=\"%d\" y=\"%d\" class=\"n\">0</text>\n", LEFT - 8, top + PANEL);
	fprintf(f, "<path fill=\"%s\" d=\"M%d %d", curves[c].colour, LEFT, top + PANEL);
	for (uint32_t i = 0; i < p->columns; i++) {
		double y = top + PANEL - p->rate[c][i] / most * PANEL;

		fprintf(f, "L%.1f %.1fL%.1f %.1f", LEFT + i * step, y, LEFT + (i + 1) * step, y);
	}
	fprintf(f, "L%d %dZ\"/>\n", WIDTH - RIGHT, top + PANEL);
	fprintf(f, "<path class=\"a\" d=\"M%d %dV%dH%d\"/>\n", LEFT, top, top + PANEL,
		WIDTH - RIGHT);
}

static void put_picture(FILE *f, const struct replay_report *r, const struct picture *p)
{
	const struct tally *t = r->tally;
	int height = TOP + CURVES * (PANEL + GAP) + 10;
	char text[1024], span[48];

	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\">\n"
		"<style>text{font:13px sans-serif;fill:#777}.h{font-size:15px}"
		".n{text-anchor:end;font-size:11px}.a{fill:none;stroke:#777}</style>\n",
		WIDTH, height, WIDTH, height);
	replay_subject(r, text, sizeof(text));
	fprintf(f, "<text x=\"%d\" y=\"22\" class=\"h\">", LEFT);
	put_text(f, text);
	fprintf(f,
		"</text>\n<text x=\"%d\" y=\"42\">%llu attempts: %llu admitted, %llu gave up, %llu "
		"refused</text>\n",
		LEFT, (unsigned long long)t->attempts, (unsigned long long)t->fate[FATE_ADMITTED],
		(unsigned long long)t->fate[FATE_LOST], (unsigned long long)t->fate[FATE_REFUSED]);
	for (int c = 0; c < CURVES; c++)
		put_curve(f, p, c, TOP + 10 + c * (PANEL + GAP));
	text_span(span, sizeof(span), p->columns * p->column_s);
	fprintf(f, "<text x=\"%d\" y=\"%d\" class=\"n\">%s</text>\n", WIDTH - RIGHT, height - 16,
		span);
	fprintf(f, "<text x=\"%d\" y=\"%d\">0 s</text>\n</svg>\n", LEFT, height - 16);
}

int replay_svg(const struct replay_report *r, const char *path)
{
	struct picture p = {.columns = 0};
	FILE *f = fopen(path, "we");
	char shown[SHOWN_MAX];
	int err = 0;

	if (f) {
		fill(&p, r->tally);
		put_picture(f, r, &p);
		err = ferror(f) ? EIO : 0;
		if (fclose(f))
			err = errno;
	} else {
		err = errno;
	}
	if (!err)
		return 0;
	text_complain("%s: the picture cannot be written: %s", value_shown(path, shown),
		      strerror(err));
	return -err;
}
