/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate.h - attempt + policy + state -> verdict and reason.
 *
 * The order of the gates stands here and nowhere else: read gate_judge() from top to bottom. The
 * same code runs in the kernel and natively. It never looks at a clock, and never at the mode:
 * monitor judges, charges and remembers exactly as enforce does.
 *
 * Gates that later versions add have their place marked by name; until then nothing is asked.
 */
#ifndef GATE_H
#define GATE_H

#include "sluice.h"
#include "state.h"

struct decision {
	__u8 verdict; /* enum verdict */
	__u8 reason;  /* enum reason */
	__u8 class;   /* enum class: what the lists say, also of a trusted source over its rate */
	__u8 again;   /* a retransmit of a remembered attempt */
};

/* The mode in force: a manual one until its end, else the config's. */
static __always_inline __u32 gate_mode(const struct policy *p, __u64 now_ns)
{
	return now_ns < p->mode_override.until_ns ? p->mode_override.value : p->mode;
}

/*
 * The tiers in force. What the load says holds only while the controller lives. A manual set with
 * an end of its own holds until then, daemon or not; one without an end falls with the lease, so
 * that a refusal can never be for ever.
 */
static __always_inline __u32 gate_tiers(const struct policy *p, const struct control *c,
					__u64 now_ns)
{
	const struct override *o = &p->tier_override;
	int leased = now_ns < *(volatile const __u64 *)&c->lease_until_ns;

	if (o->until_ns == NEVER_NS ? leased : now_ns < o->until_ns)
		return o->value;
	return leased ? p->tiers : 0;
}

/* What the judged source may owe on each word, and what a connection costs it. */
struct tolerance {
	__u64 global_ns, subnet_ns, source_ns;
	__u64 source_cost_ns;
};

/* Priority is tolerance: the table of the design, line by line. */
static __always_inline void gate_tolerance(struct tolerance *t, const struct policy *p,
					   const struct bucket *global, enum class rank,
					   int remembered, int pressure)
{
	t->global_ns = global->tau1_ns;
	t->subnet_ns = p->per_subnet.tau1_ns;
	t->source_ns = p->per_source.tau1_ns;
	t->source_cost_ns = p->per_source.t_ns;
	if (rank == CLASS_KNOWN) {
		t->global_ns = global->tau3_ns;
		t->subnet_ns = p->per_subnet.tau3_ns;
		t->source_ns = p->per_source.tau3_ns;
		return;
	}
	if (rank == CLASS_THROTTLED) {
		t->source_cost_ns = p->per_source.t_ns * THROTTLED_COST;
	} else if (remembered) {
		t->global_ns = global->tau2_ns;
		t->subnet_ns = p->per_subnet.tau2_ns;
	}
	/* Fairness: while all together are pressed, nobody's newcomers get more than one ahead. */
	if (pressure && !remembered && t->source_ns > p->per_source.t_ns)
		t->source_ns = p->per_source.t_ns;
}

static __always_inline struct decision gate_decision(struct decision d, enum verdict verdict,
						     enum reason reason)
{
	d.verdict = verdict;
	d.reason = reason;
	return d;
}

/* A refusal costs us an RST: beyond the budget for those it acts as DEFER. */
static __always_inline struct decision gate_refuse(struct state *st, struct decision d,
						   enum reason reason, __u64 now_ns)
{
	if (state_charge_plain(st, &st->control->refuse_tat_ns, &st->policy->refuse, now_ns)) {
		st->counters->refuse_over++;
		return gate_decision(d, VERDICT_DEFER, reason);
	}
	return gate_decision(d, VERDICT_REFUSE, reason);
}

/* DEFER, and remember the attempt if it is not remembered yet: its retransmit has seniority. */
static __always_inline struct decision gate_defer(struct state *st, struct decision d,
						  enum reason reason, __u64 fingerprint,
						  enum memory memory, __u64 now_ns)
{
	if (memory == MEMORY_NONE)
		state_remember(st, fingerprint, now_ns);
	return gate_decision(d, VERDICT_DEFER, reason);
}

/* A trusted source within the one bucket that all trusted sources share. Returns an enum charge. */
static __always_inline int gate_trusted(struct state *st, const struct bucket *global, __u64 now_ns)
{
	struct gcra_op op = {.now_ns = now_ns, .cost_ns = global->t_ns, .tau_ns = global->tau1_ns};
	int done =
		state_charge_plain(st, &st->control->trusted_tat_ns, &st->policy->trusted, now_ns);

	/*
	 * What it takes is not there for newcomers. But a trusted address can be spoofed: it never
	 * takes the room above tau1 from those who have waited, or are known.
	 */
	if (done == CHARGE_OK)
		state_charge(st, &st->control->global_tat_ns, global, &op);
	return done;
}

/*
 * Charges all three words, or none: global, subnet, source; a later failure gives the earlier
 * back. Returns an enum charge; *reason names the word that was charged last or denied.
 */
static __always_inline int gate_charge(struct state *st, const struct attempt *a,
				       const struct bucket *global, const struct tolerance *t,
				       struct slot *subnet, struct slot *source, __u64 now_ns,
				       enum reason *reason)
{
	const struct policy *p = st->policy;
	struct gcra_op op = {.now_ns = now_ns, .cost_ns = global->t_ns, .tau_ns = t->global_ns};
	int done = state_charge(st, &st->control->global_tat_ns, global, &op);

	*reason = REASON_CONNECTION_RATE;
	if (done != CHARGE_OK)
		return done;
	if (p->per_subnet.t_ns) {
		*reason = REASON_SUBNET_RATE;
		done = state_slot_charge(st, subnet, a, now_ns, p->per_subnet.t_ns, t->subnet_ns,
					 &p->per_subnet);
	}
	if (done == CHARGE_OK && p->per_source.t_ns) {
		*reason = REASON_SOURCE_RATE;
		done = state_slot_charge(st, source, a, now_ns, t->source_cost_ns, t->source_ns,
					 &p->per_source);
		if (done != CHARGE_OK && p->per_subnet.t_ns)
			state_slot_refund(st, subnet, p->per_subnet.t_ns);
	}
	if (done != CHARGE_OK)
		gcra_refund_add(&st->control->global_tat_ns, global->t_ns);
	return done;
}

/*
 * Judges one SYN to a guarded port and address, now. Charges what it admits, remembers what it
 * defers, and counts what went wrong on the way; the decision itself is the caller's to count
 * and to act on.
 */
static __always_inline struct decision gate_judge(struct state *st, const struct attempt *a,
						  __u64 now_ns)
{
	const struct policy *p = st->policy;
	__u32 tiers = gate_tiers(p, st->control, now_ns);
	const struct bucket *global = tiers & TIER_QUEUE ? &p->global_queue : &p->global;
	enum class rank = state_class(st, a);
	struct decision d = {.class = rank};
	struct slot subnet = {}, source = {};
	struct tolerance may;
	enum memory memory;
	enum reason reason;
	__u64 fingerprint, debt_ns;

	if (rank == CLASS_TRUSTED) {
		int done = gate_trusted(st, global, now_ns);

		if (done == CHARGE_OK)
			return gate_decision(d, VERDICT_PASS, REASON_TRUSTED);
		if (done == CHARGE_DENIED)
			st->counters->trusted_over++;
		rank = CLASS_UNKNOWN;
	}

	fingerprint = state_fingerprint(st, a);
	switch (state_replay(st, fingerprint, now_ns)) {
	case REPLAY_RETRANSMIT:
		return gate_decision(d, VERDICT_PASS, REASON_RETRANSMIT);
	case REPLAY_TOO_MANY:
		return gate_decision(d, VERDICT_DROP, REASON_REPLAY);
	case REPLAY_NEW:
		break;
	}

	if (rank == CLASS_BLOCKED)
		return gate_refuse(st, d, REASON_BLOCKED, now_ns);

	if (tiers & TIER_REFUSE)
		return gate_refuse(st, d, REASON_LOAD, now_ns);

	/* Place of the gates sessions, source-sessions and source-time. */

	memory = state_recall(st, fingerprint, now_ns);
	d.again = memory == MEMORY_REMEMBERED;

	/* Without a place to remember it in, a newcomer would wait for ever: the gate is skipped. */
	if ((tiers & TIER_DELAY) && rank != CLASS_KNOWN && memory != MEMORY_REMEMBERED) {
		if (memory == MEMORY_YOUNG || !state_remember(st, fingerprint, now_ns))
			return gate_decision(d, VERDICT_DEFER, REASON_FIRST_TIME);
		memory = MEMORY_YOUNG; /* asked once: no deferral below asks again */
	}

	/* Nobody's tolerance on the global word is below tau1. */
	debt_ns = gcra_look(*(volatile __u64 *)&st->control->global_tat_ns, now_ns, global,
			    global->tau1_ns)
			  .debt_ns;
	gate_tolerance(&may, p, global, rank, memory == MEMORY_REMEMBERED,
		       debt_ns > global->tau1_ns / 2);

	if (p->per_source.t_ns) {
		state_slot(st, &source, TABLE_SOURCE, a);
		if (state_slot_debt(&source, now_ns, &p->per_source, may.source_ns) > may.source_ns)
			return gate_defer(st, d, REASON_SOURCE_RATE, fingerprint, memory, now_ns);
	}

	if (p->per_subnet.t_ns) {
		state_slot(st, &subnet, TABLE_SUBNET, a);
		if (state_slot_debt(&subnet, now_ns, &p->per_subnet, may.subnet_ns) > may.subnet_ns)
			return gate_defer(st, d, REASON_SUBNET_RATE, fingerprint, memory, now_ns);
	}

	/* Place of HOLD: within pace-horizon the SYN is charged and waits instead. */
	if (debt_ns > may.global_ns)
		return gate_defer(st, d, REASON_CONNECTION_RATE, fingerprint, memory, now_ns);

	/* Place of the gate backlog. */

	switch (gate_charge(st, a, global, &may, &subnet, &source, now_ns, &reason)) {
	case CHARGE_CONTENDED:
		return gate_defer(st, d, REASON_CONTENDED, fingerprint, memory, now_ns);
	case CHARGE_DENIED: /* another CPU was faster */
		return gate_defer(st, d, reason, fingerprint, memory, now_ns);
	case CHARGE_OK:
		break;
	}
	state_admit(st, fingerprint, now_ns);
	return gate_decision(d, VERDICT_PASS, REASON_ADMITTED);
}

#endif
