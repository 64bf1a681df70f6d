// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * top_view.c - one picture of the last minute: how it goes, what came each second, and where from.
 */
#include "top.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "paint.h"

#define COLUMNS_MOST 250
#define SPARK_MOST   200
#define LABEL	     10
#define GRAPHS	     7
#define HEADER_ROWS  (3 + GRAPHS) /* above the tables, without what is missing */
#define TABLE_ROWS   10		  /* where there is no screen to fill */

struct canvas {
	const struct top_paper *paper;
	const json_t *answer;
	const char *mode;
	FILE *out;
	int used; /* rows */
};

/* Fails unless every named field is there and has its type: a default here would be a lie. */
#define TAKE(from, ...) json_unpack((json_t *)(from), __VA_ARGS__)

/* --- lines ------------------------------------------------------------------------------------ */

/* Writes at most the paper's columns; SGR sequences take none, a UTF-8 character takes one. */
static void put_cut(struct canvas *c, const char *text)
{
	int columns = 0, cut = 0;

	while (*text) {
		if (*text == '\033') {
			size_t length = strcspn(text, "m") + 1;

			fwrite(text, 1, length, c->out);
			text += length;
			continue;
		}
		if (((unsigned char)*text & 0xc0) != 0x80)
			cut = ++columns > c->paper->columns;
		if (!cut)
			fputc(*text, c->out);
		text++;
	}
}

__attribute__((format(printf, 2, 3))) static void line(struct canvas *c, const char *format, ...)
{
	char text[8192];
	va_list arguments;

	if (c->paper->rows && c->used >= c->paper->rows)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (c->used && c->paper->terminal)
		fputs("\r\n", c->out);
	put_cut(c, text);
	fputs(c->paper->terminal ? "\033[K" : "\n", c->out);
	c->used++;
}

/* 9999, 12.3k, 4.5M: six columns at most. */
static const char *amount(char out[16], double value)
{
	if (value < 10000)
		snprintf(out, 16, value < 10 && value != (int)value ? "%.1f" : "%.0f", value);
	else if (value < 1e6)
		snprintf(out, 16, "%.1fk", value / 1e3);
	else if (value < 1e9)
		snprintf(out, 16, "%.1fM", value / 1e6);
	else
		snprintf(out, 16, "%.1fG", value / 1e9);
	return out;
}

static void join_tiers(const json_t *tiers, char *out, size_t size)
{
	const json_t *one;
	size_t i, used = 0;

	snprintf(out, size, "normal");
	json_array_foreach (tiers, i, one) {
		const char *name = json_string_value(one);

		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "," : "",
					 name ? name : "?");
		if (used >= size)
			return;
	}
}

static void format_clock(const json_t *answer, char *out, size_t size)
{
	time_t s = (time_t)(json_integer_value(json_object_get(answer, "time_ms")) / 1000);
	struct tm day;

	if (!localtime_r(&s, &day) || !strftime(out, size, "%H:%M:%S", &day))
		snprintf(out, size, "?");
}

static int show_head(struct canvas *c)
{
	const char *instance, *version;
	char clock[32], tiers[64];
	json_t *set;

	if (TAKE(c->answer, "{s:s, s:s, s:s, s:o}", "instance", &instance, "version", &version,
		 "mode", &c->mode, "tiers", &set))
		return -1;
	format_clock(c->answer, clock, sizeof(clock));
	join_tiers(set, tiers, sizeof(tiers));
	line(c, "%ssluice %s%s  instance %s  mode %s  tier %s%s%s  %s",
	     paint_bold(c->paper->colours), version, paint_end(c->paper->colours), instance,
	     c->mode, json_array_size(set) ? paint_verdict("refuse", c->paper->colours) : "", tiers,
	     paint_end(c->paper->colours), clock);
	return 0;
}

static void add(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void add(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + used, size - used, format, arguments);
	va_end(arguments);
}

/* The load against its thresholds, sessions against their most, the global bucket. */
static int show_levels(struct canvas *c)
{
	double per_s, debt_ms, burst_ms, delay, queue, refuse;
	const json_t *load = json_object_get(c->answer, "load");
	json_t *live, *value;
	json_int_t most, pending;
	char text[512] = "", rate[16];

	if (TAKE(c->answer, "{s:{s:o, s:I, s:I}, s:{s:F, s:F, s:F}}", "sessions", "live", &live,
		 "most", &most, "pending", &pending, "bucket", "per_s", &per_s, "debt_ms", &debt_ms,
		 "burst_ms", &burst_ms))
		return -1;
	if (json_is_object(load)) {
		if (TAKE(load, "{s:o, s:F, s:F, s:F}", "value", &value, "delay_la", &delay,
			 "queue_la", &queue, "refuse_la", &refuse))
			return -1;
		add(text, sizeof(text), json_is_number(value) ? "load %.2f" : "load ?",
		    json_number_value(value));
		if (delay > 0)
			add(text, sizeof(text), ", delay at %g", delay);
		if (queue > 0)
			add(text, sizeof(text), ", queue at %g", queue);
		if (refuse > 0)
			add(text, sizeof(text), ", refuse at %g", refuse);
		add(text, sizeof(text), "   ");
	}
	if (json_is_integer(live))
		add(text, sizeof(text), "sessions %lld", (long long)json_integer_value(live));
	else
		add(text, sizeof(text), "sessions not counted");
	if (most)
		add(text, sizeof(text), " of %lld, %lld on their way", (long long)most,
		    (long long)pending);
	add(text, sizeof(text), "   bucket %.0f %% of its burst at %s/s",
	    burst_ms > 0 ? 100 * debt_ms / burst_ms : 0, amount(rate, per_s));
	line(c, "%s", text);
	return 0;
}

/* --- the line of seconds ---------------------------------------------------------------------- */

static const struct graph {
	const char *field, *label, *verdict;
} graphs[GRAPHS] = {
	{"attempts", "attempts", ""},	{"pass", "admitted", "pass"},	 {"hold", "held", "hold"},
	{"defer", "deferred", "defer"}, {"refuse", "refused", "refuse"}, {"load", "load", ""},
	{"sessions", "sessions", ""},
};

#define GRAPHS_A_SECOND 5 /* the first of them are counts, drawn on one scale */

/* The value of one second; negative: it is not known. */
static double value_of(const json_t *second, const struct graph *g)
{
	const json_t *value = json_object_get(second, g->field);
	double took = json_number_value(json_object_get(second, "took_s"));

	if (!json_is_number(value))
		return -1;
	if (g - graphs >= GRAPHS_A_SECOND)
		return json_number_value(value);
	return took > 0 ? json_number_value(value) / took : 0;
}

static double most_of(const json_t *seconds, size_t from, const struct graph *g)
{
	double most = 0;

	for (size_t i = from; i < json_array_size(seconds); i++) {
		double v = value_of(json_array_get(seconds, i), g);

		if (v > most)
			most = v;
	}
	return most;
}

static void draw_spark(const struct canvas *c, char *out, size_t size, const json_t *seconds,
		       size_t from, const struct graph *g, double most)
{
	static const char *const block[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const ascii[] = {" ", ".", ".", ":", ":", "-", "=", "#", "#"};

	*out = '\0';
	for (size_t i = from; i < json_array_size(seconds); i++) {
		double v = value_of(json_array_get(seconds, i), g);
		int level = most > 0 && v > 0 ? (int)(v / most * 8 + 0.5) : 0;

		if (v > 0 && !level)
			level = 1; /* whatever is there is seen */
		add(out, size, "%s", (c->paper->blocks ? block : ascii)[level > 8 ? 8 : level]);
	}
}

static int show_graphs(struct canvas *c)
{
	char spark[SPARK_MOST * 4 + 1], now[16], peak[16];
	size_t count, width, from;
	double scale = 0;
	json_t *seconds;

	if (TAKE(c->answer, "{s:o}", "line", &seconds) || !json_is_array(seconds))
		return -1;
	count = json_array_size(seconds);
	width = c->paper->columns > LABEL + 30 ? (size_t)c->paper->columns - LABEL - 26 : 4;
	width = width < SPARK_MOST ? width : SPARK_MOST;
	from = count > width ? count - width : 0;
	for (int i = 0; i < GRAPHS_A_SECOND; i++) {
		double most = most_of(seconds, from, &graphs[i]);

		scale = most > scale ? most : scale;
	}
	line(c, "%s%-*s %6s %6s  the last %zu s, a second, on one scale%s",
	     paint_faint(c->paper->colours), LABEL, "", "NOW", "MOST", count - from,
	     paint_end(c->paper->colours));
	for (int i = 0; i < GRAPHS; i++) {
		const struct graph *g = &graphs[i];
		double most = most_of(seconds, from, g), last = -1;

		if (count)
			last = value_of(json_array_get(seconds, count - 1), g);
		draw_spark(c, spark, sizeof(spark), seconds, from, g,
			   i < GRAPHS_A_SECOND ? scale : most);
		line(c, "%-*s %6s %6s  %s%s%s", LABEL, g->label, last < 0 ? "?" : amount(now, last),
		     amount(peak, most), paint_verdict(g->verdict, c->paper->colours), spark,
		     paint_end(c->paper->colours));
	}
	return 0;
}

/* --- where from ------------------------------------------------------------------------------- */

static int show_storm(struct canvas *c)
{
	json_int_t events, syns, attempts, lost;
	const json_t *storm = json_object_get(c->answer, "storm");
	char text[256] = "", count[16], rate[16];
	double over_s;

	if (!json_is_object(storm))
		return 0;
	if (TAKE(storm, "{s:F, s:I, s:I, s:I, s:I}", "over_s", &over_s, "events", &events, "syns",
		 &syns, "attempts", &attempts, "lost", &lost))
		return -1;
	add(text, sizeof(text), "WHERE FROM  %s attempts in %.0f s",
	    amount(count, (double)attempts), over_s);
	if (syns > events && events)
		add(text, sizeof(text), ", from a sample of 1 SYN in %s",
		    amount(rate, (double)syns / (double)events));
	if (lost)
		add(text, sizeof(text), ", %lld samples lost", (long long)lost);
	line(c, "%s%s%s", paint_bold(c->paper->colours), text, paint_end(c->paper->colours));
	return 0;
}

static int show_row(struct canvas *c, const json_t *row)
{
	const char *prefix, *class;
	json_int_t attempts, verdict[5];
	char shown[6][16];
	bool on = c->paper->colours;
	double share;

	if (TAKE(row, "{s:s, s:s, s:I, s:F, s:I, s:I, s:I, s:I, s:I}", "prefix", &prefix, "class",
		 &class, "attempts", &attempts, "share", &share, "pass", &verdict[0], "hold",
		 &verdict[1], "defer", &verdict[2], "refuse", &verdict[3], "drop", &verdict[4]))
		return -1;
	for (int i = 0; i < 5; i++)
		amount(shown[i], (double)verdict[i]);
	line(c, "%s%6.1f %%%s %8s  %-24s %-9s %s%8s%s %s%8s%s %s%8s%s %s%8s%s %8s",
	     share >= 0.25 ? paint_bold(on) : "", 100 * share, paint_end(on),
	     amount(shown[5], (double)attempts), prefix, class, paint_verdict("pass", on), shown[0],
	     paint_end(on), paint_verdict("hold", on), shown[1], paint_end(on),
	     paint_verdict("defer", on), shown[2], paint_end(on), paint_verdict("refuse", on),
	     shown[3], paint_end(on), shown[4]);
	return 0;
}

static int show_table(struct canvas *c, const char *field, const char *title, int most)
{
	bool would = strcmp(c->mode, "enforce") != 0;
	json_t *rows, *row;
	size_t i;

	if (TAKE(c->answer, "{s:o}", field, &rows) || !json_is_array(rows))
		return -1;
	if (!json_array_size(rows) || most < 1)
		return 0;
	line(c, "%s%8s %8s  %-24s %-9s %8s %8s %8s %8s %8s%s", paint_faint(c->paper->colours),
	     "SHARE", "ATTEMPTS", title, "CLASS", would ? "WOULD:IN" : "ADMITTED", "HELD",
	     "DEFERRED", "REFUSED", "DROPPED", paint_end(c->paper->colours));
	json_array_foreach (rows, i, row) {
		if ((int)i == most)
			break;
		if (show_row(c, row))
			return -1;
	}
	return 0;
}

static int show_tables(struct canvas *c)
{
	/* A title each; the sources have what the other two leave. */
	int room = c->paper->rows ? c->paper->rows - HEADER_ROWS - 1 - 3 : 3 * TABLE_ROWS;
	int wide = (int)json_array_size(json_object_get(c->answer, "wide"));
	int subnets = (int)json_array_size(json_object_get(c->answer, "subnets"));
	int third = room / 3;

	wide = wide < third ? wide : third;
	subnets = subnets < third ? subnets : third;
	return show_storm(c) || show_table(c, "wide", "/16, IPv6 /32", wide) ||
	       show_table(c, "subnets", "SUBNET", subnets) ||
	       show_table(c, "sources", "SOURCE",
			  c->paper->rows ? room - wide - subnets : TABLE_ROWS);
}

static int show_missing(struct canvas *c)
{
	const json_t *missing = json_object_get(c->answer, "missing"), *one;
	size_t i;

	json_array_foreach (missing, i, one)
		line(c, "%s", json_string_value(one) ? json_string_value(one) : "");
	return 0;
}

char *top_view(const json_t *answer, const struct top_paper *paper, const char **why)
{
	static int (*const parts[])(struct canvas * c) = {
		show_head, show_missing, show_levels, show_graphs, show_tables,
	};
	struct canvas c = {.paper = paper, .answer = answer};
	char *text = NULL;
	size_t size;
	int bad = 0;

	*why = "there is no memory for the view";
	c.out = open_memstream(&text, &size);
	if (!c.out)
		return NULL;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && !bad; i++)
		bad = parts[i](&c);
	if (!fclose(c.out) && !bad)
		return text;
	if (bad)
		*why = "the answer of the daemon is not understood; --json shows it as it is";
	free(text);
	return NULL;
}

/* --- one line a second ------------------------------------------------------------------------ */

static void add_busiest(const json_t *answer, char *text, size_t size)
{
	const json_t *row = json_array_get(json_object_get(answer, "wide"), 0);
	const char *prefix = json_string_value(json_object_get(row, "prefix"));

	if (prefix)
		add(text, size, "  %s %.1f %%", prefix,
		    100 * json_number_value(json_object_get(row, "share")));
}

char *top_line(const json_t *answer, const char **why)
{
	const json_t *seconds = json_object_get(answer, "line"), *last;
	char clock[32], text[512] = "", shown[16];

	*why = "the answer of the daemon is not understood; --json shows it as it is";
	if (!json_is_array(seconds))
		return NULL;
	last = json_array_get(seconds, json_array_size(seconds) ? json_array_size(seconds) - 1 : 0);
	format_clock(answer, clock, sizeof(clock));
	add(text, sizeof(text), "%s", clock);
	for (int i = 0; i < GRAPHS; i++) {
		double v = value_of(last, &graphs[i]);

		add(text, sizeof(text), "  %s %s", graphs[i].label,
		    v < 0		  ? "?"
		    : i < GRAPHS_A_SECOND ? amount(shown, v)
					  : (snprintf(shown, sizeof(shown), "%g", v), shown));
	}
	add_busiest(answer, text, sizeof(text));
	add(text, sizeof(text), "\n");
	return strdup(text);
}
