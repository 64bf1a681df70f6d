// SPDX-License-Identifier: GPL-2.0-or-later
#include "replay_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay_table.h"

#define RING_AT_FIRST 1024U

/* The nth ring waits for the SYN number n (from 1); behind the last SYN they wait to give up. */
#define RINGS (CLIENT_SYNS_MAX + 1)

/* An attempt that waits: one cache line. */
struct waiting {
	uint64_t first_ns;
	uint64_t fingerprint;
	union addr source, dest; /* as in struct attempt, and so are the next four */
	uint16_t source_port, dest_port;
	uint32_t isn;
	uint8_t family;
	uint8_t reason, class; /* of its last SYN */
	uint32_t turn_ms;      /* held until so long after first_ns, rounded up; 0: it is not */
};

struct ring {
	struct waiting *at; /* a power of two */
	uint32_t size, head, count;
	uint64_t after_ns; /* the first SYN this happens */
};

#define NOTHING_DUE UINT64_MAX

#define LOOK_AHEAD 4 /* entries of a ring: memory is slow to reach */
#define CACHE_LINE 64

/* What is known of an attempt of the trace when a copy of it comes: the value in the table. */
struct recent {
	__u64 first_ns;
	__u64 admitted;
};

struct sim {
	struct sim_setup setup;
	struct tally *tally;
	struct replay_table recent;
	struct ring ring[RINGS];
	uint64_t due_ns[RINGS]; /* when the head of each ring happens, or NOTHING_DUE */
	unsigned int rings;	/* 1 to rings - 1 are in use */
	uint32_t waiting;
	uint64_t now_ns;
};

_Static_assert(sizeof(struct waiting) == 64, "as the header says");

int sim_open(const struct sim_setup *setup, struct sim **sim)
{
	const struct client_model *c = setup->client;
	struct sim *s = calloc(1, sizeof(*s));

	*sim = NULL;
	if (!s)
		return -ENOMEM;
	s->setup = *setup;
	for (unsigned int n = 0; n < RINGS; n++)
		s->due_ns[n] = NOTHING_DUE;
	s->rings = c->syns + 1;
	for (unsigned int n = 1; n < c->syns; n++)
		s->ring[n].after_ns = c->at_ms[n] * NSEC_PER_MSEC;
	s->ring[c->syns].after_ns = c->gives_up_ms * NSEC_PER_MSEC;
	if (tally_open(&s->tally) || (setup->copies && replay_table_open(&s->recent, SIM_RECENT, 1,
									 sizeof(struct recent)))) {
		sim_close(s);
		return -ENOMEM;
	}
	*sim = s;
	return 0;
}

void sim_close(struct sim *sim)
{
	if (!sim)
		return;
	for (unsigned int n = 0; n < RINGS; n++)
		free(sim->ring[n].at);
	replay_table_close(&sim->recent);
	tally_close(sim->tally);
	free(sim);
}

const struct tally *sim_tally(const struct sim *sim)
{
	return sim->tally;
}

/* --- those who wait ---------------------------------------------------------------------------- */

static int ring_grow(struct ring *r)
{
	uint32_t size = r->size ? r->size * 2 : RING_AT_FIRST;
	struct waiting *at = aligned_alloc(CACHE_LINE, size * sizeof(*at));

	if (!at)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->count; i++)
		at[i] = r->at[(r->head + i) & (r->size - 1)];
	free(r->at);
	r->at = at;
	r->size = size;
	r->head = 0;
	return 0;
}

static int ring_push(struct sim *s, unsigned int n, const struct waiting *w)
{
	struct ring *r = &s->ring[n];

	if (s->waiting == SIM_WAITING_MAX)
		return -ENOSPC;
	if (r->count == r->size && ring_grow(r))
		return -ENOMEM;
	if (!r->count)
		s->due_ns[n] = w->first_ns + r->after_ns;
	r->at[(r->head + r->count++) & (r->size - 1)] = *w;
	s->waiting++;
	return 0;
}

static struct waiting ring_pop(struct sim *s, unsigned int n)
{
	struct ring *r = &s->ring[n];
	struct waiting w = r->at[r->head];

	r->head = (r->head + 1) & (r->size - 1);
	__builtin_prefetch(&r->at[(r->head + LOOK_AHEAD) & (r->size - 1)]);
	s->due_ns[n] = --r->count ? r->at[r->head].first_ns + r->after_ns : NOTHING_DUE;
	s->waiting--;
	return w;
}

/* The ring in which something happens next, or 0; *at_ns says when. */
static unsigned int next_ring(const struct sim *s, uint64_t *at_ns)
{
	unsigned int next = 0;

	*at_ns = NOTHING_DUE;
	for (unsigned int n = s->rings - 1; n; n--) /* at the same moment: who waits longest */
		if (s->due_ns[n] < *at_ns) {
			*at_ns = s->due_ns[n];
			next = n;
		}
	return next;
}

/* --- one SYN ----------------------------------------------------------------------------------- */

static struct attempt attempt_of(const struct waiting *w)
{
	return (struct attempt){.source = w->source,
				.dest = w->dest,
				.source_port = w->source_port,
				.dest_port = w->dest_port,
				.isn = w->isn,
				.family = w->family};
}

static struct replay_decision judge(struct sim *s, const struct waiting *w)
{
	uint64_t now_ns = REPLAY_START_NS + s->now_ns;
	struct attempt a = attempt_of(w);
	struct replay_decision d;

	now_ns -= now_ns % s->setup.tick_ns;
	d = replay_gate_judge(s->setup.gate, &a, w->fingerprint, now_ns);
	if (s->setup.observe)
		s->setup.observe(s->setup.ctx, now_ns, &a, d);
	tally_syn(s->tally, s->now_ns, d.verdict, d.reason, d.again);
	return d;
}

static struct prefix_key place_of(const union addr *a, const struct prefix *p)
{
	struct prefix_key key = {.bits = p->bits};

	key.addr.half[0] = a->half[0] & p->mask.half[0];
	key.addr.half[1] = a->half[1] & p->mask.half[1];
	return key;
}

/* The attempt comes to its end at a moment; that of a held one is still to come. */
static int conclude(struct sim *s, const struct waiting *w, enum fate fate, uint64_t at_ns)
{
	const struct policy *p = replay_gate_policy(s->setup.gate);
	struct tally_end end = {
		.at_ns = at_ns,
		.wait_ms = (at_ns - w->first_ns) / NSEC_PER_MSEC,
		.fate = fate,
		.reason = w->reason,
		.class = w->class,
		.first = s->now_ns == w->first_ns,
		.held = w->turn_ms != 0,
		.source = place_of(&w->source, &p->source[w->family]),
		.subnet = place_of(&w->source, &p->subnet[w->family]),
	};

	if (s->setup.copies && fate == FATE_ADMITTED) {
		__u64 fingerprint = w->fingerprint;
		struct recent *recent = replay_table_find(&s->recent, &fingerprint, 1);

		if (recent)
			recent->admitted = 1;
	}
	return tally_fate(s->tally, &end);
}

/* Held from its nth SYN on: let in at its turn, and until then it goes on sending. */
static int hold(struct sim *s, struct waiting *w, unsigned int n, uint64_t hold_ns)
{
	uint64_t turn_ns = s->now_ns + hold_ns, after_ns = turn_ns - w->first_ns;
	int err;

	w->turn_ms = (uint32_t)((after_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC);
	w->turn_ms += !w->turn_ms;
	err = conclude(s, w, FATE_ADMITTED, turn_ns);
	return err ? err : ring_push(s, n + 1, w);
}

/* The nth SYN (from 0) of an attempt. Returns 0 or -errno. */
static int send_syn(struct sim *s, struct waiting *w, unsigned int n)
{
	struct replay_decision d = judge(s, w);

	if (w->turn_ms) /* the gate has swallowed it */
		return ring_push(s, n + 1, w);
	w->reason = d.reason;
	w->class = d.class;
	switch (d.verdict) {
	case VERDICT_PASS:
		return conclude(s, w, FATE_ADMITTED, s->now_ns);
	case VERDICT_REFUSE: /* the RST sends it to the next MX at once */
		return conclude(s, w, FATE_REFUSED, s->now_ns);
	case VERDICT_HOLD:
		return hold(s, w, n, d.hold_ns);
	default:
		return ring_push(s, n + 1, w);
	}
}

static int happen(struct sim *s, unsigned int n, uint64_t at_ns)
{
	struct waiting w = ring_pop(s, n);

	s->now_ns = at_ns;
	/* Its turn has come meanwhile: it was answered. */
	if (w.turn_ms && s->ring[n].after_ns >= w.turn_ms * NSEC_PER_MSEC)
		return 0;
	if (n == s->setup.client->syns)
		return conclude(s, &w, FATE_LOST, at_ns);
	return send_syn(s, &w, n);
}

/* --- the trace --------------------------------------------------------------------------------- */

/*
 * Is this a copy of an attempt that is known? Notes it if it is not. Returns 1 for a copy, which
 * is then dealt with, or 0.
 */
static int take_copy(struct sim *s, const struct waiting *w)
{
	__u64 fingerprint = w->fingerprint;
	struct recent *known = replay_table_find(&s->recent, &fingerprint, 1);
	struct recent fresh = {.first_ns = s->now_ns};

	if (!known) {
		replay_table_add(&s->recent, &fingerprint, 1, &fresh);
		return 0;
	}
	if (s->now_ns - known->first_ns > REMEMBER_MAX_NS) {
		*known = fresh;
		return 0;
	}
	if (!known->admitted) {
		s->tally->replaced++;
		return 1;
	}
	s->tally->copies++;
	judge(s, w);
	return 1;
}

int sim_syn(struct sim *sim, uint64_t at_ns, const struct attempt *a)
{
	struct waiting w = {.first_ns = at_ns,
			    .fingerprint = replay_gate_fingerprint(sim->setup.gate, a),
			    .source = a->source,
			    .dest = a->dest,
			    .source_port = a->source_port,
			    .dest_port = a->dest_port,
			    .isn = a->isn,
			    .family = a->family & 1};
	uint64_t due_ns;
	unsigned int n;
	int err;

	/* Each turn takes one that waits on by one of its SYNs, of which there are ten. */
	while ((n = next_ring(sim, &due_ns)) && due_ns <= at_ns) {
		err = happen(sim, n, due_ns);
		if (err)
			return err;
	}
	sim->now_ns = at_ns;
	if (sim->setup.copies && take_copy(sim, &w))
		return 0;
	tally_attempt(sim->tally, at_ns);
	return send_syn(sim, &w, 0);
}

int sim_drain(struct sim *sim, uint32_t most)
{
	uint64_t due_ns;
	unsigned int n;
	int err;

	while (most-- && (n = next_ring(sim, &due_ns))) {
		err = happen(sim, n, due_ns);
		if (err)
			return err;
	}
	return sim->waiting != 0;
}
