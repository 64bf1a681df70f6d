// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tiers: a clock and a load are played to the step function, second by second.
 */
#include <string.h>

#include "tier.h"
#include "unit.h"

#define S NSEC_PER_SEC

static const struct tier_limits usual = {
	.delay_la_centi = 500,
	.queue_la_centi = 1000,
	.refuse_la_centi = 2000,
	.leave_ratio_percent = 80,
	.hold_ns = 15 * S,
	.refuse_max_ns = 600 * S,
};

static enum tier_why at(struct tier_state *s, const struct tier_limits *l, uint64_t second,
			uint32_t load_centi)
{
	const struct tier_input in = {
		.now_ns = second * S, .readable = true, .load_centi = load_centi};

	return tier_step(s, l, &in);
}

/* Says where a walk left the path. */
#define STEP(s, l, second, load, set, reason)                                              \
	do {                                                                               \
		enum tier_why why_ = at(s, l, second, load);                               \
		CHECK((s)->active == (set) && why_ == (reason),                            \
		      "at %llu s, load %u: set %u why %u, expected %u and %u",             \
		      (unsigned long long)(second), load, (s)->active, why_, set, reason); \
	} while (0)

static void up_to_30_and_back(void)
{
	struct tier_state s = {0};
	uint64_t t = 100;

	STEP(&s, &usual, t, 0, 0, TIER_WHY_NONE);
	STEP(&s, &usual, ++t, 499, 0, TIER_WHY_NONE);
	STEP(&s, &usual, ++t, 500, TIER_DELAY, TIER_WHY_LOAD); /* 102 */
	STEP(&s, &usual, ++t, 999, TIER_DELAY, TIER_WHY_NONE);
	STEP(&s, &usual, ++t, 1000, TIER_DELAY | TIER_QUEUE, TIER_WHY_LOAD); /* 104 */
	STEP(&s, &usual, ++t, 1999, TIER_DELAY | TIER_QUEUE, TIER_WHY_NONE);
	STEP(&s, &usual, ++t, 2000, TIER_ALL, TIER_WHY_LOAD); /* 106 */
	STEP(&s, &usual, ++t, 3000, TIER_ALL, TIER_WHY_NONE);
	STEP(&s, &usual, ++t, 0, TIER_ALL, TIER_WHY_NONE);
	/* Each holds for 15 s from when it was entered itself. */
	STEP(&s, &usual, 116, 0, TIER_ALL, TIER_WHY_NONE);
	STEP(&s, &usual, 117, 0, TIER_QUEUE | TIER_REFUSE, TIER_WHY_LOAD);
	STEP(&s, &usual, 118, 0, TIER_QUEUE | TIER_REFUSE, TIER_WHY_NONE);
	STEP(&s, &usual, 119, 0, TIER_REFUSE, TIER_WHY_LOAD);
	STEP(&s, &usual, 120, 0, TIER_REFUSE, TIER_WHY_NONE);
	STEP(&s, &usual, 121, 0, 0, TIER_WHY_LOAD);
	STEP(&s, &usual, 122, 0, 0, TIER_WHY_NONE);
	CU_ASSERT_EQUAL(s.refuse_paused_until_ns, 0);
}

static void a_jump_takes_all_at_once(void)
{
	struct tier_state s = {0};

	STEP(&s, &usual, 0, 3000, TIER_ALL, TIER_WHY_LOAD);
	STEP(&s, &usual, 15, 100, 0, TIER_WHY_LOAD);
}

/* Between leave and enter nothing changes, however long it lasts. */
static void between_the_two_thresholds(void)
{
	struct tier_state s = {0};

	STEP(&s, &usual, 10, 1599, TIER_DELAY | TIER_QUEUE, TIER_WHY_LOAD);
	STEP(&s, &usual, 1000, 800, TIER_DELAY | TIER_QUEUE, TIER_WHY_NONE);
	STEP(&s, &usual, 1001, 799, TIER_DELAY, TIER_WHY_LOAD);
	STEP(&s, &usual, 1002, 999, TIER_DELAY, TIER_WHY_NONE);
	STEP(&s, &usual, 1003, 400, TIER_DELAY, TIER_WHY_NONE);
	STEP(&s, &usual, 1004, 399, 0, TIER_WHY_LOAD);
}

/* A ratio of a small threshold is not rounded: 0.8 of 0.01 is more than 0. */
static void small_thresholds(void)
{
	struct tier_limits l = usual;
	struct tier_state s = {0};

	l.delay_la_centi = 1;
	STEP(&s, &l, 10, 1, TIER_DELAY, TIER_WHY_LOAD);
	STEP(&s, &l, 25, 0, 0, TIER_WHY_LOAD);
}

static void no_hold_no_wait(void)
{
	struct tier_limits l = usual;
	struct tier_state s = {0};

	l.hold_ns = 0;
	STEP(&s, &l, 10, 2500, TIER_ALL, TIER_WHY_LOAD);
	STEP(&s, &l, 10, 0, 0, TIER_WHY_LOAD);
}

/* sendmail rounds to the nearest whole number and has one threshold for both ways. */
static void as_sendmail_does(void)
{
	struct tier_limits l = usual;
	struct tier_state s = {0};

	l.sendmail = true;
	STEP(&s, &l, 10, 949, TIER_DELAY, TIER_WHY_LOAD);
	STEP(&s, &l, 11, 950, TIER_DELAY | TIER_QUEUE, TIER_WHY_LOAD);
	STEP(&s, &l, 25, 100, 0x2, TIER_WHY_LOAD);
	STEP(&s, &l, 26, 950, TIER_DELAY | TIER_QUEUE, TIER_WHY_LOAD);
	STEP(&s, &l, 27, 949, TIER_DELAY, TIER_WHY_LOAD);
	STEP(&s, &l, 40, 449, TIER_DELAY, TIER_WHY_NONE);
	STEP(&s, &l, 41, 450, TIER_DELAY, TIER_WHY_NONE);
	STEP(&s, &l, 42, 449, 0, TIER_WHY_LOAD);
	STEP(&s, &l, 43, UINT32_MAX, TIER_ALL, TIER_WHY_LOAD);
}

static void predicates_do_not_depend_on_each_other(void)
{
	struct tier_limits l = usual;

	for (uint32_t set = 0; set <= TIER_ALL; set++) {
		struct tier_state s = {0};

		l.delay_la_centi = set & TIER_DELAY ? 500 : 0;
		l.queue_la_centi = set & TIER_QUEUE ? 1000 : 0;
		l.refuse_la_centi = set & TIER_REFUSE ? 2000 : 0;
		STEP(&s, &l, 10, 3000, set, set ? TIER_WHY_LOAD : TIER_WHY_NONE);
	}
	/* The other way round than usual: refuse first. */
	{
		struct tier_state s = {0};

		l = usual;
		l.refuse_la_centi = 300;
		STEP(&s, &l, 10, 300, TIER_REFUSE, TIER_WHY_LOAD);
		STEP(&s, &l, 11, 500, TIER_REFUSE | TIER_DELAY, TIER_WHY_LOAD);
	}
}

/* x-la set to 0 while x is active: it leaves at once, hold or not. */
static void switched_off_while_active(void)
{
	struct tier_limits l = usual;
	struct tier_state s = {0};

	STEP(&s, &l, 10, 3000, TIER_ALL, TIER_WHY_LOAD);
	l.refuse_la_centi = 0;
	STEP(&s, &l, 11, 3000, TIER_DELAY | TIER_QUEUE, TIER_WHY_LOAD);
	l.delay_la_centi = 0;
	l.queue_la_centi = 0;
	STEP(&s, &l, 12, 3000, 0, TIER_WHY_LOAD);
	CU_ASSERT_EQUAL(s.since_ns[0] + s.since_ns[1] + s.since_ns[2], 0);
}

static void unreadable_is_normal_at_once(void)
{
	const struct tier_input blind = {.now_ns = 11 * S, .load_centi = 3000, .blocked = 99};
	struct tier_state s = {0};

	CU_ASSERT_EQUAL(tier_step(&s, &usual, &blind), TIER_WHY_NONE);
	STEP(&s, &usual, 10, 3000, TIER_ALL, TIER_WHY_LOAD);
	CU_ASSERT_EQUAL(tier_step(&s, &usual, &blind), TIER_WHY_UNREADABLE);
	CU_ASSERT_EQUAL(s.active, 0);
	CU_ASSERT_EQUAL(tier_step(&s, &usual, &blind), TIER_WHY_NONE);
	STEP(&s, &usual, 12, 3000, TIER_ALL, TIER_WHY_LOAD);
	/* The hold counts anew. */
	STEP(&s, &usual, 26, 0, TIER_ALL, TIER_WHY_NONE);
	STEP(&s, &usual, 27, 0, 0, TIER_WHY_LOAD);
}

static void refuse_ends_after_refuse_max(void)
{
	struct tier_limits l = usual;
	struct tier_state s = {0};

	l.queue_la_centi = 0; /* off: queue comes all the same */
	l.delay_la_centi = 0;
	STEP(&s, &l, 1000, 3000, TIER_REFUSE, TIER_WHY_LOAD);
	STEP(&s, &l, 1599, 3000, TIER_REFUSE, TIER_WHY_NONE);
	STEP(&s, &l, 1600, 3000, TIER_QUEUE, TIER_WHY_REFUSE_MAX);
	CU_ASSERT_EQUAL(s.refuse_paused_until_ns, 1660 * S);
	STEP(&s, &l, 1601, 9000, TIER_QUEUE, TIER_WHY_NONE);
	/* For a minute at least, though the load has gone and the hold of queue is over. */
	STEP(&s, &l, 1650, 0, TIER_QUEUE, TIER_WHY_NONE);
	STEP(&s, &l, 1659, 3000, TIER_QUEUE, TIER_WHY_NONE);
	STEP(&s, &l, 1660, 3000, TIER_REFUSE, TIER_WHY_LOAD);
	CU_ASSERT_EQUAL(s.refuse_paused_until_ns, 0);
	/* And a whole refuse-max again. */
	STEP(&s, &l, 2259, 3000, TIER_REFUSE, TIER_WHY_NONE);
	STEP(&s, &l, 2260, 3000, TIER_QUEUE, TIER_WHY_REFUSE_MAX);
	STEP(&s, &l, 2320, 0, 0, TIER_WHY_LOAD);
}

static void the_pause_keeps_a_queue_that_was_there(void)
{
	struct tier_state s = {0};

	STEP(&s, &usual, 1000, 3000, TIER_ALL, TIER_WHY_LOAD);
	STEP(&s, &usual, 1600, 3000, TIER_DELAY | TIER_QUEUE, TIER_WHY_REFUSE_MAX);
	CU_ASSERT_EQUAL(s.since_ns[1], 1000 * S);
	STEP(&s, &usual, 1601, 100, TIER_QUEUE, TIER_WHY_LOAD);
	STEP(&s, &usual, 1659, 100, TIER_QUEUE, TIER_WHY_NONE);
	STEP(&s, &usual, 1660, 100, 0, TIER_WHY_LOAD);
}

/* A load that fell in time has not run into refuse-max, not even in that very second. */
static void leaving_comes_before_refuse_max(void)
{
	struct tier_state s = {0};

	STEP(&s, &usual, 1000, 3000, TIER_ALL, TIER_WHY_LOAD);
	STEP(&s, &usual, 1600, 1599, TIER_DELAY | TIER_QUEUE, TIER_WHY_LOAD);
	CU_ASSERT_EQUAL(s.refuse_paused_until_ns, 0);
}

static void a_pause_survives_an_unreadable_load(void)
{
	const struct tier_input blind = {.now_ns = 1610 * S};
	struct tier_state s = {0};

	STEP(&s, &usual, 1000, 3000, TIER_ALL, TIER_WHY_LOAD);
	STEP(&s, &usual, 1600, 3000, TIER_DELAY | TIER_QUEUE, TIER_WHY_REFUSE_MAX);
	CU_ASSERT_EQUAL(tier_step(&s, &usual, &blind), TIER_WHY_UNREADABLE);
	CU_ASSERT_EQUAL(s.active, 0);
	STEP(&s, &usual, 1611, 3000, TIER_DELAY | TIER_QUEUE, TIER_WHY_REFUSE_MAX);
	STEP(&s, &usual, 1660, 3000, TIER_ALL, TIER_WHY_LOAD);
}

static void refuse_switched_off_ends_the_pause(void)
{
	struct tier_limits l = usual;
	struct tier_state s = {0};

	STEP(&s, &l, 1000, 3000, TIER_ALL, TIER_WHY_LOAD);
	STEP(&s, &l, 1600, 3000, TIER_DELAY | TIER_QUEUE, TIER_WHY_REFUSE_MAX);
	l.refuse_la_centi = 0;
	STEP(&s, &l, 1601, 0, 0, TIER_WHY_LOAD);
}

static enum tier_why with_blocked(struct tier_state *s, uint32_t load_centi, uint32_t blocked)
{
	const struct tier_input in = {
		.now_ns = 10 * S, .readable = true, .load_centi = load_centi, .blocked = blocked};

	return tier_step(s, &usual, &in);
}

static void a_load_of_blocked_tasks_is_named(void)
{
	static const struct {
		uint32_t load_centi, blocked;
		enum tier_why why;
	} row[] = {
		{3000, 15, TIER_WHY_BLOCKED},
		{3000, 14, TIER_WHY_LOAD},
		{3001, 15, TIER_WHY_LOAD},
		{500, 3, TIER_WHY_BLOCKED},
		{500, 2, TIER_WHY_LOAD},
		{500, 0, TIER_WHY_LOAD},
		{3000, UINT32_MAX, TIER_WHY_BLOCKED},
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct tier_state s = {0};
		enum tier_why why = with_blocked(&s, row[i].load_centi, row[i].blocked);

		CHECK(why == row[i].why, "load %u, %u blocked: %u, expected %u", row[i].load_centi,
		      row[i].blocked, why, row[i].why);
		CU_ASSERT_EQUAL(with_blocked(&s, row[i].load_centi, 99), TIER_WHY_NONE);
	}
}

/* Leaving is no news of blocked tasks, even where there are some. */
static void leaving_is_not_blocked(void)
{
	struct tier_input in = {.now_ns = 10 * S, .readable = true, .load_centi = 3000};
	struct tier_state s = {0};

	tier_step(&s, &usual, &in);
	in = (struct tier_input){
		.now_ns = 25 * S, .readable = true, .load_centi = 10, .blocked = 5};
	CU_ASSERT_EQUAL(tier_step(&s, &usual, &in), TIER_WHY_LOAD);
	CU_ASSERT_EQUAL(s.active, 0);
}

/* The same second again lets no time pass; nor does a clock that goes back. */
static void a_clock_that_stands_still_or_goes_back(void)
{
	struct tier_state s = {0};

	STEP(&s, &usual, 100, 3000, TIER_ALL, TIER_WHY_LOAD);
	for (int i = 0; i < 1000; i++)
		STEP(&s, &usual, 100, 0, TIER_ALL, TIER_WHY_NONE);
	STEP(&s, &usual, 50, 0, TIER_ALL, TIER_WHY_NONE);
	STEP(&s, &usual, 0, 3000, TIER_ALL, TIER_WHY_NONE);
	STEP(&s, &usual, 115, 0, 0, TIER_WHY_LOAD);
}

static void names(void)
{
	CU_ASSERT_STRING_EQUAL(tier_name(0), "normal");
	CU_ASSERT_STRING_EQUAL(tier_name(TIER_DELAY), "delay");
	CU_ASSERT_STRING_EQUAL(tier_name(TIER_DELAY | TIER_QUEUE), "queue");
	CU_ASSERT_STRING_EQUAL(tier_name(TIER_REFUSE | TIER_DELAY), "refuse");
	CU_ASSERT_STRING_EQUAL(tier_name(TIER_ALL), "refuse");
}

void suite_tier(void)
{
	static CU_TestInfo tests[] = {
		{"0 to 30 and back, with the hold", up_to_30_and_back},
		{"a jump takes all at once", a_jump_takes_all_at_once},
		{"nothing changes between leave and enter", between_the_two_thresholds},
		{"small thresholds", small_thresholds},
		{"no hold, no wait", no_hold_no_wait},
		{"compat = sendmail", as_sendmail_does},
		{"predicates do not depend on each other", predicates_do_not_depend_on_each_other},
		{"switched off while active", switched_off_while_active},
		{"unreadable is normal at once", unreadable_is_normal_at_once},
		{"refuse ends after refuse-max", refuse_ends_after_refuse_max},
		{"the pause keeps a queue", the_pause_keeps_a_queue_that_was_there},
		{"leaving comes before refuse-max", leaving_comes_before_refuse_max},
		{"a pause survives an unreadable load", a_pause_survives_an_unreadable_load},
		{"refuse-la = 0 ends the pause", refuse_switched_off_ends_the_pause},
		{"a load of blocked tasks is named", a_load_of_blocked_tasks_is_named},
		{"leaving is not blocked", leaving_is_not_blocked},
		{"a clock that stands still or goes back", a_clock_that_stands_still_or_goes_back},
		{"names", names},
		CU_TEST_INFO_NULL,
	};

	unit_suite("tier", tests);
}
