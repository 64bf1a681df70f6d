// SPDX-License-Identifier: GPL-2.0-or-later
#include "suggest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Floors and ceilings: a small site needs no less, and the tables hold no more. */
#define DAY_MINUTES	   1440
#define DAYS_LEAST	   5
#define RATE_LEAST	   2
#define RATE_MOST	   5000
#define BURST_LEAST	   10
#define BURST_MOST	   20000
#define SOURCE_LEAST	   20 /* a minute */
#define SOURCE_BURST_LEAST 10
#define SUBNET_LEAST	   60
#define SUBNET_BURST_LEAST 20
#define MINUTE_RATE_MOST   1000000
#define SESSIONS_LEAST	   20
#define SESSIONS_MOST	   65536
#define QUEUE_LA_CPU_LEAST 2 /* a CPU; the default is 8 */
/*
 * The tables hold the buckets of all that may come while one refills: so many connections, which
 * with the bursts is well below the 131,072 of the default. A bucket of a subnet can owe the
 * retry-burst and the known-burst too, by default 300, and one of a known source twice its burst.
 */
#define REFILL_ALL   60000
#define REFILL_S     600
#define SUBNET_SPARE 300

/* The values of one column, sorted: at most HISTORY_MINUTES. */
struct column {
	uint32_t *value;
	size_t count;
};

struct looking {
	const struct history_book *b;
	size_t first, minutes; /* of the book */
	struct column column;
	struct suggestions *s;
};

static const struct history_minute *minute(const struct looking *l, size_t i)
{
	return history_minute(l->b, l->first + i);
}

/* --- quantiles -------------------------------------------------------------------------------- */

typedef uint32_t value_of_fn(const struct history_minute *m);

static uint32_t busiest_ten(const struct history_minute *m)
{
	uint32_t most = 0;

	for (int i = 0; i < HISTORY_TENS; i++)
		most = m->ten[i] > most ? m->ten[i] : most;
	return most;
}

static uint32_t peak(const struct history_minute *m)
{
	return m->peak;
}

static uint32_t source_most(const struct history_minute *m)
{
	return m->most[HISTORY_SOURCE];
}

static uint32_t source_ten(const struct history_minute *m)
{
	return m->most_ten[HISTORY_SOURCE];
}

static uint32_t subnet_most(const struct history_minute *m)
{
	return m->most[HISTORY_SUBNET];
}

static uint32_t subnet_ten(const struct history_minute *m)
{
	return m->most_ten[HISTORY_SUBNET];
}

static uint32_t sessions(const struct history_minute *m)
{
	return m->sessions;
}

static uint32_t load(const struct history_minute *m)
{
	return m->load_centi;
}

static int by_value(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The smallest that no more than so many of a thousand minutes exceed; HISTORY_NONE is no value. */
static uint32_t quantile(struct looking *l, value_of_fn *value_of, unsigned int per_mille)
{
	struct column *c = &l->column;

	c->count = 0;
	for (size_t i = 0; i < l->minutes; i++) {
		uint32_t v = value_of(minute(l, i));

		if (v != HISTORY_NONE)
			c->value[c->count++] = v;
	}
	if (!c->count)
		return 0;
	qsort(c->value, c->count, sizeof(*c->value), by_value);
	return c->value[(c->count - 1) - c->count * per_mille / 1000];
}

/*
 * What half of the days did not exceed, where at least so many were seen: a quarter of an hour of
 * every day is less than one minute in a hundred, and no storm. 0: too few days.
 */
static uint32_t of_every_day(struct looking *l, value_of_fn *value_of)
{
	struct column *c = &l->column;
	uint32_t most = 0, seen = 0;

	c->count = 0;
	for (size_t i = 0; i < l->minutes; i++) {
		const struct history_minute *m = minute(l, i), *next = minute(l, i + 1);
		uint32_t v = value_of(m);

		most = v > most ? v : most;
		seen++;
		if (next && next->minute / DAY_MINUTES == m->minute / DAY_MINUTES)
			continue;
		if (seen >= DAY_MINUTES / 2)
			c->value[c->count++] = most;
		most = seen = 0;
	}
	if (c->count < DAYS_LEAST)
		return 0;
	qsort(c->value, c->count, sizeof(*c->value), by_value);
	return c->value[(c->count - 1) / 2];
}

static uint64_t within(uint64_t n, uint64_t least, uint64_t most)
{
	return n < least ? least : n > most ? most : n;
}

/* --- what would have been touched ----------------------------------------------------------- */

static uint64_t attempts_of(const struct history_minute *m)
{
	uint64_t sum = 0;

	for (int i = 0; i < HISTORY_TENS; i++)
		sum += m->ten[i];
	return sum;
}

/* Counts a minute that was touched. */
static void touch(struct suggestion *o, const struct history_minute *m, uint64_t touched,
		  uint64_t *worst)
{
	if (!touched)
		return;
	o->touched_minutes++;
	if (touched > *worst) {
		*worst = touched;
		o->worst = m->minute;
	}
}

static double share(const struct looking *l, double touched)
{
	return l->s->attempts ? touched / (double)l->s->attempts : 0;
}

/*
 * The whole bucket over the sums of ten seconds, and within a minute over its busiest second. Who
 * found it empty would have waited for a retransmit.
 */
static void touched_by_bucket(struct looking *l, uint64_t rate, uint64_t burst,
			      struct suggestion *o)
{
	uint64_t debt = 0, worst = 0, all = 0;
	uint32_t before = 0;

	for (size_t i = 0; i < l->minutes; i++) {
		const struct history_minute *m = minute(l, i);
		uint64_t touched = 0;

		if (m->minute != before + 1)
			debt = 0;
		before = m->minute;
		for (int t = 0; t < HISTORY_TENS; t++) {
			uint64_t room = burst - debt + rate * 10, n = m->ten[t];
			uint64_t passed = n < room ? n : room;

			touched += n - passed;
			debt = debt + passed > rate * 10 ? debt + passed - rate * 10 : 0;
		}
		if (m->peak > burst + rate && m->peak - burst - rate > touched)
			touched = m->peak - burst - rate;
		touched = within(touched, 0, attempts_of(m));
		touch(o, m, touched, &worst);
		all += touched;
	}
	o->touched = share(l, (double)all);
}

/*
 * Who had n attempts in a minute would have had n - rate of them deferred, if the burst was spent:
 * at most. Of a bin that the rate lies in, its sum gives a bound: the excess is a convex function.
 */
static double excess(uint64_t count, uint64_t attempts, int bin, uint64_t rate)
{
	double low = (double)(UINT64_C(1) << bin), high = 2 * low - 1, n = (double)count,
	       all = (double)attempts, most;

	if (bin == HISTORY_BINS - 1)
		high = all; /* no end but that of one having them all */
	if ((double)rate >= high || high <= low)
		return 0;
	if (low >= (double)rate)
		most = all - n * (double)rate;
	else
		most = (all - n * low) / (high - low) * (high - (double)rate);
	return most < 0 ? 0 : most > all ? all : most;
}

static void touched_by_prefix(struct looking *l, enum history_kind kind, uint64_t rate,
			      struct suggestion *o)
{
	uint32_t first_hour = minute(l, 0)->minute / 60;
	const struct history_hour *h;
	uint64_t worst = 0, seen = 0;
	double all = 0;

	for (size_t i = 0; (h = history_hour(l->b, i)); i++) {
		if (h->hour < first_hour)
			continue;
		for (int bin = 0; bin < HISTORY_BINS; bin++) {
			seen += h->bin[kind][bin].attempts;
			all += excess(h->bin[kind][bin].count, h->bin[kind][bin].attempts, bin,
				      rate);
		}
	}
	for (size_t i = 0; i < l->minutes; i++) {
		const struct history_minute *m = minute(l, i);

		touch(o, m, m->most[kind] > rate ? m->most[kind] - rate : 0, &worst);
	}
	if (seen < l->s->attempts)
		seen = l->s->attempts; /* those of trusted senders are not seen here */
	o->touched = seen ? all / (double)seen : 0;
	o->at_most = 1;
}

/* All attempts of the minutes in which a value was beyond the limit: at most. */
static void touched_by_level(struct looking *l, value_of_fn *value_of, uint64_t limit,
			     struct suggestion *o)
{
	uint64_t all = 0, worst = 0;

	for (size_t i = 0; i < l->minutes; i++) {
		const struct history_minute *m = minute(l, i);
		uint32_t v = value_of(m);

		if (v == HISTORY_NONE || v < limit)
			continue;
		touch(o, m, v - limit + 1, &worst);
		all += attempts_of(m);
	}
	o->touched = share(l, (double)all);
	o->at_most = 1;
}

/* --- proposals -------------------------------------------------------------------------------- */

static struct suggestion *propose(struct looking *l, const char *section, const char *key,
				  const char *value, ...) __attribute__((format(printf, 4, 5)));
static struct suggestion *propose(struct looking *l, const char *section, const char *key,
				  const char *value, ...)
{
	struct suggestion *o = &l->s->one[l->s->count++];
	va_list args;

	*o = (struct suggestion){.section = section, .key = key};
	va_start(args, value);
	vsnprintf(o->value, sizeof(o->value), value, args);
	va_end(args);
	return o;
}

static void reason(struct suggestion *o, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void reason(struct suggestion *o, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(o->reason, sizeof(o->reason), format, args);
	va_end(args);
}

/* Returns the rate a second. */
static uint64_t propose_connections(struct looking *l)
{
	uint32_t often = quantile(l, busiest_ten, 10), daily = of_every_day(l, busiest_ten);
	uint32_t ten = daily > often ? daily : often, second = quantile(l, peak, 1);
	uint64_t rate = within(((uint64_t)ten * 2 + 9) / 10, RATE_LEAST, RATE_MOST);
	uint64_t burst = within((uint64_t)second * 2, 2 * rate, BURST_MOST);
	struct suggestion *o = propose(l, "limits", "connection-rate", "%" PRIu64 "/s", rate);

	burst = within(burst, BURST_LEAST, BURST_MOST);
	touched_by_bucket(l, rate, burst, o);
	reason(o, "%s their busiest ten seconds had at most %.1f attempts a second; %s.",
	       daily > often ? "On half of the days" : "In 99 of 100 minutes", ten / 10.0,
	       rate == RATE_LEAST  ? "less than 2/s helps nobody"
	       : rate == RATE_MOST ? "the tables hold no more than this"
				   : "this is twice that");
	o = propose(l, "limits", "connection-burst", "%" PRIu64, burst);
	o->touched = -1;
	reason(o, "In 999 of 1000 minutes the busiest second had at most %u attempts; %s.", second,
	       burst == (uint64_t)second * 2 ? "this is twice that"
	       : burst == 2 * rate	     ? "this is what the rate lets in within 2 s"
	       : burst == BURST_MOST	     ? "the tables hold no more than this"
					     : "fewer help nobody");
	return rate;
}

struct prefix_rule {
	enum history_kind kind;
	const char *rate_key, *burst_key, *name;
	value_of_fn *most, *ten;
	uint64_t rate_least, burst_least;
	uint64_t times, spare; /* of a full bucket: times its burst, and so many more */
};

/* Which of the bounds it is that a rate or a burst has come to, as part of a sentence. */
struct bound {
	uint64_t value;
	const char *why;
};

static const char *why_bound(uint64_t value, const struct bound *bounds)
{
	while (bounds->why && bounds->value != value)
		bounds++;
	return bounds->why ? bounds->why : "fewer than these help nobody";
}

/* A burst has a second's worth of its rate at least, as the clock moves in ticks. */
static void propose_prefix(struct looking *l, const struct prefix_rule *r, uint64_t connections)
{
	uint64_t refill_s = within(REFILL_ALL / connections, 0, REFILL_S) / r->times;
	uint64_t least = (r->burst_least + r->spare) * 60 / (refill_s - 1) + 1;
	uint32_t most = quantile(l, r->most, 10), ten = quantile(l, r->ten, 1);
	uint64_t rate = within((uint64_t)most * 2, r->rate_least, MINUTE_RATE_MOST), burst;
	uint64_t bearable;
	struct suggestion *o;

	rate = rate < least ? least : rate;
	burst = within((uint64_t)ten * 2, r->burst_least + rate / 60, rate);
	bearable = rate * refill_s / 60 - r->spare;
	burst = within(burst, 0, bearable);
	o = propose(l, "limits", r->rate_key, "%" PRIu64 "/min", rate);
	touched_by_prefix(l, r->kind, rate, o);
	reason(o, "In 99 of 100 minutes the busiest %s had at most %u attempts; %s.", r->name, most,
	       why_bound(rate, (const struct bound[]){
				       {(uint64_t)most * 2, "this is twice that"},
				       {r->rate_least, "less than these a minute help nobody"},
				       {MINUTE_RATE_MOST, "no rate is higher"},
				       {least, "with less the table would forget who still owes"},
				       {0, NULL},
			       }));
	o = propose(l, "limits", r->burst_key, "%" PRIu64, burst);
	o->touched = -1;
	reason(o, "In 999 of 1000 minutes no %s had more than %u within ten seconds; %s.", r->name,
	       ten,
	       why_bound(burst,
			 (const struct bound[]){
				 {(uint64_t)ten * 2, "this is twice that"},
				 {rate, "this is what the rate lets in within a minute"},
				 {bearable, "with more the table would forget who still owes"},
				 {0, NULL},
			 }));
}

static void propose_sessions(struct looking *l)
{
	uint32_t most = quantile(l, sessions, 1);
	uint64_t limit = within(((uint64_t)most * 3 + 1) / 2, SESSIONS_LEAST, SESSIONS_MOST);
	struct suggestion *o;

	if (!l->column.count)
		return;
	o = propose(l, "limits", "max-sessions", "%" PRIu64, limit);
	touched_by_level(l, sessions, limit, o);
	reason(o,
	       "In 999 of 1000 minutes at most %u sessions were live; %s. What the MTA itself can "
	       "bear (MaxDaemonChildren, smtpd processes) is not seen here: take the smaller one.",
	       most, limit == SESSIONS_LEAST ? "fewer help nobody" : "this is half as many again");
}

static void propose_load(struct looking *l, uint32_t cpus)
{
	static const struct {
		const char *key;
		uint32_t times_2; /* of the queue threshold, in halves */
	} rows[] = {{"queue-la", 2}, {"refuse-la", 3}};
	uint32_t most = quantile(l, load, 1);
	uint64_t floor = (uint64_t)(cpus ? cpus : 1) * QUEUE_LA_CPU_LEAST;
	uint64_t queue = within(((uint64_t)most * 3 + 199) / 200, floor, 50000);

	if (!l->column.count)
		return;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t la = (queue * rows[i].times_2 + 1) / 2;
		struct suggestion *o = propose(l, "load", rows[i].key, "%" PRIu64, la);

		touched_by_level(l, load, la * 100, o);
		reason(o, "In 999 of 1000 minutes the load was at most %u.%02u on %u CPUs; %s.",
		       most / 100, most % 100, cpus,
		       i		? "this is half as much again as queue-la"
		       : queue == floor ? "this is two for each CPU"
					: "this is half as much again");
	}
}

/* --- all of it -------------------------------------------------------------------------------- */

/* What is older than 31 days before the last minute is left out; a clock that jumped is borne. */
static void choose(struct looking *l)
{
	const struct history_minute *m;
	size_t count = 0;

	while (history_minute(l->b, count))
		count++;
	if (!count)
		return;
	l->s->last = history_minute(l->b, count - 1)->minute;
	while ((m = history_minute(l->b, l->first)) && m->minute <= l->s->last &&
	       l->s->last - m->minute >= HISTORY_MINUTES)
		l->first++;
	l->minutes = count - l->first;
	l->s->first = minute(l, 0)->minute;
}

static void sum_up(struct looking *l)
{
	l->s->minutes = (uint32_t)l->minutes;
	for (size_t i = 0; i < l->minutes; i++) {
		const struct history_minute *m = minute(l, i);

		l->s->attempts += attempts_of(m);
		l->s->enforced += m->enforced > 0;
		l->s->without_sessions += m->sessions == HISTORY_NONE;
		l->s->without_load += m->load_centi == HISTORY_NONE;
	}
}

int suggest_make(const struct history_book *b, uint32_t cpus, struct suggestions *s)
{
	static const struct prefix_rule rules[] = {
		{HISTORY_SOURCE, "source-rate", "source-burst", "source", source_most, source_ten,
		 SOURCE_LEAST, SOURCE_BURST_LEAST, 2, 0},
		{HISTORY_SUBNET, "subnet-rate", "subnet-burst", "subnet", subnet_most, subnet_ten,
		 SUBNET_LEAST, SUBNET_BURST_LEAST, 1, SUBNET_SPARE},
	};
	struct looking l = {.b = b, .s = s};
	uint64_t connections;

	memset(s, 0, sizeof(*s));
	choose(&l);
	sum_up(&l);
	if (l.minutes < SUGGEST_LEAST_MINUTES)
		return -ENODATA;
	l.column.value = malloc(l.minutes * sizeof(*l.column.value));
	if (!l.column.value)
		return -ENOMEM;
	connections = propose_connections(&l);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		propose_prefix(&l, &rules[i], connections);
	propose_sessions(&l);
	propose_load(&l, cpus);
	free(l.column.value);
	return 0;
}
