// SPDX-License-Identifier: GPL-2.0-or-later
#include "foresee.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "tables.h"

#include "frame.h"
#include "gate.h"

#define PLACES	4 /* of each table: one source, one subnet, one attempt, and one that comes */
#define STEP_NS NSEC_PER_MSEC

struct foresee {
	struct state st;
	struct policy policy;
	struct control control;
	struct counters counters;
	struct live live;
	struct backlog queue;
	__u64 remember_tat_ns;
	struct plain_class listed;
};

/* A class that holds for every address: the lists have been asked already. */
static void put_class(struct foresee *f, const struct look *l)
{
	f->listed = (struct plain_class){.class = l->listed};
	f->st.classes = &f->listed;
	f->st.class_count = 1;
}

static void put_entries(struct foresee *f, const struct look *l, const struct attempt *a,
			const struct look_attempt *seen)
{
	__u64 fingerprint = state_fingerprint(&f->st, a);

	if (l->has_source_tat)
		state_add(&f->st, TABLE_SOURCE, &l->source, &l->source_tat_ns);
	if (l->has_subnet_tat)
		state_add(&f->st, TABLE_SUBNET, &l->subnet, &l->subnet_tat_ns);
	if (l->has_holder)
		state_add(&f->st, TABLE_HOLDER, &l->source, &l->holder);
	if (l->has_coming)
		state_add(&f->st, TABLE_COMING, &l->source, &l->coming);
	if (l->has_learned)
		state_add(&f->st, TABLE_LEARNED, &l->source, &l->learned);
	if (seen && seen->deferred_ns)
		state_add(&f->st, TABLE_DEFERRED, &fingerprint, &seen->deferred_ns);
	if (seen && seen->admitted_ns)
		state_add(&f->st, TABLE_ADMITTED, &fingerprint, &seen->admitted);
}

struct foresee *foresee_open(const struct look *l, const struct attempt *a,
			     const struct look_attempt *seen, bool lives)
{
	struct foresee *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->policy = l->policy;
	f->control = l->control;
	f->live = l->live;
	f->queue = l->queue;
	f->remember_tat_ns = l->remember_tat_ns;
	if (lives && l->control.lease_until_ns > l->now_ns) {
		f->control.lease_until_ns = NEVER_NS;
		if (l->control.hold_until_ns > l->now_ns)
			f->control.hold_until_ns = NEVER_NS;
	}
	f->st.policy = &f->policy;
	f->st.control = &f->control;
	f->st.counters = &f->counters;
	f->st.live = &f->live;
	f->st.remember_tat_ns = &f->remember_tat_ns;
	f->st.backlog = l->has_queue ? &f->queue : NULL;
	if (state_open_tables(&f->st, PLACES)) {
		foresee_close(f);
		return NULL;
	}
	put_class(f, l);
	put_entries(f, l, a, seen);
	return f;
}

void foresee_close(struct foresee *f)
{
	if (!f)
		return;
	state_close_tables(&f->st);
	free(f);
}

struct foresight foresee_syn(struct foresee *f, const struct attempt *a, uint64_t now_ns)
{
	struct decision d = gate_judge(&f->st, a, now_ns);
	struct foresight out = {
		.verdict = d.verdict, .reason = d.reason, .class = d.class, .again = d.again};
	__u64 fingerprint = state_fingerprint(&f->st, a), turn_ns;
	const struct admitted *seen;

	if (d.verdict != VERDICT_HOLD)
		return out;
	seen = state_find(&f->st, TABLE_ADMITTED, &fingerprint);
	turn_ns = seen ? REPLAY_TIME(seen->passes) : 0;
	out.hold_ns = turn_ns > now_ns ? turn_ns - now_ns : 0;
	return out;
}

/* Is a new attempt let in then? */
static bool let_in(const struct look *l, const struct attempt *a, bool lives, uint64_t at_ns)
{
	struct foresee *f = foresee_open(l, a, NULL, lives);
	struct foresight s;

	if (!f)
		return false;
	s = foresee_syn(f, a, at_ns);
	foresee_close(f);
	return s.verdict == VERDICT_PASS || s.verdict == VERDICT_HOLD;
}

/* What is owed only grows less: once let in, let in for good. */
uint64_t foresee_when(const struct look *l, const struct attempt *a, bool lives)
{
	uint64_t low = 0, high = STEP_NS;

	if (let_in(l, a, lives, l->now_ns))
		return l->now_ns;
	while (!let_in(l, a, lives, l->now_ns + high)) {
		low = high;
		high *= 2;
		if (high > FORESEE_MOST_NS)
			return FORESEE_NEVER;
	}
	while (high - low > STEP_NS) {
		uint64_t middle = low + (high - low) / 2;

		if (let_in(l, a, lives, l->now_ns + middle))
			high = middle;
		else
			low = middle;
	}
	return l->now_ns + high;
}

/* --- the numbers ------------------------------------------------------------------------------ */

static void fill(struct foresee_bucket *out, const struct bucket *b, uint64_t tat_ns,
		 uint64_t now_ns, uint64_t cost_ns, uint64_t may_ns)
{
	*out = (struct foresee_bucket){.t_ns = b->t_ns, .cost_ns = cost_ns, .may_ns = may_ns};
	if (!b->t_ns)
		return;
	out->burst = b->tau1_ns / b->t_ns + 1;
	out->debt_ns = gcra_look(tat_ns, now_ns, b, may_ns).debt_ns;
	if (out->debt_ns <= may_ns)
		out->free = cost_ns ? (may_ns - out->debt_ns) / cost_ns + 1 : 0;
	else
		out->next_ns = out->debt_ns - may_ns;
}

void foresee_state(const struct look *l, const struct attempt *a, struct foresee_state *s)
{
	const struct policy *p = &l->policy;
	struct foresee *f = foresee_open(l, a, NULL, true);
	const struct bucket *global;
	struct tolerance may;
	uint32_t rank;

	*s = (struct foresee_state){.mode = gate_mode(p, l->now_ns),
				    .tiers = gate_tiers(p, &l->control, l->now_ns),
				    .leased = l->control.lease_until_ns > l->now_ns,
				    .pending = coming_count(&l->live.everybody, l->now_ns)};
	if (!f)
		return;
	global = s->tiers & TIER_QUEUE ? &p->global_queue : &p->global;
	s->class = state_rank(&f->st, a, MAYBE_ALL, l->now_ns);
	rank = s->class == CLASS_TRUSTED ? CLASS_UNKNOWN : s->class;
	s->pressure =
		gcra_look(l->control.global_tat_ns, l->now_ns, global, global->tau1_ns).debt_ns >
		global->tau1_ns / 2;
	gate_tolerance(&may, p, rank, 0, s->pressure);
	fill(&s->bucket[FORESEE_GLOBAL], global, l->control.global_tat_ns, l->now_ns, global->t_ns,
	     gate_may_owe(global, rank, 0));
	fill(&s->bucket[FORESEE_SUBNET], &p->per_subnet, l->has_subnet_tat ? l->subnet_tat_ns : 0,
	     l->now_ns, may.subnet.cost_ns, may.subnet.tau_ns);
	fill(&s->bucket[FORESEE_SOURCE], &p->per_source, l->has_source_tat ? l->source_tat_ns : 0,
	     l->now_ns, may.source.cost_ns, may.source.tau_ns);
	fill(&s->bucket[FORESEE_TRUSTED], &p->trusted, l->control.trusted_tat_ns, l->now_ns,
	     p->trusted.t_ns, p->trusted.tau1_ns);
	if (l->has_holder) {
		struct holder h = l->holder;

		s->sessions = h.sessions;
		s->slot_debt_ns = holder_debt_ns(&h, &p->sessions, l->now_ns);
	}
	foresee_close(f);
}

bool foresee_guards(const struct look *l, const union addr *dest, uint16_t port)
{
	uint16_t host = ntohs(port);

	return l->policy.port_bits[host / 8] >> (host % 8) & 1 &&
	       frame_address_guarded(&l->policy, dest);
}
