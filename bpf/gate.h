/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate.h - attempt + policy + state -> verdict and reason.
 *
 * The order of the gates stands here and nowhere else: read gate_decide() from top to bottom. The
 * same code runs in the kernel and natively. It never looks at a clock, and never at the mode:
 * monitor judges, charges and remembers exactly as enforce does.
 */
#ifndef GATE_H
#define GATE_H

#include "mark.h"
#include "sluice.h"
#include "state.h"

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

/*
 * How long a newcomer may be held now: while the room stands and the controller lives. The room is
 * up to an interval late, so an interval that is longer than the horizon is for nobody to wait.
 */
static __always_inline __u64 gate_hold_ns(const struct policy *p, const struct control *c,
					  const struct bucket *global, __u64 now_ns)
{
	if (p->hold_ns < global->t_ns || now_ns >= *(volatile const __u64 *)&c->hold_until_ns ||
	    now_ns >= *(volatile const __u64 *)&c->lease_until_ns)
		return 0;
	return p->hold_ns;
}

/*
 * What the judged source may owe on the global word, and what of that it would wait for. The other
 * two words have theirs in a slot.
 */
struct tolerance {
	__u64 global_ns;
	__u64 hold_ns;
	__u64 owed_ns;	/* by the global word, before it was charged */
	__u32 rank;	/* enum class: whose it is */
	__u32 patience; /* enum patience */
	__u32 listener; /* the slot of its listener (held_slot), or HELD_NOWHERE */
	struct slot subnet, source;
};

/* What may be owed on the global word. */
static __always_inline __u64 gate_may_owe(const struct bucket *global, __u32 rank, int remembered)
{
	if (rank == CLASS_KNOWN)
		return global->tau3_ns;
	return remembered && rank != CLASS_THROTTLED ? global->tau2_ns : global->tau1_ns;
}

/* Priority is tolerance: the table of the design, line by line; and gate_may_owe(). */
static __always_inline void gate_tolerance(struct tolerance *t, const struct policy *p,
					   enum class rank, int remembered, int pressure)
{
	t->rank = rank;
	t->subnet = (struct slot){.table = TABLE_SUBNET,
				  .cost_ns = p->per_subnet.t_ns,
				  .tau_ns = p->per_subnet.tau1_ns};
	t->source = (struct slot){.table = TABLE_SOURCE,
				  .cost_ns = p->per_source.t_ns,
				  .tau_ns = p->per_source.tau1_ns};
	if (rank == CLASS_KNOWN) {
		t->subnet.tau_ns = p->per_subnet.tau3_ns;
		t->source.tau_ns = p->per_source.tau3_ns;
		return;
	}
	if (rank == CLASS_THROTTLED) {
		t->source.cost_ns = p->per_source.t_ns * THROTTLED_COST;
	} else if (remembered) {
		t->subnet.tau_ns = p->per_subnet.tau2_ns;
	}
	/* Fairness: while all together are pressed, nobody's newcomers get more than one ahead. */
	if (pressure && !remembered && t->source.tau_ns > p->per_source.t_ns)
		t->source.tau_ns = p->per_source.t_ns;
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

/* DEFER; the attempt is remembered if it is not yet: its retransmit has seniority. */
static __always_inline struct decision gate_defer(struct decision d, enum reason reason,
						  enum memory memory)
{
	d.remember = memory == MEMORY_NONE;
	return gate_decision(d, VERDICT_DEFER, reason);
}

/* Charges the global word for somebody who may owe so much there. Returns an enum charge. */
FRAME_OF_ITS_OWN int gate_charge_global(struct state *st, const struct bucket *global, __u64 tau_ns,
					__u64 now_ns, __u64 *owed_ns)
{
	struct gcra_op op = {.now_ns = now_ns, .cost_ns = global->t_ns, .tau_ns = tau_ns};
	int done = state_charge(st, &st->control->global_tat_ns, global, &op);

	if (owed_ns)
		*owed_ns = op.written_ns - global->t_ns - now_ns;
	return done;
}

/* A trusted source within the one bucket that all trusted sources share. Returns an enum charge. */
static __always_inline int gate_trusted(struct state *st, const struct bucket *global, __u64 now_ns)
{
	int done =
		state_charge_plain(st, &st->control->trusted_tat_ns, &st->policy->trusted, now_ns);

	/*
	 * What it takes is not there for newcomers. But a trusted address can be spoofed: it never
	 * takes the room above tau1 from those who have waited, or are known.
	 */
	if (done == CHARGE_OK)
		gate_charge_global(st, global, global->tau1_ns, now_ns, NULL);
	return done;
}

/*
 * Charges all three words, or none: global, subnet, source; a later failure gives the earlier
 * back. Returns an enum charge; *reason names the word that was charged last or denied.
 */
static __always_inline int gate_charge(struct state *st, const struct attempt *a,
				       const struct bucket *global, struct tolerance *t,
				       __u64 now_ns, enum reason *reason)
{
	const struct policy *p = st->policy;
	int done = gate_charge_global(st, global, t->global_ns, now_ns, &t->owed_ns);

	*reason = REASON_CONNECTION_RATE;
	if (done != CHARGE_OK)
		return done;
	if (p->per_subnet.t_ns) {
		*reason = REASON_SUBNET_RATE;
		done = state_slot_charge(st, &t->subnet, a, &p->per_subnet, now_ns);
	}
	if (done == CHARGE_OK && p->per_source.t_ns) {
		*reason = REASON_SOURCE_RATE;
		done = state_slot_charge(st, &t->source, a, &p->per_source, now_ns);
		if (done != CHARGE_OK && p->per_subnet.t_ns)
			state_slot_refund(st, &t->subnet);
	}
	if (done != CHARGE_OK)
		gcra_refund_add(&st->control->global_tat_ns, global->t_ns);
	return done;
}

/* How long this SYN is to wait in the room; 0: it goes at once. */
static __always_inline __u64 gate_wait_ns(const struct tolerance *t, const struct bucket *global)
{
	return t->hold_ns && t->owed_ns > global->tau1_ns ? t->owed_ns - global->tau1_ns : 0;
}

/*
 * Has the listener's accept queue a place for this SYN? One that cannot be found or asked has no
 * opinion. Who is held meets the queue later, when all before him may be in it.
 */
FRAME_OF_ITS_OWN int gate_backlog(struct state *st, const struct attempt *a, struct tolerance *t,
				  __u64 wait_ns, __u64 now_ns)
{
	struct backlog b = {};

	t->listener = HELD_NOWHERE;
	if (state_backlog(st, a, &b))
		return 1;
	t->listener = b.slot;
	st->counters->backlog_asked++;
	return backlog_claim(st->live, &b, t->patience, wait_ns, now_ns);
}

enum turn { TURN_NOW, TURN_LAST, TURN_LATER };

/*
 * Notes an attempt whose charge is paid, and when its turn is. Also the one that takes a bucket's
 * last token goes through the waiting room, where HOLD is on: the room spaces what it lets out, and
 * the first that waits is to be spaced from somebody, or it would leave an interval early.
 */
FRAME_OF_ITS_OWN int gate_admit(struct state *st, const struct bucket *global,
				const struct tolerance *t, const struct attempt *a, __u64 now_ns)
{
	__u64 turn_ns = now_ns + gate_wait_ns(t, global), left_ns = 0, late_ns = 0;
	struct admitted fresh = {.at_ns = now_ns};
	int turn = TURN_NOW;

	if (t->hold_ns && t->owed_ns + global->t_ns > global->tau1_ns)
		turn = TURN_LAST;
	if (turn_ns > now_ns) {
		turn = TURN_LATER;
		left_ns = turn_ns + (global->t_ns < HELD_LATE_NS ? global->t_ns : HELD_LATE_NS);
	}
	/* The room may be late by an interval; a second of that is waited for anyway. */
	if (turn != TURN_NOW && global->t_ns > HELD_GAP_NS)
		late_ns = global->t_ns - HELD_GAP_NS;
	fresh.passes = admitted_passes(turn_ns + late_ns, turn != TURN_NOW);
	coming_note(st->live, turn_ns, left_ns, t->listener, t->rank);
	fresh.coming = admitted_coming(turn_ns, t->rank == CLASS_KNOWN ? ADMITTED_KNOWN : 0);
	state_admit(st, a, &fresh);
	return turn;
}

/* What all together owe; nobody's tolerance of it is below tau1. */
static __always_inline __u64 gate_debt_ns(const struct state *st, const struct bucket *global,
					  __u64 now_ns)
{
	return gcra_look(*(volatile __u64 *)&st->control->global_tat_ns, now_ns, global,
			 global->tau1_ns)
		.debt_ns;
}

/* Has this attempt been here? Asked together: one hash for both tables. */
struct past {
	enum replay replay;
	enum memory memory;
};

FRAME_OF_ITS_OWN void gate_past(struct state *st, const struct attempt *a, struct past *past,
				__u64 now_ns)
{
	__u64 fingerprint = state_fingerprint(st, a);

	past->replay = state_replay(st, fingerprint, now_ns);
	if (past->replay == REPLAY_NEW)
		past->memory = state_recall(st, fingerprint, now_ns);
}

/* The gates, in their order. maybe: what the presence filter says (state_maybe). */
static __always_inline struct decision gate_decide(struct state *st, const struct attempt *a,
						   __u32 maybe, __u64 now_ns)
{
	const struct policy *p = st->policy;
	__u32 tiers = gate_tiers(p, st->control, now_ns);
	const struct bucket *global = tiers & TIER_QUEUE ? &p->global_queue : &p->global;
	enum class rank = maybe & (MAYBE_LISTED | MAYBE_LEARNED) ? state_rank(st, a, maybe, now_ns)
								 : CLASS_UNKNOWN;
	struct past past = {.replay = REPLAY_NEW, .memory = MEMORY_NONE};
	struct decision d = {.class = rank};
	struct tolerance may;
	enum memory memory;
	enum reason reason;
	__u64 debt_ns, may_ns, hold_ns;
	int done, room;

	if (rank == CLASS_TRUSTED) {
		done = gate_trusted(st, global, now_ns);
		if (done == CHARGE_OK)
			return gate_decision(d, VERDICT_PASS, REASON_TRUSTED);
		if (done == CHARGE_DENIED)
			st->counters->trusted_over++;
		rank = CLASS_UNKNOWN;
	}

	if (maybe & MAYBE_SEEN)
		gate_past(st, a, &past, now_ns);
	switch (past.replay) {
	case REPLAY_RETRANSMIT:
		return gate_decision(d, VERDICT_PASS, REASON_RETRANSMIT);
	case REPLAY_TOO_MANY:
		return gate_decision(d, VERDICT_DROP, REASON_REPLAY);
	case REPLAY_WAITING:
		return gate_decision(d, VERDICT_DROP, REASON_WAITING);
	case REPLAY_NEW:
		break;
	}

	if (rank == CLASS_BLOCKED)
		return gate_refuse(st, d, REASON_BLOCKED, now_ns);

	if (tiers & TIER_REFUSE)
		return gate_refuse(st, d, REASON_LOAD, now_ns);

	memory = past.memory;
	d.again = memory == MEMORY_REMEMBERED;

	room = p->sessions.most ? sessions_room(&p->sessions, st->live, rank == CLASS_KNOWN, now_ns)
				: ROOM_FREE;
	if (room == ROOM_NONE)
		return gate_refuse(st, d, REASON_SESSIONS, now_ns);

	/* Of those that defer, what denies all comes first: in a flood no table is asked of anybody. */
	debt_ns = gate_debt_ns(st, global, now_ns);
	may_ns = gate_may_owe(global, rank, memory == MEMORY_REMEMBERED);
	/* A newcomer may owe more than that, within pace-horizon, if it waits for as long. */
	hold_ns = may_ns == global->tau1_ns ? gate_hold_ns(p, st->control, global, now_ns) : 0;
	if (debt_ns > may_ns + hold_ns)
		return gate_defer(d, REASON_CONNECTION_RATE, memory);

	if (room == ROOM_PENDING)
		return gate_defer(d, REASON_SESSIONS, memory);

	if (p->sessions.per_source || p->sessions.slot_cost) {
		int over = state_holds_too_much(st, a, rank == CLASS_KNOWN, now_ns);

		if (over != REASONS)
			return gate_defer(d, over, memory);
	}

	/* Without a place to remember it in, a newcomer would wait for ever: the gate is skipped. */
	if ((tiers & TIER_DELAY) && rank != CLASS_KNOWN && memory != MEMORY_REMEMBERED) {
		if (memory == MEMORY_YOUNG || !state_remember(st, a, now_ns))
			return gate_decision(d, VERDICT_DEFER, REASON_FIRST_TIME);
		memory = MEMORY_YOUNG; /* asked once: no deferral below asks again */
	}

	gate_tolerance(&may, p, rank, memory == MEMORY_REMEMBERED, debt_ns > global->tau1_ns / 2);
	may.global_ns = may_ns + hold_ns;
	may.hold_ns = hold_ns;
	may.owed_ns = debt_ns;

	if (p->per_source.t_ns &&
	    state_slot(st, &may.source, a, &p->per_source, now_ns) > may.source.tau_ns)
		return gate_defer(d, REASON_SOURCE_RATE, memory);

	if (p->per_subnet.t_ns &&
	    state_slot(st, &may.subnet, a, &p->per_subnet, now_ns) > may.subnet.tau_ns)
		return gate_defer(d, REASON_SUBNET_RATE, memory);

	may.patience = rank == CLASS_KNOWN	     ? PATIENCE_KNOWN
		       : memory == MEMORY_REMEMBERED ? PATIENCE_AGAIN
						     : PATIENCE_NEW;
	if (!gate_backlog(st, a, &may, gate_wait_ns(&may, global), now_ns))
		return gate_defer(d, REASON_BACKLOG, memory);

	done = gate_charge(st, a, global, &may, now_ns, &reason);
	if (done == CHARGE_CONTENDED)
		return gate_defer(d, REASON_CONTENDED, memory);
	if (done == CHARGE_DENIED) /* another CPU was faster */
		return gate_defer(d, reason, memory);
	if (p->sessions.per_source)
		state_coming_of_source(st, a, now_ns + gate_wait_ns(&may, global));
	switch (gate_admit(st, global, &may, a, now_ns)) {
	case TURN_LATER:
		hold_count(st->counters, gate_wait_ns(&may, global));
		d.paced = 1;
		return gate_decision(d, VERDICT_HOLD, REASON_CONNECTION_RATE);
	case TURN_LAST:
		d.paced = 1;
		break;
	}
	return gate_decision(d, VERDICT_PASS, REASON_ADMITTED);
}

/*
 * The flood path: no first SYN finds room, no gate refuses, and this is certainly the first of
 * somebody that we know nothing of. gate_decide() would come to the same verdict and reason, by
 * more calls. Returns 1 if so.
 */
static __always_inline int gate_is_flood(const struct state *st, __u32 maybe, __u64 now_ns)
{
	const struct policy *p = st->policy;
	__u32 tiers = gate_tiers(p, st->control, now_ns);
	const struct bucket *global = tiers & TIER_QUEUE ? &p->global_queue : &p->global;
	const struct live *live;
	__u64 debt_ns;

	if (maybe || tiers & TIER_REFUSE)
		return 0;
	debt_ns = gate_debt_ns(st, global, now_ns);
	if (debt_ns <= global->tau1_ns ||
	    debt_ns <= global->tau1_ns + gate_hold_ns(p, st->control, global, now_ns))
		return 0;
	if (!p->sessions.most)
		return 1;
	live = state_live(st);
	return live && *(volatile const __s64 *)&live->sessions < (__s64)p->sessions.most_unknown;
}

/* What the flood path decides. */
static __always_inline struct decision gate_flood(void)
{
	return (struct decision){.class = CLASS_UNKNOWN,
				 .verdict = VERDICT_DEFER,
				 .reason = REASON_CONNECTION_RATE,
				 .remember = 1};
}

/*
 * Judges one SYN to a guarded port and address, now. Charges what it admits, remembers what it
 * defers, and counts what went wrong on the way; the decision itself is the caller's to count
 * and to act on. (In the kernel gate.bpf.c does this, the decision in a function by itself.)
 */
static __always_inline struct decision gate_judge(struct state *st, const struct attempt *a,
						  __u64 now_ns)
{
	__u32 maybe = state_maybe(st, a, now_ns);
	struct decision d =
		gate_is_flood(st, maybe, now_ns) ? gate_flood() : gate_decide(st, a, maybe, now_ns);

	if (d.remember)
		state_remember(st, a, now_ns);
	return d;
}

#endif
