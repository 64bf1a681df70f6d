// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every pair of a grid of policies: the words owe the most that the old one can owe, then the new
 * one is in force. Whoever asks after that, at whatever moment, waits no longer than under the
 * new policy alone: the most patient class, known, one T; a first SYN debt_max - tau1. A debt that
 * is still larger than debt_max at that moment is not held against anybody.
 */
#include "rig.h"

#define NOW   RIG_START_NS
#define KNOWN 0x0b000001
#define OTHER 0x0a000001

#define FILL_MOST 1000 /* more than all bursts together */

static const struct rate rates[] = {{1, 10 * NSEC_PER_SEC},
				    {2, NSEC_PER_SEC},
				    {15, NSEC_PER_SEC},
				    {100, NSEC_PER_SEC},
				    {3000, NSEC_PER_SEC}};
static const __u32 bursts[] = {1, 3, 200};
static const __u32 extras[][2] = {{0, 0}, {4, 3}, {100, 200}}; /* retry-burst, known-burst */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define GRID	     (COUNT(rates) * COUNT(bursts) * COUNT(extras))

static struct config grid_config(size_t i)
{
	struct config c = rig_config();

	c.connection_rate = rates[i % COUNT(rates)];
	i /= COUNT(rates);
	c.connection_burst = bursts[i % COUNT(bursts)];
	i /= COUNT(bursts);
	c.retry_burst = extras[i][0];
	c.known_burst = extras[i][1];
	c.queue_rate = (struct rate){c.connection_rate.count, c.connection_rate.period_ns * 3};
	return c;
}

/* The policies themselves, with the queue tier or without. */
static struct {
	struct bucket normal, queue;
} grid[GRID];

static struct rig *open_grid(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open_sized(&c, 64);
	union addr known = rig_addr_v4(KNOWN);

	for (size_t i = 0; i < GRID; i++) {
		c = grid_config(i);
		rig_switch(r, &c);
		grid[i].normal = r->policy.global;
		grid[i].queue = r->policy.global_queue;
	}
	rig_class(r, &known, FAMILY_V4, 32, CLASS_KNOWN);
	return r;
}

/* The largest debt that is believed: CPUs may read the clock a tick apart. */
#define MOST(b) ((b)->debt_max_ns + CLOCK_APART_NS)

/* Fills the word with connections until no class gets in: the most that a policy can owe. */
static __u64 fill(struct rig *r, __u32 *isn)
{
	r->control.global_tat_ns = 0;
	for (int i = 0; i < FILL_MOST; i++) {
		struct attempt a = rig_v4(KNOWN, (*isn)++);

		if (rig_judge(r, &a, NOW).verdict != VERDICT_PASS)
			return r->control.global_tat_ns;
	}
	unit_fail(__FILE__, __LINE__, "the word never fills");
	return r->control.global_tat_ns;
}

static bool passes(struct rig *r, __u32 host, __u32 isn, __u64 tat_ns, __u64 now_ns)
{
	struct attempt a = rig_v4(host, isn);
	__u64 budget = r->remember_tat_ns;
	bool passed;

	r->control.global_tat_ns = tat_ns;
	passed = rig_judge(r, &a, now_ns).reason == REASON_ADMITTED;
	r->remember_tat_ns = budget;
	return passed;
}

/* Asked at a moment after the switch: then at once, or when the wait is over. */
static void check_wait(struct rig *r, const char *who, __u32 host, __u64 tat_ns, __u64 asked_ns,
		       __u64 wait_ns, bool leftover, __u32 *isn)
{
	bool at_once = passes(r, host, (*isn)++, tat_ns, asked_ns);

	if (leftover)
		CHECK(at_once, "%s waits for a debt left over", who);
	else
		CHECK(at_once || passes(r, host, (*isn)++, tat_ns, asked_ns + wait_ns),
		      "%s waits for more than %llu ns", who, wait_ns);
}

/* From a word as it was left, under the new bucket, from the worst moments and a random one. */
static void check_pair(struct rig *r, __u64 tat_ns, const struct bucket *b, __u32 *isn,
		       __u64 *random)
{
	__u64 debt_ns = tat_ns - NOW;
	/* At once; when the debt has just become one of the new policy's; some time. */
	__u64 after_ns[3] = {0, debt_ns > MOST(b) ? debt_ns - MOST(b) : 0,
			     rig_below(random, debt_ns)};

	for (int i = 0; i < 3; i++) {
		__u64 asked_ns = NOW + after_ns[i];
		bool leftover = tat_ns - asked_ns > MOST(b);

		check_wait(r, "a known source", KNOWN, tat_ns, asked_ns, b->t_ns + CLOCK_APART_NS,
			   leftover, isn);
		check_wait(r, "a first SYN", OTHER, tat_ns, asked_ns, MOST(b) - b->tau1_ns,
			   leftover, isn);
	}
}

static void put_in_force(struct rig *r, size_t i, bool queue)
{
	r->policy.global = grid[i].normal;
	r->policy.global_queue = grid[i].queue;
	r->policy.tiers = queue ? TIER_QUEUE : 0;
}

static void test_every_pair(void)
{
	struct rig *r = open_grid();
	__u64 random = 3;
	__u32 isn = 1;

	for (size_t from = 0; from < GRID; from++)
		for (int queue = 0; queue < 2; queue++) {
			const struct bucket *old = queue ? &grid[from].queue : &grid[from].normal;
			__u64 tat_ns;

			put_in_force(r, from, queue);
			tat_ns = fill(r, &isn);
			CHECK_U64(tat_ns, NOW + old->debt_max_ns);
			for (size_t to = 0; to < GRID; to++) {
				put_in_force(r, to, false);
				check_pair(r, tat_ns, &grid[to].normal, &isn, &random);
				put_in_force(r, to, true);
				check_pair(r, tat_ns, &grid[to].queue, &isn, &random);
			}
		}
	rig_close(r);
}

/* Under the same policy both bounds are met to the nanosecond: they are not loose. */
static void test_the_bounds_are_tight(void)
{
	struct rig *r = open_grid();
	__u32 isn = 1;

	for (size_t i = 0; i < GRID; i++) {
		const struct bucket *b = &grid[i].normal;
		__u64 tat_ns = NOW + b->debt_max_ns;

		put_in_force(r, i, false);
		CHECK(!passes(r, KNOWN, isn++, tat_ns, NOW + b->t_ns - 1), "%zu: known", i);
		CHECK(!passes(r, OTHER, isn++, tat_ns, NOW + b->debt_max_ns - b->tau1_ns - 1),
		      "%zu: a first SYN", i);
	}
	rig_close(r);
}

static void check_word(__u64 tat_ns, __u64 asked_ns, const struct bucket *b, __u64 tau_ns)
{
	__u64 wait_ns = MOST(b) > tau_ns ? MOST(b) - tau_ns : 0;

	CHECK(gcra_look(tat_ns, asked_ns, b, tau_ns).debt_ns <= tau_ns ||
		      gcra_look(tat_ns, asked_ns + wait_ns, b, tau_ns).debt_ns <= tau_ns,
	      "a debt of %llu against %llu lasts longer than %llu ns", tat_ns - asked_ns, tau_ns,
	      wait_ns);
}

/*
 * A source's own word, which a throttled source's dear charge can leave deeper than the others':
 * nobody waits there for longer than debt_max - tau of the class.
 */
static void test_every_pair_of_sources(void)
{
	static struct policy from, to;
	struct config c = rig_config();

	for (size_t i = 0; i < GRID; i++)
		for (size_t j = 0; j < GRID; j++) {
			const struct bucket *b = &to.per_source;
			__u64 tat_ns, own_ns;

			c.source_rate = rates[i % COUNT(rates)];
			c.source_burst = bursts[i / COUNT(rates) % COUNT(bursts)];
			CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &from), 0);
			c.source_rate = rates[j % COUNT(rates)];
			c.source_burst = bursts[j / COUNT(rates) % COUNT(bursts)];
			CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &to), 0);
			tat_ns = NOW + from.per_source.debt_max_ns;
			own_ns = from.per_source.debt_max_ns > b->debt_max_ns
					 ? tat_ns - b->debt_max_ns
					 : NOW;
			check_word(tat_ns, NOW, b, b->tau1_ns);
			check_word(tat_ns, own_ns, b, b->tau1_ns);
			check_word(tat_ns, NOW, b, b->tau3_ns);
			check_word(tat_ns, own_ns, b, b->tau3_ns);
		}
}

void suite_grid(void)
{
	static CU_TestInfo tests[] = {
		{"every pair of policies, normal and queue", test_every_pair},
		{"the bounds are tight", test_the_bounds_are_tight},
		{"every pair of source limits", test_every_pair_of_sources},
		CU_TEST_INFO_NULL,
	};

	unit_suite("grid", tests);
}
