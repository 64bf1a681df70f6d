/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.h - what the gate remembers, and the few look-ups and charges it asks for.
 *
 * The gate runs over the kernel's maps (maps.h) or over plain tables (tables.h: tests, replay).
 * Whichever is included first provides
 *
 *	struct state		policy, control, counters and the remembering budget of this CPU
 *	state_find(st, table, key)		a pointer to the value, or NULL
 *	state_add(st, table, key, value)	0, or not 0: the key exists, or no room; it never
 *					overwrites
 *	state_class(st, attempt)		the class that the lists give the source
 *	state_live(st)		the live sessions; also where st->live is not filled yet
 *	state_presence(st)	the presence filter; NULL: it is off
 *	state_backlog(st, attempt, backlog)	0, or -1: no listener is to be found
 *
 * and this file builds everything else from those, once for both.
 */
#ifndef STATE_H
#define STATE_H

#include "backlog.h"
#include "gcra.h"
#include "presence.h"
#include "sessions.h"
#include "siphash.h"
#include "sluice.h"

/* Identity of an attempt: source, destination, ports, ISN, under the seed of this load. */
static __always_inline __u64 attempt_fingerprint(const __u64 seed[2], const struct attempt *a)
{
	__u64 ports_isn = (__u64)a->source_port << 48 | (__u64)a->dest_port << 32 | a->isn;
	struct siphash s;

	siphash_start(&s, seed);
	if (a->family == FAMILY_V4) {
		siphash_word(&s, (__u64)a->source.word[3] << 32 | a->dest.word[3]);
		siphash_word(&s, ports_isn);
		return siphash_end(&s, 2);
	}
	siphash_word(&s, a->source.half[0]);
	siphash_word(&s, a->source.half[1]);
	siphash_word(&s, a->dest.half[0]);
	siphash_word(&s, a->dest.half[1]);
	siphash_word(&s, ports_isn);
	return siphash_end(&s, 5);
}

/* A macro of that name stands for it where the fingerprint is known already. */
#ifndef state_fingerprint
FRAME_OF_ITS_OWN __u64 state_fingerprint(const struct state *st, const struct attempt *a)
{
	return attempt_fingerprint(st->control->seed, a);
}
#endif

static __always_inline void state_prefix_key(struct prefix_key *key, const union addr *a,
					     const struct prefix *p)
{
	key->addr.half[0] = a->half[0] & p->mask.half[0];
	key->addr.half[1] = a->half[1] & p->mask.half[1];
	key->bits = p->bits;
}

/* What the attempt's source is called in a table that is kept by source, or by subnet. */
static __always_inline void state_slot_key(const struct state *st, enum table table,
					   const struct attempt *a, struct prefix_key *key)
{
	const struct policy *p = st->policy;

	state_prefix_key(key, &a->source,
			 table == TABLE_SUBNET ? &p->subnet[a->family & 1]
					       : &p->source[a->family & 1]);
}

/* Charges a word, and counts a repair. Returns an enum charge. */
static __always_inline int state_charge(struct state *st, __u64 *word, const struct bucket *b,
					struct gcra_op *op)
{
	int done = gcra_charge(word, b, op);

	if (done == CHARGE_OK)
		st->counters->word_repaired += op->repaired;
	return done;
}

/* A charge of T within tau1: the buckets that have one tolerance for all. */
FRAME_OF_ITS_OWN int state_charge_plain(struct state *st, __u64 *word, const struct bucket *b,
					__u64 now_ns)
{
	struct gcra_op op = {.now_ns = now_ns, .cost_ns = b->t_ns, .tau_ns = b->tau1_ns};

	return state_charge(st, word, b, &op);
}

/*
 * How long ago something was noted. CPUs read the coarse clock a tick apart: what another one has
 * noted a tick ahead of us is 0 ago, and not 584 years.
 */
static __always_inline __u64 state_age(__u64 noted_ns, __u64 now_ns)
{
	return now_ns > noted_ns ? now_ns - noted_ns : 0;
}

/* --- who is certainly nobody ----------------------------------------------------------------- */

/* What the presence filter cannot rule out: each that is missing is a sure no. */
#define MAYBE_SEEN    1U /* this very attempt has been admitted or deferred */
#define MAYBE_LISTED  2U /* a class list has the source */
#define MAYBE_LEARNED 4U /* it was learned, or marked */
#define MAYBE_ALL     (MAYBE_SEEN | MAYBE_LISTED | MAYBE_LEARNED)

/*
 * Who may this be? Returns a set of MAYBE_; without the filter all of it. Where nobody is listed or
 * learned, which is most of the time, the sources' part is not looked at.
 */
static __always_inline __u32 state_maybe(struct state *st, const struct attempt *a, __u64 now_ns)
{
	__u32 present = *(volatile const __u32 *)&st->control->present, maybe = 0;
	const __u64 *seed = st->control->seed;
	__u32 slot = PRESENCE_LISTED(st->policy->class_slot);
	struct presence *p = state_presence(st);

	if (!p)
		return MAYBE_ALL;
	if (present & (1U << slot | 1U << PRESENCE_LEARNED)) {
		__u64 source = presence_source(&a->source, seed[1]);
		__u64 bits = presence_source_bits(source);
		const struct presence_source *at = presence_source_at(p, source);

		if (!(bits & ~at->column[slot]))
			maybe |= MAYBE_LISTED;
		if (!(bits & ~at->column[PRESENCE_LEARNED]))
			maybe |= MAYBE_LEARNED;
	}
	if (presence_maybe(p, presence_attempt(a, seed), now_ns))
		maybe |= MAYBE_SEEN;
	return maybe;
}

/* Notes that an attempt is in a table, before it is. */
FRAME_OF_ITS_OWN void state_note_presence(struct state *st, const struct attempt *a, __u64 now_ns)
{
	__u64 attempt = presence_attempt(a, st->control->seed);
	struct presence *p = state_presence(st);
	__u64 stretch = presence_stretch(now_ns);

	if (p)
		presence_set(presence_word(p, stretch, attempt), stretch, presence_bits(attempt));
}

/* --- the attempts that were admitted ------------------------------------------------------- */

enum replay { REPLAY_NEW, REPLAY_RETRANSMIT, REPLAY_TOO_MANY, REPLAY_WAITING };

/*
 * passes: the time of the last pass with its low byte replaced by the number of passes. A SYN that
 * is held passes for the first time when its turn comes; REPLAY_HELD until its retransmit passes.
 */
#define REPLAY_HELD	     0x80
#define REPLAY_COUNT(passes) ((passes)&0x7f)
#define REPLAY_TIME(passes)  ((passes) & ~0xffULL)

/*
 * Does a held SYN still wait, as far as can be known? One that was lost on its way, or whose SYN-ACK
 * was, passes with the next retransmit after that: it has been charged.
 */
static __always_inline int state_waits(const struct state *st, __u64 passes, __u64 now_ns)
{
	__u64 drained_ns = *(volatile const __u64 *)&st->control->hold_drained_ns;
	__u64 turn_ns = REPLAY_TIME(passes);

	if (!(passes & REPLAY_HELD))
		return 0;
	return now_ns < (turn_ns > drained_ns ? turn_ns : drained_ns) + HELD_GAP_NS;
}

/*
 * Is this SYN a retransmit of an attempt that was admitted? Then its SYN-ACK was lost, and it
 * passes free: at most once per REPLAY_GAP_NS, REPLAY_MAX times within REPLAY_WINDOW_NS.
 */
static __always_inline enum replay state_replay(struct state *st, __u64 fingerprint, __u64 now_ns)
{
	struct admitted *seen = state_find(st, TABLE_ADMITTED, &fingerprint);
	__u64 old;

	if (!seen || state_age(seen->at_ns, now_ns) >= REPLAY_WINDOW_NS)
		return REPLAY_NEW;
	old = *(volatile __u64 *)&seen->passes;
	if (state_waits(st, old, now_ns))
		return REPLAY_WAITING;
	if (REPLAY_COUNT(old) >= REPLAY_MAX || now_ns < REPLAY_TIME(old) + REPLAY_GAP_NS)
		return REPLAY_TOO_MANY;
	/* A lost race means that another CPU has just let a copy pass. */
	if (__sync_val_compare_and_swap(&seen->passes, old,
					REPLAY_TIME(now_ns) | (REPLAY_COUNT(old) + 1)) != old)
		return REPLAY_TOO_MANY;
	return REPLAY_RETRANSMIT;
}

/* What is noted of an attempt that passes then for the first time, through the waiting room or not. */
static __always_inline __u64 admitted_passes(__u64 pass_ns, int paced)
{
	return REPLAY_TIME(pass_ns) | (paced ? REPLAY_HELD : 0);
}

/* Notes an attempt that is admitted. */
static __always_inline void state_admit(struct state *st, const struct attempt *a,
					const struct admitted *fresh)
{
	__u64 fingerprint = state_fingerprint(st, a);
	struct admitted *seen;

	state_note_presence(st, a, fresh->at_ns);
	if (!state_add(st, TABLE_ADMITTED, &fingerprint, fresh))
		return;
	seen = state_find(st, TABLE_ADMITTED, &fingerprint);
	if (!seen) {
		st->counters->insert_failed++;
		return;
	}
	seen->at_ns = fresh->at_ns; /* an expired entry of the same attempt begins anew */
	seen->passes = fresh->passes;
	seen->coming = fresh->coming;
}

/* --- the attempts that were deferred ------------------------------------------------------- */

enum memory { MEMORY_NONE, MEMORY_YOUNG, MEMORY_REMEMBERED };

/* What an attempt that was noted so long ago is now. Returns an enum memory. */
VERIFIED_ALONE int memory_of_age(__u64 age_ns)
{
	if (age_ns > REMEMBER_MAX_NS)
		return MEMORY_NONE;
	return age_ns < REMEMBER_MIN_NS ? MEMORY_YOUNG : MEMORY_REMEMBERED;
}

/* Has this attempt been deferred before, and is it now a retransmit? */
static __always_inline enum memory state_recall(struct state *st, __u64 fingerprint, __u64 now_ns)
{
	__u64 *since_ns = state_find(st, TABLE_DEFERRED, &fingerprint);

	return memory_of_age(since_ns ? state_age(*since_ns, now_ns) : ~0ULL);
}

/* Notes a deferred attempt. Returns 0, or -1 when the table has no room for it. */
FRAME_OF_ITS_OWN int state_note_deferred(struct state *st, const struct attempt *a, __u64 now_ns)
{
	__u64 fingerprint = state_fingerprint(st, a);
	__u64 *since_ns;

	state_note_presence(st, a, now_ns);
	if (!state_add(st, TABLE_DEFERRED, &fingerprint, &now_ns))
		return 0;
	since_ns = state_find(st, TABLE_DEFERRED, &fingerprint);
	if (!since_ns) {
		st->counters->insert_failed++;
		return -1;
	}
	*since_ns = now_ns; /* expired: an attempt of its own */
	return 0;
}

/*
 * Takes one from this CPU's share of the remembering budget, so that a flood makes nothing
 * expensive. Returns 0, or -1: it is spent. The word is this CPU's alone: what a look allows, no
 * other can have taken meanwhile.
 */
static __always_inline int state_budget(struct state *st, __u64 now_ns)
{
	const struct bucket *b = &st->policy->remember;
	struct gcra_view v = gcra_look(*st->remember_tat_ns, now_ns, b, b->tau1_ns);

	if (v.debt_ns > b->tau1_ns) {
		st->counters->remember_over++;
		return -1;
	}
	st->counters->word_repaired += v.repaired;
	*st->remember_tat_ns = v.base_ns + b->t_ns;
	return 0;
}

/* Remembers a deferred attempt, within the budget. Returns 0, or -1 when it is not remembered. */
static __always_inline int state_remember(struct state *st, const struct attempt *a, __u64 now_ns)
{
	return state_budget(st, now_ns) ?: state_note_deferred(st, a, now_ns);
}

/* --- what a source was learned to be, and what it holds ------------------------------------- */

/* The lists say what a source is; where they say nothing, what was learned of it. */
FRAME_OF_ITS_OWN __u32 state_rank(struct state *st, const struct attempt *a, __u32 maybe,
				  __u64 now_ns)
{
	__u32 rank = maybe & MAYBE_LISTED ? state_class(st, a) : CLASS_UNKNOWN;
	const struct learned *l;
	struct prefix_key key;

	if (rank != CLASS_UNKNOWN || !(maybe & MAYBE_LEARNED))
		return rank;
	state_slot_key(st, TABLE_LEARNED, a, &key);
	l = state_find(st, TABLE_LEARNED, &key);
	if (!l || now_ns >= l->until_ns || l->class >= CLASSES)
		return CLASS_UNKNOWN;
	return l->class;
}

/* May the source hold one more session? Returns as holder_verdict(). */
FRAME_OF_ITS_OWN int state_holds_too_much(struct state *st, const struct attempt *a, int known,
					  __u64 now_ns)
{
	const struct session_limits *s = &st->policy->sessions;
	const struct coming_of_source *c = NULL;
	struct prefix_key key;
	__u32 coming;

	state_slot_key(st, TABLE_HOLDER, a, &key);
	if (s->per_source)
		c = state_find(st, TABLE_COMING, &key);
	coming = c ? (__u32)coming_of_source_count(c, now_ns) : 0;
	return holder_verdict(state_find(st, TABLE_HOLDER, &key), s, known, coming, now_ns);
}

/* --- what is on its way --------------------------------------------------------------------- */

/*
 * One more of its source is on its way. Asked only where max-sessions-per-source is set: a flood
 * of spoofed sources may push others out of this table, which then count when they are sessions.
 */
FRAME_OF_ITS_OWN void state_coming_of_source(struct state *st, const struct attempt *a,
					     __u64 turn_ns)
{
	static const struct coming_of_source none; /* not on the short stack */
	struct coming_of_source *c;
	struct prefix_key key;

	state_slot_key(st, TABLE_HOLDER, a, &key);
	c = state_find(st, TABLE_COMING, &key);
	if (!c) {
		state_add(st, TABLE_COMING, &key, &none);
		c = state_find(st, TABLE_COMING, &key);
	}
	if (c)
		coming_of_source_add(c, turn_ns);
}

/*
 * The handshake of an attempt is complete: it is on its way no longer. a is without its ISN.
 */
static __always_inline void state_arrived(struct state *st, struct attempt *a, __u32 isn)
{
	struct coming_of_source *c;
	struct admitted *seen;
	struct prefix_key key;
	__u64 fingerprint, coming;

	a->isn = isn;
	fingerprint = state_fingerprint(st, a);
	a->isn = 0;
	seen = state_find(st, TABLE_ADMITTED, &fingerprint);
	if (!seen)
		return;
	coming = *(volatile __u64 *)&seen->coming;
	if (coming & ADMITTED_ESTABLISHED ||
	    __sync_val_compare_and_swap(&seen->coming, coming, coming | ADMITTED_ESTABLISHED) !=
		    coming)
		return;
	st->counters->established++;
	coming_arrived(&st->live->everybody, admitted_step(coming));
	if (coming & ADMITTED_KNOWN)
		coming_arrived(&st->live->known, admitted_step(coming));
	near_arrived(st->live, admitted_near(coming));
	if (!st->policy->sessions.per_source)
		return;
	state_slot_key(st, TABLE_HOLDER, a, &key);
	c = state_find(st, TABLE_COMING, &key);
	if (c)
		coming_of_source_arrived(c, (__u64)admitted_step(coming) << COMING_SHIFT);
}

/* --- the buckets of sources and subnets ---------------------------------------------------- */

/*
 * A word in a table, looked up once and charged later. An absent word is an empty bucket. The key
 * is made anew where it is needed: the kernel's stack is short (512 bytes for all calls together).
 */
struct slot {
	__u64 *word;
	enum table table;
	__u64 cost_ns;	  /* of one connection of the source at hand */
	__u64 tau_ns;	  /* what it may owe */
	__u64 written_ns; /* what our charge left there; 0: nothing was charged */
};

/* Looks the slot's word up. Returns what it owes. */
FRAME_OF_ITS_OWN __u64 state_slot(struct state *st, struct slot *s, const struct attempt *a,
				  const struct bucket *b, __u64 now_ns)
{
	struct prefix_key key;

	state_slot_key(st, s->table, a, &key);
	s->word = state_find(st, s->table, &key);
	return s->word ? gcra_look(*(volatile __u64 *)s->word, now_ns, b, s->tau_ns).debt_ns : 0;
}

/*
 * Charges a slot. A new key is inserted without overwriting; when another CPU was first, its word
 * is charged. No room in the table: the other buckets decide alone, which is counted. Returns an
 * enum charge.
 */
FRAME_OF_ITS_OWN int state_slot_charge(struct state *st, struct slot *s, const struct attempt *a,
				       const struct bucket *b, __u64 now_ns)
{
	struct gcra_op op = {.now_ns = now_ns, .cost_ns = s->cost_ns, .tau_ns = s->tau_ns};
	int done;

	if (!s->word) {
		__u64 fresh = now_ns + s->cost_ns;
		struct prefix_key key;

		state_slot_key(st, s->table, a, &key);
		if (!state_add(st, s->table, &key, &fresh)) {
			s->word = state_find(st, s->table, &key);
			s->written_ns = fresh;
			return CHARGE_OK;
		}
		s->word = state_find(st, s->table, &key);
		if (!s->word) {
			st->counters->insert_failed++;
			return CHARGE_OK;
		}
	}
	done = state_charge(st, s->word, b, &op);
	if (done == CHARGE_OK)
		s->written_ns = op.written_ns;
	return done;
}

/* Gives back what was charged, where nobody has charged it since. */
static __always_inline void state_slot_refund(struct state *st, struct slot *s)
{
	if (!s->written_ns)
		return;
	if (!s->word || gcra_refund_exact(s->word, s->cost_ns, s->written_ns))
		st->counters->refund_lost++;
}

#endif
