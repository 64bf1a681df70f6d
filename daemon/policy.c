// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

uint64_t policy_interval_ns(const struct rate *r)
{
	return r->count ? (r->period_ns + r->count / 2) / r->count : 0;
}

/* a + n * t, or POLICY_DEBT_MAX_NS + 1 when that is more than a debt may be. */
static uint64_t add_times(uint64_t a, uint64_t n, uint64_t t)
{
	uint64_t sum;

	if (__builtin_mul_overflow(n, t, &sum) || __builtin_add_overflow(sum, a, &sum) ||
	    sum > POLICY_DEBT_MAX_NS)
		return POLICY_DEBT_MAX_NS + 1;
	return sum;
}

/* The cumulative tolerances of a shared word (global, subnet), in the T of that word. */
static int shared_bucket(struct bucket *b, const struct rate *r, uint32_t burst,
			 const struct config *c)
{
	*b = (struct bucket){.t_ns = policy_interval_ns(r)};
	if (!b->t_ns)
		return 0;
	b->tau1_ns = add_times(0, burst - 1, b->t_ns);
	b->tau2_ns = add_times(b->tau1_ns + c->pace_horizon_ns, c->retry_burst, b->t_ns);
	b->tau3_ns = add_times(b->tau2_ns, c->known_burst, b->t_ns);
	b->debt_max_ns = add_times(b->tau3_ns, 1, b->t_ns);
	return b->debt_max_ns > POLICY_DEBT_MAX_NS ? -ERANGE : 0;
}

/*
 * A source's own word: waiting earns nothing there, being known twice the tolerance. The most
 * that it can owe is a known source's last connection, or a throttled one's dear one.
 */
static int source_bucket(struct bucket *b, const struct rate *r, uint32_t burst)
{
	uint64_t known, throttled;

	*b = (struct bucket){.t_ns = policy_interval_ns(r)};
	if (!b->t_ns)
		return 0;
	b->tau1_ns = add_times(0, burst - 1, b->t_ns);
	b->tau2_ns = b->tau1_ns;
	b->tau3_ns = add_times(b->tau1_ns, 1, b->tau1_ns);
	known = add_times(b->tau3_ns, 1, b->t_ns);
	throttled = add_times(b->tau1_ns, THROTTLED_COST, b->t_ns);
	b->debt_max_ns = known > throttled ? known : throttled;
	return b->debt_max_ns > POLICY_DEBT_MAX_NS ? -ERANGE : 0;
}

/* A bucket with one tolerance for all. */
static int plain_bucket(struct bucket *b, uint64_t t_ns, uint64_t burst)
{
	*b = (struct bucket){.t_ns = t_ns};
	b->tau1_ns = b->tau2_ns = b->tau3_ns = add_times(0, burst - 1, t_ns);
	b->debt_max_ns = add_times(b->tau1_ns, 1, t_ns);
	return b->debt_max_ns > POLICY_DEBT_MAX_NS ? -ERANGE : 0;
}

static void prefix_make(struct prefix *p, uint32_t bits)
{
	*p = (struct prefix){.bits = bits};
	for (uint32_t i = 0; i < bits; i++)
		p->mask.byte[i / 8] |= 0x80 >> i % 8;
}

/*
 * A burst of two minutes' worth is the same debt for every source-session-time, as debt is the time
 * that it takes to work it off.
 */
static void session_limits(struct session_limits *s, const struct config *c)
{
	const uint64_t minute_ns = 60 * NSEC_PER_SEC;
	uint64_t known = (uint64_t)c->max_sessions * c->known_share_percent / 100;
	uint32_t unknown = c->max_sessions - (uint32_t)known, quarter = c->max_sessions / 4;

	*s = (struct session_limits){.most = c->max_sessions,
				     .most_unknown = unknown,
				     /* Half of a small rest: alone they never fill it. */
				     .pending_most = quarter < unknown / 2 ? quarter : unknown / 2,
				     .per_source = c->max_sessions_per_source,
				     .learn_bytes = c->known_bytes};
	if (!c->source_session_time_ns)
		return;
	s->slot_cost = (uint32_t)((minute_ns << SLOT_COST_SHIFT) / c->source_session_time_ns);
	s->slot_tau_ns = POLICY_SLOT_BURST_MINUTES * minute_ns;
}

/* One second's worth of RSTs may go out at once. */
static uint64_t second_of(const struct rate *r)
{
	uint64_t n = r->count * NSEC_PER_SEC / r->period_ns;

	return n ? n : 1;
}

int policy_make(const struct config *c, uint32_t cpus, struct policy *p)
{
	uint64_t share = c->defer_budget_per_s / (cpus ? cpus : 1);
	int err = 0;

	memset(p, 0, sizeof(*p));
	p->mode = c->mode;
	p->hold_ns = c->pace_horizon_ns;
	err |= shared_bucket(&p->global, &c->connection_rate, c->connection_burst, c);
	err |= shared_bucket(&p->global_queue, &c->queue_rate, c->connection_burst, c);
	err |= shared_bucket(&p->per_subnet, &c->subnet_rate, c->subnet_burst, c);
	err |= source_bucket(&p->per_source, &c->source_rate, c->source_burst);
	err |= plain_bucket(&p->trusted, policy_interval_ns(&c->trusted_rate), c->trusted_burst);
	err |= plain_bucket(&p->refuse, policy_interval_ns(&c->refuse_rate),
			    second_of(&c->refuse_rate));
	session_limits(&p->sessions, c);
	/* A share of at least one a second: with none, nobody would ever gain seniority. */
	share = share ? share : 1;
	err |= plain_bucket(&p->remember, NSEC_PER_SEC / share, share);

	prefix_make(&p->source[FAMILY_V4], 96 + c->source_prefix_v4);
	prefix_make(&p->source[FAMILY_V6], c->source_prefix_v6);
	prefix_make(&p->subnet[FAMILY_V4], 96 + c->subnet_prefix_v4);
	prefix_make(&p->subnet[FAMILY_V6], c->subnet_prefix_v6);

	for (uint32_t i = 0; i < c->ports; i++)
		p->port_bits[c->port_host[i] / 8] |= 1 << c->port_host[i] % 8;
	p->addresses = c->addresses;
	memcpy(p->address, c->address, sizeof(p->address));
	return err ? -ERANGE : 0;
}

/* Everything that can be admitted within a time: the rate and all bursts on top of it. */
static uint64_t admitted_within(const struct config *c, uint64_t ns)
{
	uint64_t t_ns = policy_interval_ns(&c->connection_rate);

	return (t_ns ? ns / t_ns : 0) + (uint64_t)c->connection_burst + c->retry_burst +
	       c->known_burst;
}

uint64_t policy_source_need(const struct config *c)
{
	struct bucket b;

	if (source_bucket(&b, &c->source_rate, c->source_burst) || !b.t_ns)
		return 0;
	return admitted_within(c, b.debt_max_ns);
}

uint64_t policy_subnet_need(const struct config *c)
{
	struct bucket b;

	if (shared_bucket(&b, &c->subnet_rate, c->subnet_burst, c) || !b.t_ns)
		return 0;
	return admitted_within(c, b.debt_max_ns);
}

static uint32_t bounded(uint64_t n, uint32_t most)
{
	return n < POLICY_TABLE_MIN ? POLICY_TABLE_MIN : n > most ? most : n;
}

void policy_tables(const struct config *c, struct policy_tables *t)
{
	uint64_t remember_s = REMEMBER_MAX_NS / NSEC_PER_SEC;

	t->sources = c->source_table;
	t->subnets = c->subnet_table;
	t->admitted = bounded(admitted_within(c, REPLAY_WINDOW_NS), POLICY_ADMITTED_MAX);
	/* 6,144 on top of 64 s x 4,000/s is the kernel's own slack of free entries a CPU. */
	t->deferred = bounded((uint64_t)c->defer_budget_per_s * remember_s * 1024 / 1000, 1U << 26);
}
