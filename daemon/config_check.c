// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What no value shows by itself: the defaults that hang on other values, and whether all values
 * fit together. An error is put at the value that the operator wrote and that is most to blame.
 */
#include "config_rows.h"

#include <inttypes.h>
#include <stdio.h>

#include "config_values.h"
#include "policy.h"

#define TRUSTED_TIMES	10
#define TRUSTED_SECONDS 2
#define QUEUE_LA_CPU	800 /* hundredths a CPU */
#define REFUSE_LA_CPU	1200

/* --- derived defaults ---------------------------------------------------------------------------- */

/* Stays within what a rate may be, so that the value in force can be written down again. */
static struct rate ten_times(struct rate r)
{
	if (r.count * TRUSTED_TIMES * (NSEC_PER_SEC / RATE_MAX_PER_S) > r.period_ns)
		return (struct rate){RATE_MAX_PER_S, NSEC_PER_SEC};
	if (r.count <= RATE_COUNT_MAX / TRUSTED_TIMES)
		r.count *= TRUSTED_TIMES;
	else
		r.period_ns = r.period_ns / TRUSTED_TIMES / NSEC_PER_MSEC * NSEC_PER_MSEC;
	return r;
}

static struct rate half_of(struct rate r)
{
	if (r.count % 2 == 0)
		r.count /= 2;
	else if (r.period_ns <= RATE_PERIOD_MAX / 2)
		r.period_ns *= 2;
	else if (r.count > 1)
		r.count /= 2;
	return r;
}

/* n times count/period, rounded up: how many a rate lets in within n nanoseconds. */
static uint64_t within(const struct rate *r, uint64_t ns)
{
	unsigned __int128 all = (unsigned __int128)ns * r->count;

	return (all + r->period_ns - 1) / r->period_ns;
}

/*
 * The clock moves in ticks: for one tick's time the bucket sees nothing drain, and then all of it
 * at once. With less room than this a source within its rate would be deferred.
 */
static uint64_t burst_need(const struct load *l, const struct rate *r)
{
	return 2 + within(r, 2 * l->facts->tick_ns);
}

static uint32_t load_of_cpus(const struct load *l, uint32_t each)
{
	uint64_t la = (uint64_t)l->facts->cpus * each;

	return la < LOAD_MAX * 100 ? la : LOAD_MAX * 100;
}

void config_derive(struct load *l)
{
	struct config *c = l->c;
	uint64_t burst;

	if (!PLACE_OF(l, known_file))
		snprintf(c->known_file, sizeof(c->known_file), "/var/lib/sluice/%s/known",
			 l->facts->instance ? l->facts->instance : "default");
	if (!PLACE_OF(l, trusted_rate))
		c->trusted_rate = ten_times(c->connection_rate);
	if (!PLACE_OF(l, queue_rate))
		c->queue_rate = half_of(c->connection_rate);
	if (!PLACE_OF(l, queue_la_centi))
		c->queue_la_centi = load_of_cpus(l, QUEUE_LA_CPU);
	if (!PLACE_OF(l, refuse_la_centi))
		c->refuse_la_centi = load_of_cpus(l, REFUSE_LA_CPU);
	if (!PLACE_OF(l, trusted_burst)) {
		burst = within(&c->trusted_rate, TRUSTED_SECONDS * NSEC_PER_SEC);
		if (burst < burst_need(l, &c->trusted_rate))
			burst = burst_need(l, &c->trusted_rate);
		c->trusted_burst = burst;
	}
}

/* --- checks -------------------------------------------------------------------------------------- */

static int check_gate(struct load *l)
{
	if (l->c->interfaces)
		return 0;
	return load_fail(l, NULL,
			 "[gate] interface= is missing: name the interface that mail arrives on");
}

static int check_prefix(struct load *l, const struct row *subnet, uint32_t subnet_bits,
			const struct row *source, uint32_t source_bits)
{
	const struct place *at = load_place(l, subnet);

	if (subnet_bits <= source_bits)
		return 0;
	return load_fail(l, at ? at : load_place(l, source),
			 "%s = %u is longer than %s = %u; expected a subnet to hold its sources",
			 subnet->key.name, subnet_bits, source->key.name, source_bits);
}

static int check_prefixes(struct load *l)
{
	const struct config *c = l->c;
	int err = check_prefix(l, ROW_OF(subnet_prefix_v4), c->subnet_prefix_v4,
			       ROW_OF(source_prefix_v4), c->source_prefix_v4);

	return err ? err
		   : check_prefix(l, ROW_OF(subnet_prefix_v6), c->subnet_prefix_v6,
				  ROW_OF(source_prefix_v6), c->source_prefix_v6);
}

static int check_queue_rate(struct load *l)
{
	const struct rate *queue = &l->c->queue_rate, *all = &l->c->connection_rate;
	char queue_text[32], all_text[32];

	if ((unsigned __int128)queue->count * all->period_ns <=
	    (unsigned __int128)all->count * queue->period_ns)
		return 0;
	format_rate(queue, queue_text, sizeof(queue_text));
	format_rate(all, all_text, sizeof(all_text));
	return load_fail(l, PLACE_OF(l, queue_rate),
			 "queue-rate = %s is more than connection-rate = %s; expected at most that",
			 queue_text, all_text);
}

/* The buckets: each a rate and the burst that goes with it. */
struct pair {
	const struct row *rate_row, *burst_row;
	struct rate *rate;
	uint32_t *burst;
};

enum { CONNECTION, QUEUE, SUBNET, SOURCE, TRUSTED, PAIRS };

static void pairs_make(struct pair pair[PAIRS], struct config *c)
{
	pair[CONNECTION] = (struct pair){ROW_OF(connection_rate), ROW_OF(connection_burst),
					 &c->connection_rate, &c->connection_burst};
	pair[QUEUE] = (struct pair){ROW_OF(queue_rate), ROW_OF(connection_burst), &c->queue_rate,
				    &c->connection_burst};
	pair[SUBNET] = (struct pair){ROW_OF(subnet_rate), ROW_OF(subnet_burst), &c->subnet_rate,
				     &c->subnet_burst};
	pair[SOURCE] = (struct pair){ROW_OF(source_rate), ROW_OF(source_burst), &c->source_rate,
				     &c->source_burst};
	pair[TRUSTED] = (struct pair){ROW_OF(trusted_rate), ROW_OF(trusted_burst), &c->trusted_rate,
				      &c->trusted_burst};
}

/* The first of the two that was written, or what a derived rate was made from. */
static const struct place *blame(const struct load *l, const struct row *first,
				 const struct row *second)
{
	const struct place *at = load_place(l, first);

	if (!at)
		at = load_place(l, second);
	return at ? at : PLACE_OF(l, connection_rate);
}

static int check_burst(struct load *l, const struct pair *p)
{
	uint64_t need = burst_need(l, p->rate);
	char rate_text[32];

	if (!p->rate->count || *p->burst >= need)
		return 0;
	format_rate(p->rate, rate_text, sizeof(rate_text));
	return load_fail(l, blame(l, p->burst_row, p->rate_row),
			 "%s = %u is too small for %s = %s, as the clock moves in ticks of %" PRIu64
			 " us; expected at least %" PRIu64,
			 p->burst_row->key.name, *p->burst, p->rate_row->key.name, rate_text,
			 (uint64_t)(l->facts->tick_ns / 1000), need);
}

/* Whether this pair alone exceeds what a debt may be: the policy is asked, with others harmless. */
static bool overflows(const struct config *c, size_t which)
{
	const struct rate harmless = {RATE_MAX_PER_S, NSEC_PER_SEC};
	struct config only = *c;
	struct pair pair[PAIRS];
	struct policy policy;

	pairs_make(pair, &only);
	for (size_t i = 0; i < PAIRS; i++)
		if (i != which)
			*pair[i].rate = harmless;
	return policy_make(&only, 1, &policy) != 0;
}

static int check_overflow(struct load *l, const struct pair *p, size_t which)
{
	char rate_text[32];

	if (!overflows(l->c, which))
		return 0;
	format_rate(p->rate, rate_text, sizeof(rate_text));
	return load_fail(
		l, blame(l, p->rate_row, p->burst_row),
		"%s = %s with %s = %u%s would take more than 146 years to refill; expected a "
		"faster rate or smaller bursts",
		p->rate_row->key.name, rate_text, p->burst_row->key.name, *p->burst,
		which <= SUBNET ? ", retry-burst and known-burst" : "");
}

static int check_buckets(struct load *l)
{
	struct pair pair[PAIRS];
	int err = 0;

	pairs_make(pair, l->c);
	for (size_t i = 0; i < PAIRS && !err; i++)
		err = check_burst(l, &pair[i]);
	for (size_t i = 0; i < PAIRS && !err; i++)
		err = check_overflow(l, &pair[i], i);
	return err;
}

/* A bucket that is evicted while it owes something is forgiven its debt. */
static int check_table(struct load *l, const struct row *table, uint32_t entries, uint64_t need,
		       const struct pair *p)
{
	const struct place *at = load_place(l, table);
	char rate_text[32], all_text[32];

	if (entries >= need)
		return 0;
	format_rate(p->rate, rate_text, sizeof(rate_text));
	format_rate(&l->c->connection_rate, all_text, sizeof(all_text));
	return load_fail(
		l, at ? at : blame(l, p->rate_row, p->burst_row),
		"%s = %u is too small: while a bucket of %s = %s with %s = %u refills, %" PRIu64
		" may be in use at connection-rate = %s; expected at least %" PRIu64
		" or a quicker refill",
		table->key.name, entries, p->rate_row->key.name, rate_text, p->burst_row->key.name,
		*p->burst, need, all_text, need);
}

static int check_tables(struct load *l)
{
	struct pair pair[PAIRS];
	int err;

	pairs_make(pair, l->c);
	err = check_table(l, ROW_OF(source_table), l->c->source_table, policy_source_need(l->c),
			  &pair[SOURCE]);
	return err ? err
		   : check_table(l, ROW_OF(subnet_table), l->c->subnet_table,
				 policy_subnet_need(l->c), &pair[SUBNET]);
}

/* A refusal that has to stay for hold could not end at refuse-max. */
static int check_refuse_max(struct load *l)
{
	const struct place *at = PLACE_OF(l, refuse_max_ns);
	char refuse_max[32], hold[32];

	if (l->c->refuse_max_ns >= l->c->hold_ns)
		return 0;
	format_duration(l->c->refuse_max_ns, refuse_max, sizeof(refuse_max));
	format_duration(l->c->hold_ns, hold, sizeof(hold));
	return load_fail(l, at ? at : PLACE_OF(l, hold_ns),
			 "refuse-max = %s is shorter than hold = %s; expected at least hold",
			 refuse_max, hold);
}

/* Below a second a minute the cost of a slot no longer fits its fixed point number. */
static int check_session_time(struct load *l)
{
	uint64_t ns = l->c->source_session_time_ns;
	char text[32];

	if (!ns || ns >= NSEC_PER_SEC)
		return 0;
	format_duration(ns, text, sizeof(text));
	return load_fail(l, PLACE_OF(l, source_session_time_ns),
			 "source-session-time = %s is too short; expected 1s to 1h, or 0 for off",
			 text);
}

int config_check(struct load *l)
{
	int err = check_gate(l);

	if (!err)
		err = check_prefixes(l);
	if (!err)
		err = check_queue_rate(l);
	if (!err)
		err = check_refuse_max(l);
	if (!err)
		err = check_session_time(l);
	if (!err)
		err = check_buckets(l);
	return err ? err : check_tables(l);
}
