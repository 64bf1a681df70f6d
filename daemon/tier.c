// SPDX-License-Identifier: GPL-2.0-or-later
#include "tier.h"

/* What the load is compared with: sendmail compares a whole number, rounded to the nearest. */
static uint64_t judged_load(const struct tier_limits *l, uint32_t load_centi)
{
	return l->sendmail ? ((uint64_t)load_centi + 50) / 100 * 100 : load_centi;
}

static bool below_leave(const struct tier_limits *l, uint64_t load_centi, uint32_t la_centi)
{
	uint32_t percent = l->sendmail ? 100 : l->leave_ratio_percent;

	return load_centi * 100 < (uint64_t)la_centi * percent;
}

/* A clock that stood still or went back has let no time pass. */
static uint64_t elapsed(uint64_t now_ns, uint64_t since_ns)
{
	return now_ns > since_ns ? now_ns - since_ns : 0;
}

static void enter(struct tier_state *s, unsigned int i, uint64_t now_ns)
{
	s->active |= 1U << i;
	s->since_ns[i] = now_ns;
}

static void leave(struct tier_state *s, unsigned int i)
{
	s->active &= ~(1U << i);
	s->since_ns[i] = 0;
}

/* One predicate by the load alone. */
static void step_one(struct tier_state *s, const struct tier_limits *l, unsigned int i,
		     uint32_t la_centi, const struct tier_input *in)
{
	uint64_t load = judged_load(l, in->load_centi);

	if (!(s->active & 1U << i)) {
		if (la_centi && load >= la_centi)
			enter(s, i, in->now_ns);
		return;
	}
	/* Switched off while active: the operator's word counts at once, not after the hold. */
	if (!la_centi ||
	    (below_leave(l, load, la_centi) && elapsed(in->now_ns, s->since_ns[i]) >= l->hold_ns))
		leave(s, i);
}

/*
 * After refuse-max without a pause refuse ends, and does not come back before the pause is over.
 * Returns whether it is paused.
 */
static bool step_refuse(struct tier_state *s, const struct tier_limits *l,
			const struct tier_input *in)
{
	bool was_active = s->active & TIER_REFUSE;

	if (!l->refuse_la_centi || in->now_ns >= s->refuse_paused_until_ns)
		s->refuse_paused_until_ns = 0;
	if (s->refuse_paused_until_ns)
		return true;
	step_one(s, l, 2, l->refuse_la_centi, in);
	if (!was_active || !(s->active & TIER_REFUSE) ||
	    elapsed(in->now_ns, s->since_ns[2]) < l->refuse_max_ns)
		return false;
	leave(s, 2);
	s->refuse_paused_until_ns = in->now_ns + REFUSE_PAUSE_NS;
	return true;
}

/* While refuse is paused queue stays, whatever queue-la says: the machine must still be spared. */
static void step_queue(struct tier_state *s, const struct tier_limits *l,
		       const struct tier_input *in, bool paused)
{
	if (!paused)
		step_one(s, l, 1, l->queue_la_centi, in);
	else if (!(s->active & TIER_QUEUE))
		enter(s, 1, in->now_ns);
}

static bool mostly_blocked(const struct tier_input *in)
{
	return in->blocked && (uint64_t)in->blocked * 200 >= in->load_centi;
}

enum tier_why tier_step(struct tier_state *s, const struct tier_limits *l,
			const struct tier_input *in)
{
	uint32_t before = s->active;
	bool paused;

	if (!in->readable) {
		/* A pause goes on: an unreadable load is no way around it. */
		for (unsigned int i = 0; i < TIER_COUNT; i++)
			leave(s, i);
		return before ? TIER_WHY_UNREADABLE : TIER_WHY_NONE;
	}
	step_one(s, l, 0, l->delay_la_centi, in);
	paused = step_refuse(s, l, in);
	step_queue(s, l, in, paused);

	if (s->active == before)
		return TIER_WHY_NONE;
	if (paused && (before & TIER_REFUSE || !(before & TIER_QUEUE)))
		return TIER_WHY_REFUSE_MAX;
	return s->active & ~before && mostly_blocked(in) ? TIER_WHY_BLOCKED : TIER_WHY_LOAD;
}

const char *tier_name(uint32_t active)
{
	return active & TIER_REFUSE  ? "refuse"
	       : active & TIER_QUEUE ? "queue"
	       : active & TIER_DELAY ? "delay"
				     : "normal";
}
