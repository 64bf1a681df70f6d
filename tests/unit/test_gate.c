// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The gate over plain tables: each gate with its verdict and reason, their order, and what is
 * charged, remembered and counted on the way.
 */
#include "rig.h"

#define NOW  RIG_START_NS
#define HOST 0x0a000001 /* 10.0.0.1 */

static struct decision judge_v4(struct rig *r, __u32 host, __u32 isn, __u64 now_ns)
{
	struct attempt a = rig_v4(host, isn);

	return rig_judge(r, &a, now_ns);
}

static void list_v4(struct rig *r, __u32 host, __u32 bits, int class)
{
	union addr a = rig_addr_v4(host);

	rig_class(r, &a, FAMILY_V4, bits, class);
}

/* Leaves the global word owing this much. */
static void owe(struct rig *r, __u64 now_ns, __u64 debt_ns)
{
	r->control.global_tat_ns = now_ns + debt_ns;
}

/* --- each gate ------------------------------------------------------------------------------ */

static void test_admitted_is_charged(void)
{
	struct config c = rig_config();
	struct attempt a = rig_v4(HOST, 1);
	struct rig *r;

	c.source_rate = (struct rate){1, NSEC_PER_SEC};
	c.subnet_rate = (struct rate){4, NSEC_PER_SEC};
	c.source_burst = c.subnet_burst = 2;
	r = rig_open(&c);
	CHECK_DECISION(rig_judge(r, &a, NOW), PASS, ADMITTED);
	CHECK_U64(r->control.global_tat_ns, NOW + MS(100));
	CHECK_U64(rig_subnet_tat(r, &a), NOW + MS(250));
	CHECK_U64(rig_source_tat(r, &a), NOW + SEC(1));
	CHECK_U64(r->control.trusted_tat_ns, 0);
	CHECK_U64(r->control.refuse_tat_ns, 0);
	CHECK_U64(r->remember_tat_ns, 0);
	rig_close(r);
}

/* Only what is admitted is charged: a denial by any word leaves all three as they were. */
static void test_denied_is_not_charged(void)
{
	struct config c = rig_config();
	struct attempt a;
	struct rig *r;
	__u64 global;

	c.source_rate = c.subnet_rate = (struct rate){1, NSEC_PER_SEC};
	c.source_burst = 1;
	c.subnet_burst = 3;
	r = rig_open(&c);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), PASS, ADMITTED);
	global = r->control.global_tat_ns;
	for (__u32 i = 0; i < 100; i++)
		CHECK_DECISION(judge_v4(r, HOST, 2 + i, NOW), DEFER, SOURCE_RATE);
	a = rig_v4(HOST, 0);
	CHECK_U64(r->control.global_tat_ns, global);
	CHECK_U64(rig_source_tat(r, &a), NOW + SEC(1));
	CHECK_U64(rig_subnet_tat(r, &a), NOW + SEC(1));
	rig_close(r);
}

static void test_connection_rate(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);

	CHECK_U64(rig_pass_v4(r, HOST, 20, NOW), 5);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), DEFER, CONNECTION_RATE);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + MS(100) - 1), DEFER, CONNECTION_RATE);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + MS(100)), PASS, ADMITTED);
	CHECK_U64(rig_pass_v4(r, HOST, 20, NOW + MS(100) + SEC(3)), 5); /* full again, not fuller */
	rig_close(r);
}

static void test_source_and_subnet_rate(void)
{
	struct config c = rig_config();
	struct rig *r;

	c.connection_rate.count = 1000;
	c.connection_burst = 1000;
	c.source_rate = c.subnet_rate = (struct rate){1, NSEC_PER_SEC};
	c.source_burst = 3;
	c.subnet_burst = 5;
	r = rig_open(&c);
	CHECK_U64(rig_pass_v4(r, HOST, 10, NOW), 3);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), DEFER, SOURCE_RATE);
	CHECK_U64(rig_pass_v4(r, HOST + 1, 10, NOW), 2); /* of the same /24 */
	CHECK_DECISION(judge_v4(r, HOST + 1, 2, NOW), DEFER, SUBNET_RATE);
	CHECK_U64(rig_pass_v4(r, HOST + 256, 10, NOW), 3); /* of another */
	CHECK_U64(rig_pass_v4(r, HOST, 10, NOW + SEC(1)), 1);
	rig_close(r);
}

static void test_v6_prefixes(void)
{
	struct config c = rig_config();
	struct attempt a[4];
	struct rig *r;

	c.connection_burst = 100;
	c.source_rate = c.subnet_rate = (struct rate){1, NSEC_PER_SEC};
	c.source_burst = 1;
	c.subnet_burst = 2;
	r = rig_open(&c);
	a[0] = rig_v6(0x20010db800010001ULL, 1, 1);
	a[1] = rig_v6(0x20010db800010001ULL, ~0ULL, 2); /* the same /64 */
	a[2] = rig_v6(0x20010db800010002ULL, 1, 3);	/* another, of the same /48 */
	a[3] = rig_v6(0x20010db80001ffffULL, 1, 4);	/* a third */
	CHECK_DECISION(rig_judge(r, &a[0], NOW), PASS, ADMITTED);
	CHECK_DECISION(rig_judge(r, &a[1], NOW), DEFER, SOURCE_RATE);
	CHECK_DECISION(rig_judge(r, &a[2], NOW), PASS, ADMITTED);
	CHECK_DECISION(rig_judge(r, &a[3], NOW), DEFER, SUBNET_RATE);
	a[3] = rig_v6(0x20010db800020001ULL, 1, 4); /* another /48 */
	CHECK_DECISION(rig_judge(r, &a[3], NOW), PASS, ADMITTED);
	rig_close(r);
}

static void test_blocked(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);
	struct decision d;

	list_v4(r, 0x0a000000, 8, CLASS_BLOCKED);
	list_v4(r, HOST, 32, CLASS_KNOWN); /* the longest match wins */
	d = judge_v4(r, HOST + 1, 1, NOW);
	CHECK_DECISION(d, REFUSE, BLOCKED);
	CHECK_U64(d.class, CLASS_BLOCKED);
	CHECK_U64(r->control.refuse_tat_ns, NOW + NSEC_PER_SEC / 10000);
	CHECK_U64(r->control.global_tat_ns, 0);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), PASS, ADMITTED);
	rig_close(r);
}

static void test_refuse_tier(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);

	list_v4(r, HOST, 32, CLASS_KNOWN);
	list_v4(r, HOST + 1, 32, CLASS_TRUSTED);
	list_v4(r, HOST + 2, 32, CLASS_THROTTLED);
	r->policy.tiers = TIER_REFUSE;
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), REFUSE, LOAD);
	CHECK_DECISION(judge_v4(r, HOST + 1, 1, NOW), PASS, TRUSTED);
	CHECK_DECISION(judge_v4(r, HOST + 2, 1, NOW), REFUSE, LOAD);
	CHECK_DECISION(judge_v4(r, HOST + 3, 1, NOW), REFUSE, LOAD);
	CHECK_U64(r->control.global_tat_ns, NOW + MS(100)); /* the trusted one's, no other */
	rig_close(r);
}

/* REFUSE beyond its budget acts as DEFER and keeps its reason; a second later there is more. */
static void test_refuse_budget(void)
{
	struct config c = rig_config();
	int refused = 0, deferred = 0;
	struct rig *r;

	c.refuse_rate = (struct rate){5, NSEC_PER_SEC};
	r = rig_open(&c);
	r->policy.tiers = TIER_REFUSE;
	for (__u32 i = 0; i < 20; i++) {
		struct decision d = judge_v4(r, HOST + i, 1, NOW);

		CHECK_U64(d.reason, REASON_LOAD);
		refused += d.verdict == VERDICT_REFUSE;
		deferred += d.verdict == VERDICT_DEFER;
	}
	CHECK_U64(refused, 5);
	CHECK_U64(deferred, 15);
	CHECK_U64(r->counters.refuse_over, 15);
	CHECK_DECISION(judge_v4(r, HOST, 2, NOW + MS(200) - 1), DEFER, LOAD);
	CHECK_DECISION(judge_v4(r, HOST, 3, NOW + MS(200)), REFUSE, LOAD);
	rig_close(r);
}

/* --- trusted -------------------------------------------------------------------------------- */

static void test_trusted_within_its_rate(void)
{
	struct config c = rig_config();
	struct rig *r;

	c.trusted_rate = (struct rate){1, NSEC_PER_SEC};
	c.trusted_burst = 3;
	c.source_rate = c.subnet_rate = (struct rate){1, NSEC_PER_SEC};
	r = rig_open(&c);
	list_v4(r, 0x0a000000, 24, CLASS_TRUSTED);
	r->policy.tiers = TIER_REFUSE | TIER_DELAY;
	for (__u32 i = 0; i < 3; i++) { /* one bucket for all of them; their own words not asked */
		struct decision d = judge_v4(r, HOST, i, NOW);

		CHECK_DECISION(d, PASS, TRUSTED);
		CHECK_U64(d.class, CLASS_TRUSTED);
	}
	CHECK_U64(r->control.trusted_tat_ns, NOW + SEC(3));
	CHECK_U64(r->control.global_tat_ns, NOW + MS(300));
	CHECK_DECISION(judge_v4(r, HOST + 1, 9, NOW), REFUSE, LOAD);
	CHECK_U64(r->counters.trusted_over, 1);
	CHECK_DECISION(judge_v4(r, HOST + 1, 9, NOW + SEC(1)), PASS, TRUSTED);
	rig_close(r);
}

/* A spoofed trusted address is no bypass: beyond the rate it is unknown, in every gate. */
static void test_trusted_beyond_its_rate(void)
{
	struct config c = rig_config();
	struct decision d;
	struct rig *r;

	c.trusted_rate = (struct rate){1, 3600 * NSEC_PER_SEC};
	c.trusted_burst = 1;
	c.source_rate = (struct rate){1, NSEC_PER_SEC};
	c.source_burst = 2;
	r = rig_open(&c);
	list_v4(r, HOST, 32, CLASS_TRUSTED);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), PASS, TRUSTED);
	d = judge_v4(r, HOST, 2, NOW);
	CHECK_DECISION(d, PASS, ADMITTED);
	CHECK_U64(d.class, CLASS_TRUSTED); /* counted as what it is listed as */
	CHECK_DECISION(judge_v4(r, HOST, 3, NOW), PASS, ADMITTED);
	CHECK_DECISION(judge_v4(r, HOST, 4, NOW), DEFER, SOURCE_RATE);
	CHECK_DECISION(judge_v4(r, HOST, 4, NOW + SEC(1)), PASS, ADMITTED);
	CHECK_DECISION(judge_v4(r, HOST, 4, NOW + SEC(2)), PASS, RETRANSMIT);
	r->policy.tiers = TIER_DELAY;
	CHECK_DECISION(judge_v4(r, HOST, 5, NOW + SEC(9)), DEFER, FIRST_TIME);
	CHECK_U64(r->counters.trusted_over, 6);
	rig_close(r);
}

/*
 * The global word is charged for trusted ones as far as newcomers may charge it, and no further:
 * a flood of a spoofed trusted address leaves room for those who wait or are known.
 */
static void test_trusted_charges_the_global_word(void)
{
	struct config c = rig_config(); /* tau 400, 800, 1100 ms, debt_max 1200 */
	struct rig *r = rig_open(&c);

	list_v4(r, HOST, 32, CLASS_TRUSTED);
	list_v4(r, HOST + 2, 32, CLASS_KNOWN);
	CHECK_DECISION(judge_v4(r, HOST + 3, 1, NOW - SEC(1)), PASS, ADMITTED);
	r->control.global_tat_ns = 0;
	for (__u32 i = 0; i < 5; i++) {
		CHECK_DECISION(judge_v4(r, HOST, i, NOW), PASS, TRUSTED);
		CHECK_U64(r->control.global_tat_ns, NOW + (i + 1) * MS(100));
	}
	CHECK_DECISION(judge_v4(r, HOST + 1, 1, NOW), DEFER, CONNECTION_RATE);
	for (__u32 i = 5; i < 50; i++)
		CHECK_DECISION(judge_v4(r, HOST, i, NOW), PASS, TRUSTED);
	CHECK_U64(r->control.global_tat_ns, NOW + MS(500));
	CHECK_DECISION(judge_v4(r, HOST + 2, 1, NOW), PASS, ADMITTED); /* known */
	r->control.global_tat_ns = NOW + SEC(1) + MS(500);	       /* drained again by then */
	CHECK_DECISION(judge_v4(r, HOST + 1, 1, NOW + SEC(1)), PASS, ADMITTED); /* has waited */
	rig_close(r);
}

/* --- retransmits and replays ---------------------------------------------------------------- */

static void test_retransmit_is_free(void)
{
	struct config c = rig_config();
	struct rig *r;

	c.source_rate = (struct rate){1, 3600 * NSEC_PER_SEC};
	r = rig_open(&c);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), PASS, ADMITTED);
	r->policy.tiers = TIER_REFUSE | TIER_DELAY | TIER_QUEUE; /* asked before the tiers */
	list_v4(r, HOST, 32, CLASS_BLOCKED);			 /* and before this */
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + SEC(1)), PASS, RETRANSMIT);
	CHECK_U64(r->control.global_tat_ns, NOW + MS(100));
	CHECK_DECISION(judge_v4(r, HOST, 2, NOW + SEC(1)), REFUSE, BLOCKED);
	rig_close(r);
}

/* At most once in half a second since it last passed, admission included. */
static void test_replay_gap(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);

	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), PASS, ADMITTED);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), DROP, REPLAY);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + MS(496)), DROP, REPLAY);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + MS(500)), PASS, RETRANSMIT);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + MS(996)), DROP, REPLAY);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + MS(1000)), PASS, RETRANSMIT);
	rig_close(r);
}

static void test_replay_count(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);
	int passed = 0;

	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), PASS, ADMITTED);
	for (__u64 t = MS(4); t < SEC(63); t += MS(4)) {
		struct decision d = judge_v4(r, HOST, 1, NOW + t);

		CHECK(d.reason == REASON_RETRANSMIT || d.reason == REASON_REPLAY, "%s",
		      rig_reason_name(d.reason));
		passed += d.verdict == VERDICT_PASS;
		CHECK(passed <= (int)(t / MS(500)), "%d at %llu ms", passed, t / MS(1));
	}
	CHECK_U64(passed, 10);
	CHECK_U64(r->control.global_tat_ns, NOW + MS(100));
	/* 63 s after its admission it is an attempt like any other, and can be admitted anew. */
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + SEC(63) - 1), DROP, REPLAY);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + SEC(63)), PASS, ADMITTED);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + SEC(63) + MS(4)), DROP, REPLAY);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + SEC(64)), PASS, RETRANSMIT);
	rig_close(r);
}

/* Linux's nine retransmits, whatever its tcp_syn_linear_timeouts, all pass. */
static void test_every_retransmit_of_linux(void)
{
	static const __u64 timers_ms[2][9] = {
		{1020, 3030, 7060, 15130, 31260, 62900, 62900, 62900, 62900},
		{1020, 2050, 3070, 4100, 5120, 7140, 11300, 19500, 35600},
	};

	for (int old = 0; old < 2; old++) {
		struct config c = rig_config();
		struct rig *r = rig_open(&c);

		CHECK_DECISION(judge_v4(r, HOST, 1, NOW), PASS, ADMITTED);
		for (int i = 0; i < 9; i++)
			if (!i || timers_ms[old][i] != timers_ms[old][i - 1])
				CHECK_DECISION(judge_v4(r, HOST, 1, NOW + MS(timers_ms[old][i])),
					       PASS, RETRANSMIT);
		rig_close(r);
	}
}

/* --- first-time and remembering ------------------------------------------------------------- */

static void test_first_time(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);
	struct decision d;

	list_v4(r, HOST + 1, 32, CLASS_KNOWN);
	list_v4(r, HOST + 2, 32, CLASS_THROTTLED);
	r->policy.tiers = TIER_DELAY;
	d = judge_v4(r, HOST, 1, NOW);
	CHECK_DECISION(d, DEFER, FIRST_TIME);
	CHECK_U64(d.again, 0);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + MS(500) - 1), DEFER, FIRST_TIME); /* a copy */
	CHECK_U64(r->control.global_tat_ns, 0);
	d = judge_v4(r, HOST, 1, NOW + MS(500));
	CHECK_DECISION(d, PASS, ADMITTED);
	CHECK_U64(d.again, 1);
	CHECK_DECISION(judge_v4(r, HOST, 2, NOW + SEC(1)), DEFER, FIRST_TIME); /* each attempt */
	CHECK_DECISION(judge_v4(r, HOST + 1, 1, NOW), PASS, ADMITTED);
	CHECK_DECISION(judge_v4(r, HOST + 2, 1, NOW + SEC(1)), DEFER, FIRST_TIME);
	rig_close(r);
}

static void test_remembered_for_64_seconds(void)
{
	struct config c = rig_config();

	for (int late = 0; late < 2; late++) {
		struct rig *r = rig_open(&c);

		r->policy.tiers = TIER_DELAY;
		CHECK_DECISION(judge_v4(r, HOST, 1, NOW), DEFER, FIRST_TIME);
		if (late) {
			__u64 then = NOW + SEC(64) + 1;

			CHECK_DECISION(judge_v4(r, HOST, 1, then), DEFER, FIRST_TIME);
			/* An attempt of its own from here on: it begins to wait anew. */
			CHECK_DECISION(judge_v4(r, HOST, 1, then + MS(499)), DEFER, FIRST_TIME);
			CHECK_DECISION(judge_v4(r, HOST, 1, then + MS(500)), PASS, ADMITTED);
		} else {
			CHECK_DECISION(judge_v4(r, HOST, 1, NOW + SEC(64)), PASS, ADMITTED);
		}
		rig_close(r);
	}
}

/* Without a place to remember newcomers in, they would wait for ever: the gate is skipped. */
static void test_first_time_is_skipped_without_budget(void)
{
	struct config c = rig_config();
	struct rig *r;

	c.defer_budget_per_s = 2;
	r = rig_open(&c);
	r->policy.tiers = TIER_DELAY;
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), DEFER, FIRST_TIME);
	CHECK_DECISION(judge_v4(r, HOST, 2, NOW), DEFER, FIRST_TIME);
	CHECK_DECISION(judge_v4(r, HOST, 3, NOW), PASS, ADMITTED);
	CHECK_DECISION(judge_v4(r, HOST, 4, NOW + MS(500)), DEFER, FIRST_TIME);
	rig_close(r);
}

static int fail_table; /* an enum table; -1: none */

static int fail_add(enum table table)
{
	return (int)table == fail_table;
}

static void test_first_time_is_skipped_without_room(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);

	r->st.fail_add = fail_add;
	fail_table = TABLE_DEFERRED;
	r->policy.tiers = TIER_DELAY;
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), PASS, ADMITTED);
	CHECK_U64(r->counters.insert_failed, 1);
	rig_close(r);
}

/* The budget bounds what is remembered, so that the first ones keep their seniority. */
static void test_remembering_budget(void)
{
	struct config c = rig_config();
	struct rig *r;

	c.defer_budget_per_s = 3;
	r = rig_open(&c);
	owe(r, NOW, MS(500)); /* no room for a first SYN until +100 ms */
	for (__u32 i = 0; i < 10; i++)
		CHECK_DECISION(judge_v4(r, HOST, i, NOW), DEFER, CONNECTION_RATE);
	CHECK_U64(r->counters.remember_over, 7);
	owe(r, NOW + SEC(1), MS(500));
	for (__u32 i = 3; i < 10; i++) {
		struct decision d = judge_v4(r, HOST, i, NOW + SEC(1));

		CHECK_DECISION(d, DEFER, CONNECTION_RATE);
		CHECK_U64(d.again, 0);
	}
	for (__u32 i = 0; i < 3; i++) {
		struct decision d = judge_v4(r, HOST, i, NOW + SEC(1));

		CHECK_DECISION(d, PASS, ADMITTED);
		CHECK_U64(d.again, 1);
	}
	rig_close(r);
}

/* One SYN that is deferred and not remembered is one in the counter, also in the delay tier. */
static void test_remember_over_counts_syns(void)
{
	struct config c = rig_config();
	union addr addr = rig_addr_v4(HOST);
	__u64 full = NOW + SEC(1);
	struct prefix_key key;
	struct rig *r;

	c.defer_budget_per_s = 1;
	c.source_rate = (struct rate){1, NSEC_PER_SEC};
	r = rig_open(&c);
	r->policy.tiers = TIER_DELAY;
	state_prefix_key(&key, &addr, &r->policy.source[FAMILY_V4]);
	plain_add(&r->st.table[TABLE_SOURCE], &key, &full);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), DEFER, FIRST_TIME);
	CHECK_U64(r->counters.remember_over, 0);
	CHECK_DECISION(judge_v4(r, HOST, 2, NOW), DEFER, SOURCE_RATE);
	CHECK_U64(r->counters.remember_over, 1);
	rig_close(r);
}

/* Deferred again and again: it keeps the time of its first SYN, and no more budget is spent. */
static void test_seniority_is_kept(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);
	__u64 budget;

	owe(r, NOW, MS(1200));
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), DEFER, CONNECTION_RATE);
	budget = r->remember_tat_ns;
	for (int i = 1; i < 64; i++) {
		owe(r, NOW + SEC(i), MS(1200));
		CHECK_DECISION(judge_v4(r, HOST, 1, NOW + SEC(i)), DEFER, CONNECTION_RATE);
	}
	CHECK_U64(r->remember_tat_ns, budget);
	owe(r, NOW + SEC(64), MS(800));
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + SEC(64)), PASS, ADMITTED);
	rig_close(r);
}

/* --- priority is tolerance ------------------------------------------------------------------ */

/* Who asks: the columns of the table of tolerances. */
enum who { FIRST, WAITED, KNOWN, THROTTLED, THROTTLED_WAITED, WHO };

static const char *const who_names[WHO] = {"first", "waited", "known", "throttled",
					   "throttled, waited"};

/* A SYN of that kind with its own source (same: all of one), judged at NOW. */
static struct decision ask(struct rig *r, enum who who, __u32 n, bool same)
{
	static const __u32 base[WHO] = {0x0a000000, 0x0a000000, 0x0a010000, 0x0a020000, 0x0a020000};
	struct attempt a = rig_v4(base[who] + (same ? 1 : 1 + n % 250), 100 + n);
	__u64 fingerprint = state_fingerprint(&r->st, &a), then = NOW - SEC(1);

	if (who == WAITED || who == THROTTLED_WAITED) {
		state_note_presence(&r->st, &a, then);
		plain_add(&r->st.table[TABLE_DEFERRED], &fingerprint, &then);
	}
	return rig_judge(r, &a, NOW);
}

static int ask_many(struct rig *r, enum who who, bool same)
{
	int passed = 0;

	for (__u32 n = 0; n < 200; n++)
		passed += ask(r, who, n, same).reason == REASON_ADMITTED;
	return passed;
}

static struct rig *open_classed(const struct config *c)
{
	struct rig *r = rig_open(c);

	list_v4(r, 0x0a010000, 16, CLASS_KNOWN);
	list_v4(r, 0x0a020000, 16, CLASS_THROTTLED);
	return r;
}

/* burst, + retry-burst, + known-burst at one moment on a shared word. */
static void test_tolerance_of_shared_words(void)
{
	static const int expected[WHO] = {5, 5 + 4, 5 + 4 + 3, 5, 5};
	struct config global = rig_config(), subnet = rig_config();

	subnet.subnet_rate = (struct rate){1, NSEC_PER_SEC};
	subnet.subnet_burst = 5;
	subnet.connection_burst = 1000;
	for (int who = 0; who < WHO; who++) {
		struct rig *g = open_classed(&global), *s = open_classed(&subnet);

		CHECK(ask_many(g, who, false) == expected[who], "global: %s", who_names[who]);
		CHECK(ask_many(s, who, false) == expected[who], "subnet: %s", who_names[who]);
		CHECK_U64(g->control.global_tat_ns, NOW + MS(100) * expected[who]);
		rig_close(g);
		rig_close(s);
	}
}

/*
 * burst; waiting earns nothing; known (2 (burst - 1) T) + 1; a throttled one pays ten for each:
 * with burst 25 at debts 0, 10, 20.
 */
static void test_tolerance_of_the_source(void)
{
	static const int expected[WHO] = {25, 25, 49, 3, 3};
	struct config c = rig_config();

	c.connection_burst = 1000;
	c.source_rate = (struct rate){1, NSEC_PER_SEC};
	c.source_burst = 25;
	for (int who = 0; who < WHO; who++) {
		struct rig *r = open_classed(&c);

		CHECK(ask_many(r, who, true) == expected[who], "%s: not %d", who_names[who],
		      expected[who]);
		CHECK_U64(ask(r, who, 999, true).reason, REASON_SOURCE_RATE);
		rig_close(r);
	}
}

/* Past half of the global burst nobody's newcomers get more than one ahead of the others'. */
static void test_pressure(void)
{
	static const int expected[WHO] = {2, 25, 49, 1, 3};
	struct config c = rig_config();

	c.connection_rate = (struct rate){1, NSEC_PER_SEC};
	c.connection_burst = 1001; /* tau1 1000 s */
	c.source_rate = (struct rate){1, NSEC_PER_SEC};
	c.source_burst = 25;
	for (int who = 0; who < WHO; who++) {
		struct rig *r = open_classed(&c);

		owe(r, NOW, SEC(500)); /* half: not past it; the first charge passes it */
		CHECK(ask_many(r, who, true) == expected[who], "at half: %s", who_names[who]);
		rig_close(r);
		r = open_classed(&c);
		owe(r, NOW, SEC(500) + 1);
		CHECK(ask_many(r, who, true) == expected[who], "past half: %s", who_names[who]);
		rig_close(r);
		r = open_classed(&c);
		owe(r, NOW, SEC(400)); /* never past half with fifty charges */
		CHECK(ask_many(r, who, true) == (who == FIRST	    ? 25
						 : who == THROTTLED ? 3
								    : expected[who]),
		      "no pressure: %s", who_names[who]);
		rig_close(r);
	}
}

/* Half of the burst to the nanosecond, seen by a source that owes two. */
static void test_pressure_begins_past_half(void)
{
	struct config c = rig_config();

	c.connection_burst = 1001;
	c.source_rate = (struct rate){1, NSEC_PER_SEC};
	c.source_burst = 25;
	for (int past = 0; past < 2; past++) {
		struct rig *r = rig_open(&c);

		CHECK_U64(rig_pass_v4(r, HOST, 2, NOW), 2);
		owe(r, NOW, MS(100) * 500 + past);
		CHECK_U64(rig_pass_v4(r, HOST, 1, NOW), !past);
		rig_close(r);
	}
}

/* A source-burst of one stays one under pressure: the limit is lowered, never raised. */
static void test_pressure_never_raises(void)
{
	struct config c = rig_config();
	struct rig *r;

	c.source_rate = (struct rate){1, NSEC_PER_SEC};
	c.source_burst = 1;
	r = rig_open(&c);
	owe(r, NOW, MS(300));
	CHECK_U64(rig_pass_v4(r, HOST, 5, NOW), 1);
	rig_close(r);
}

/* A newcomer's copies are not retransmits: half a second makes the difference. */
static void test_seniority_needs_half_a_second(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);

	owe(r, NOW, MS(1200));
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), DEFER, CONNECTION_RATE);
	owe(r, NOW + MS(499), MS(401));
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + MS(499)), DEFER, CONNECTION_RATE);
	owe(r, NOW + MS(500), MS(401));
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + MS(500)), PASS, ADMITTED);
	rig_close(r);
}

/* --- the order of the gates ------------------------------------------------------------------ */

/* Every gate bites at once; one after the other is opened, in the order of the table. */
static void test_order(void)
{
	struct config c = rig_config();
	struct attempt a = rig_v4(HOST, 1);
	union addr addr = rig_addr_v4(HOST);
	struct prefix_key key;
	__u64 full = NOW + SEC(1), old = NOW - SEC(1), fingerprint;
	struct rig *r;

	c.source_rate = c.subnet_rate = (struct rate){1, NSEC_PER_SEC};
	c.retry_burst = 0;
	r = rig_open(&c);
	owe(r, NOW, MS(401));
	state_prefix_key(&key, &addr, &r->policy.source[FAMILY_V4]);
	plain_add(&r->st.table[TABLE_SOURCE], &key, &full);
	state_prefix_key(&key, &addr, &r->policy.subnet[FAMILY_V4]);
	plain_add(&r->st.table[TABLE_SUBNET], &key, &full);
	r->policy.tiers = TIER_ALL;
	list_v4(r, HOST, 32, CLASS_BLOCKED);

	CHECK_DECISION(rig_judge(r, &a, NOW), REFUSE, BLOCKED);
	r->st.class_count = 0;
	CHECK_DECISION(rig_judge(r, &a, NOW), REFUSE, LOAD);
	r->policy.tiers = TIER_DELAY;
	CHECK_DECISION(judge_v4(r, HOST, 2, NOW), DEFER, CONNECTION_RATE); /* all newcomers */
	owe(r, NOW, MS(400));
	CHECK_DECISION(rig_judge(r, &a, NOW), DEFER, FIRST_TIME);
	fingerprint = state_fingerprint(&r->st, &a);
	*(__u64 *)plain_find(&r->st.table[TABLE_DEFERRED], &fingerprint) = old;
	CHECK_DECISION(rig_judge(r, &a, NOW), DEFER, SOURCE_RATE);
	state_prefix_key(&key, &addr, &r->policy.source[FAMILY_V4]);
	*(__u64 *)plain_find(&r->st.table[TABLE_SOURCE], &key) = NOW;
	CHECK_DECISION(rig_judge(r, &a, NOW), DEFER, SUBNET_RATE);
	state_prefix_key(&key, &addr, &r->policy.subnet[FAMILY_V4]);
	*(__u64 *)plain_find(&r->st.table[TABLE_SUBNET], &key) = NOW;
	owe(r, NOW, MS(401));
	CHECK_DECISION(rig_judge(r, &a, NOW), DEFER, CONNECTION_RATE);
	owe(r, NOW, MS(400));
	CHECK_DECISION(rig_judge(r, &a, NOW), PASS, ADMITTED);
	list_v4(r, HOST, 32, CLASS_TRUSTED);
	CHECK_DECISION(rig_judge(r, &a, NOW), PASS, TRUSTED); /* before replay */
	rig_close(r);
}

/* The verdict of each reason is the table's, as the kernel program and the docs have it. */
static void test_reason_table(void)
{
	static const int verdicts[REASONS] = {
#define X(id, verdict, name, sentence) VERDICT_##verdict,
		REASON_TABLE(X)
#undef X
	};
	static const int expected[] = {
		VERDICT_PASS,	VERDICT_PASS,	VERDICT_DROP,	VERDICT_DROP,
		VERDICT_REFUSE, VERDICT_REFUSE, VERDICT_REFUSE, VERDICT_DEFER,
		VERDICT_DEFER,	VERDICT_DEFER,	VERDICT_DEFER,	VERDICT_DEFER,
		VERDICT_DEFER,	VERDICT_DEFER,	VERDICT_DEFER,	VERDICT_PASS};

	CU_ASSERT_EQUAL_FATAL(sizeof(expected) / sizeof(expected[0]), REASONS);
	for (int i = 0; i < REASONS; i++)
		CHECK(verdicts[i] == expected[i], "%s", rig_reason_name(i));
}

/* --- tiers, lease, overrides ----------------------------------------------------------------- */

static void test_lease(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);

	r->policy.tiers = TIER_ALL;
	r->control.lease_until_ns = 0; /* never renewed: no tiers, static limits */
	CHECK_U64(gate_tiers(&r->policy, &r->control, NOW), 0);
	r->control.lease_until_ns = NOW;
	CHECK_U64(gate_tiers(&r->policy, &r->control, NOW - 1), TIER_ALL);
	CHECK_U64(gate_tiers(&r->policy, &r->control, NOW), 0);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW - 1), REFUSE, LOAD);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), PASS, ADMITTED);
	CHECK_U64(rig_pass_v4(r, HOST, 20, NOW), 4); /* the static limit stays */
	rig_close(r);
}

static void test_tier_override(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);
	struct policy *p = &r->policy;

	p->tiers = TIER_DELAY;
	r->control.lease_until_ns = NOW + SEC(30);
	CHECK_U64(gate_tiers(p, &r->control, NOW), TIER_DELAY);
	p->tier_override = (struct override){.until_ns = NOW + SEC(60), .value = TIER_REFUSE};
	CHECK_U64(gate_tiers(p, &r->control, NOW), TIER_REFUSE); /* exactly that set */
	/* An end of its own: it outlives the daemon, and still ends. */
	CHECK_U64(gate_tiers(p, &r->control, NOW + SEC(30)), TIER_REFUSE);
	CHECK_U64(gate_tiers(p, &r->control, NOW + SEC(60) - 1), TIER_REFUSE);
	CHECK_U64(gate_tiers(p, &r->control, NOW + SEC(60)), 0);
	r->control.lease_until_ns = NOW + SEC(90);
	CHECK_U64(gate_tiers(p, &r->control, NOW + SEC(60)), TIER_DELAY); /* the load's again */
	p->tier_override.value = 0; /* "normal" by hand wins over the load */
	CHECK_U64(gate_tiers(p, &r->control, NOW), 0);

	/* Without an end it falls with the lease, so that no refusal is for ever. */
	p->tier_override = (struct override){.until_ns = NEVER_NS, .value = TIER_REFUSE};
	CHECK_U64(gate_tiers(p, &r->control, NOW + SEC(90) - 1), TIER_REFUSE);
	CHECK_U64(gate_tiers(p, &r->control, NOW + SEC(90)), 0);
	rig_close(r);
}

static void test_mode_override(void)
{
	static struct policy p;

	p.mode = MODE_MONITOR;
	CHECK_U64(gate_mode(&p, NOW), MODE_MONITOR);
	p.mode_override = (struct override){.until_ns = NOW + 1, .value = MODE_ENFORCE};
	CHECK_U64(gate_mode(&p, NOW), MODE_ENFORCE);
	CHECK_U64(gate_mode(&p, NOW + 1), MODE_MONITOR);
	p.mode_override = (struct override){.until_ns = NEVER_NS, .value = MODE_OFF};
	CHECK_U64(gate_mode(&p, NOW + SEC(1000000000)), MODE_OFF); /* no lease: until released */
}

/* Monitor judges, charges and remembers exactly as enforce does. */
static void test_mode_does_not_matter_to_the_gate(void)
{
	struct config c = rig_config();
	struct rig *enforce, *monitor;
	__u64 random = 5, now = NOW;

	c.source_rate = (struct rate){2, NSEC_PER_SEC};
	c.source_burst = 4;
	enforce = rig_open(&c);
	c.mode = MODE_MONITOR;
	monitor = rig_open(&c);
	for (int i = 0; i < 5000; i++) {
		__u32 host = HOST + rig_below(&random, 5), isn = rig_below(&random, 400);
		struct decision a = judge_v4(enforce, host, isn, now);
		struct decision b = judge_v4(monitor, host, isn, now);

		CHECK(!memcmp(&a, &b, sizeof(a)), "SYN %d", i);
		now += rig_below(&random, MS(60));
	}
	CHECK_U64(enforce->control.global_tat_ns, monitor->control.global_tat_ns);
	rig_close(enforce);
	rig_close(monitor);
}

static void test_queue_tier(void)
{
	struct config c = rig_config(); /* 10/s, in the queue tier 5/s, burst 5 */
	struct rig *r = rig_open(&c);
	int passed = 0;

	r->policy.tiers = TIER_QUEUE;
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), PASS, ADMITTED);
	CHECK_U64(r->control.global_tat_ns, NOW + MS(200));
	CHECK_U64(rig_pass_v4(r, HOST, 20, NOW), 4);
	for (__u64 t = MS(4); t <= SEC(20); t += MS(4))
		passed += rig_pass_v4(r, HOST, 1, NOW + t);
	CHECK_U64(passed, 100);
	r->policy.tiers = 0;
	passed = 0;
	for (__u64 t = SEC(20) + MS(4); t <= SEC(40); t += MS(4))
		passed += rig_pass_v4(r, HOST, 1, NOW + t);
	CHECK(passed >= 195 && passed <= 205, "%d in 20 s at 10/s", passed);
	rig_close(r);
}

/* --- when a table has no room ---------------------------------------------------------------- */

/* The other buckets decide alone, which is counted: neither everything nor nothing passes. */
static void test_failed_inserts(void)
{
	static const int tables[] = {TABLE_SOURCE, TABLE_SUBNET, TABLE_ADMITTED};

	for (int i = 0; i < 3; i++) {
		struct config c = rig_config();
		struct rig *r;

		c.source_rate = c.subnet_rate = (struct rate){1, NSEC_PER_SEC};
		c.source_burst = tables[i] == TABLE_SOURCE ? 1 : 1000;
		c.subnet_burst = tables[i] == TABLE_SUBNET ? 1 : 1000;
		r = rig_open(&c);
		r->st.fail_add = fail_add;
		fail_table = tables[i];
		/* Under pressure a source with a word gets two ahead: here they need no more. */
		for (__u32 n = 0; n < 5; n++)
			CHECK_DECISION(judge_v4(r, HOST + n % 3, n, NOW), PASS, ADMITTED);
		CHECK_DECISION(judge_v4(r, HOST + 3, 9, NOW), DEFER, CONNECTION_RATE);
		CHECK_U64(r->counters.insert_failed, 5);
		CHECK_U64(r->control.global_tat_ns, NOW + MS(500));
		rig_close(r);
	}
}

/* A deferred attempt that cannot be remembered is deferred all the same. */
static void test_failed_remembering(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);

	r->st.fail_add = fail_add;
	fail_table = TABLE_DEFERRED;
	owe(r, NOW, MS(500));
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), DEFER, CONNECTION_RATE);
	CHECK_U64(r->counters.insert_failed, 1);
	rig_close(r);
}

/* Full tables make room for the newest; an idle source loses nothing by it. */
static void test_small_tables(void)
{
	struct config c = rig_config();
	struct rig *r;
	int passed = 0;

	c.source_rate = (struct rate){1, NSEC_PER_SEC};
	c.source_burst = 2;
	r = rig_open_sized(&c, 16);
	for (__u32 i = 0; i < 1000; i++)
		passed += rig_pass_v4(r, HOST + i, 1, NOW + i * MS(100));
	CHECK_U64(passed, 1000);
	rig_close(r);
}

/* --- other CPUs, at the worst moment --------------------------------------------------------- */

/*
 * An insert is the one moment between two charges at which a test gets a word in: what it does
 * there is what another CPU could have done.
 */
static struct rig *raced;
static struct attempt raced_attempt;
static enum { RACE_SOURCE_FULL, RACE_SUBNET_INSERTED, RACE_REFUND_LOST, RACE_INSERTED_ROOM } race;

static void other_cpu(enum table table, const struct prefix *p, __u64 tat_ns)
{
	struct prefix_key key;
	__u64 *word;

	state_prefix_key(&key, &raced_attempt.source, p);
	word = plain_find(&raced->st.table[table], &key);
	if (word)
		*word = tat_ns;
	else
		plain_add(&raced->st.table[table], &key, &tat_ns);
}

static int race_on_insert(enum table table)
{
	const struct prefix *source = &raced->policy.source[FAMILY_V4];
	const struct prefix *subnet = &raced->policy.subnet[FAMILY_V4];

	if (race == RACE_SOURCE_FULL && table == TABLE_SUBNET)
		other_cpu(TABLE_SOURCE, source, NOW + SEC(10));
	if (race == RACE_SUBNET_INSERTED && table == TABLE_SUBNET)
		other_cpu(TABLE_SUBNET, subnet, NOW + SEC(9));
	if (race == RACE_INSERTED_ROOM && table == TABLE_SUBNET)
		other_cpu(TABLE_SUBNET, subnet, NOW + SEC(1));
	if (race == RACE_REFUND_LOST && table == TABLE_SOURCE) {
		other_cpu(TABLE_SUBNET, subnet, NOW + SEC(2)); /* it charged one, too */
		other_cpu(TABLE_SOURCE, source, NOW + SEC(9));
	}
	return 0;
}

/* source-burst and subnet-burst 10 at 1/s. */
static void race_open(int which)
{
	struct config c = rig_config();

	c.source_rate = c.subnet_rate = (struct rate){1, NSEC_PER_SEC};
	c.source_burst = c.subnet_burst = 10;
	c.retry_burst = c.known_burst = 0;
	raced = rig_open(&c);
	raced->st.fail_add = race_on_insert;
	raced_attempt = rig_v4(HOST, 1);
	race = which;
	owe(raced, NOW, MS(100));
}

/* The source is denied after global and subnet were charged: both are given back. */
static void test_refund_of_global_and_subnet(void)
{
	race_open(RACE_SOURCE_FULL);
	CHECK_DECISION(rig_judge(raced, &raced_attempt, NOW), DEFER, SOURCE_RATE);
	CHECK_U64(raced->control.global_tat_ns, NOW + MS(100));
	CHECK_U64(rig_subnet_tat(raced, &raced_attempt), NOW); /* owes nothing */
	CHECK_U64(rig_source_tat(raced, &raced_attempt), NOW + SEC(10));
	CHECK_U64(raced->counters.refund_lost, 0);
	/* It is remembered as any deferred attempt is. */
	CHECK_U64(rig_judge(raced, &raced_attempt, NOW + SEC(1)).again, 1);
	rig_close(raced);
}

/* Another CPU inserted the subnet first and filled it: only global is given back. */
static void test_refund_of_global(void)
{
	race_open(RACE_SUBNET_INSERTED);
	raced->policy.per_subnet.tau1_ns = SEC(8);
	CHECK_DECISION(rig_judge(raced, &raced_attempt, NOW), DEFER, SUBNET_RATE);
	CHECK_U64(raced->control.global_tat_ns, NOW + MS(100));
	CHECK_U64(rig_subnet_tat(raced, &raced_attempt), NOW + SEC(9));
	CHECK_U64(rig_source_tat(raced, &raced_attempt), 0); /* never charged, never inserted */
	rig_close(raced);
}

/* Two CPUs inserting one key: the one that won is charged, and nothing is overwritten. */
static void test_two_cpus_inserting(void)
{
	race_open(RACE_INSERTED_ROOM);
	CHECK_DECISION(rig_judge(raced, &raced_attempt, NOW), PASS, ADMITTED);
	CHECK_U64(rig_subnet_tat(raced, &raced_attempt), NOW + SEC(2));
	CHECK_U64(raced->counters.insert_failed, 0);
	rig_close(raced);
}

/* The subnet was charged by another since: the refund is lost, is counted, and costs one T. */
static void test_lost_refund(void)
{
	race_open(RACE_REFUND_LOST);
	raced->policy.per_source.tau1_ns = SEC(8);
	CHECK_DECISION(rig_judge(raced, &raced_attempt, NOW), DEFER, SOURCE_RATE);
	CHECK_U64(raced->control.global_tat_ns, NOW + MS(100));
	CHECK_U64(rig_subnet_tat(raced, &raced_attempt), NOW + SEC(2));
	CHECK_U64(raced->counters.refund_lost, 1);
	rig_close(raced);
}

/*
 * A CPU that reads the clock a tick after another one has: what that one noted is in its future,
 * and is new, not older than everything.
 */
static void test_a_tick_behind(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);
	__u64 budget;

	CHECK_DECISION(judge_v4(r, HOST, 1, NOW + MS(4)), PASS, ADMITTED);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), DROP, REPLAY);
	CHECK_U64(r->control.global_tat_ns, NOW + MS(4) + MS(100));

	r->policy.tiers = TIER_DELAY;
	CHECK_DECISION(judge_v4(r, HOST, 2, NOW + MS(4)), DEFER, FIRST_TIME);
	budget = r->remember_tat_ns;
	CHECK_DECISION(judge_v4(r, HOST, 2, NOW), DEFER, FIRST_TIME);
	CHECK_U64(r->remember_tat_ns, budget); /* it was remembered already */
	rig_close(r);
}

/* --- debts left over from another policy ------------------------------------------------------ */

/* From 2/s back to 15/s: without the repair everybody is shut out for half a minute. */
static void test_leftover_debt(void)
{
	struct config slow = rig_config(), fast = rig_config();
	struct rig *r;

	slow.connection_rate = (struct rate){2, NSEC_PER_SEC};
	slow.connection_burst = fast.connection_burst = 60;
	fast.connection_rate = (struct rate){15, NSEC_PER_SEC};
	r = rig_open(&slow);
	CHECK_U64(rig_pass_v4(r, HOST, 100, NOW), 60); /* owes 30 s; fast can owe 4.5 */
	rig_switch(r, &fast);
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), PASS, ADMITTED);
	CHECK_U64(r->control.global_tat_ns, NOW + 60 * 66666667ULL); /* tau1 + T */
	CHECK_U64(r->counters.word_repaired, 1);
	CHECK_DECISION(judge_v4(r, HOST, 2, NOW), DEFER, CONNECTION_RATE);
	rig_close(r);
}

static void test_leftover_debt_of_a_source(void)
{
	struct config slow = rig_config(), fast = rig_config();
	struct attempt a = rig_v4(HOST, 1);
	struct rig *r;

	slow.source_rate = (struct rate){1, 3600 * NSEC_PER_SEC};
	slow.source_burst = 3;
	fast.source_rate = (struct rate){1, NSEC_PER_SEC};
	fast.source_burst = 3;
	r = rig_open(&slow);
	CHECK_U64(rig_pass_v4(r, HOST, 9, NOW), 3);
	rig_switch(r, &fast);
	CHECK_DECISION(rig_judge(r, &a, NOW + SEC(1)), PASS, ADMITTED);
	CHECK_U64(rig_source_tat(r, &a), NOW + SEC(1) + SEC(3));
	CHECK_U64(r->counters.word_repaired, 1);
	rig_close(r);
}

/* Also under pressure, when a newcomer may owe less than tau1 on its own word. */
static void test_leftover_debt_under_pressure(void)
{
	struct config c = rig_config();
	struct attempt a = rig_v4(HOST, 1);
	__u64 old = NOW + SEC(7200);
	struct prefix_key key;
	struct rig *r;

	c.source_rate = (struct rate){1, NSEC_PER_SEC};
	c.source_burst = 20;
	r = rig_open(&c);
	state_prefix_key(&key, &a.source, &r->policy.source[FAMILY_V4]);
	plain_add(&r->st.table[TABLE_SOURCE], &key, &old);
	owe(r, NOW, MS(300));
	CHECK_DECISION(rig_judge(r, &a, NOW), PASS, ADMITTED);
	CHECK_U64(rig_source_tat(r, &a), NOW + SEC(2)); /* one ahead, and this one */
	CHECK_U64(r->counters.word_repaired, 1);
	rig_close(r);
}

/* Trusted traffic repairs the global word like any other, and is counted like any other. */
static void test_leftover_debt_met_by_trusted(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);

	list_v4(r, HOST, 32, CLASS_TRUSTED);
	owe(r, NOW, SEC(25));
	CHECK_DECISION(judge_v4(r, HOST, 1, NOW), PASS, TRUSTED);
	CHECK_U64(r->control.global_tat_ns, NOW + MS(500));
	CHECK_U64(r->counters.word_repaired, 1);
	rig_close(r);
}

/* A key carries its length: a changed prefix never reads a word charged under another. */
static void test_a_changed_prefix_starts_afresh(void)
{
	struct config c = rig_config();
	struct rig *r;

	c.source_rate = (struct rate){1, 3600 * NSEC_PER_SEC};
	r = rig_open(&c);
	CHECK_U64(rig_pass_v4(r, 0x0a000000, 3, NOW), 1);
	c.source_prefix_v4 = 24; /* 10.0.0.0/24 and 10.0.0.0/32 have the same address */
	rig_switch(r, &c);
	CHECK_U64(rig_pass_v4(r, 0x0a000000, 3, NOW), 1);
	CHECK_U64(rig_pass_v4(r, 0x0a0000ff, 3, NOW), 0);
	rig_close(r);
}

#define TEST(name, function)   \
	{                      \
		name, function \
	}

/* Two CPUs at a tick's edge: the one behind must not take the full word for a leftover. */
static void test_full_a_tick_behind(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open(&c);

	list_v4(r, HOST, 32, CLASS_KNOWN);
	for (__u32 i = 0; i < 12; i++) /* the global word owes debt_max as of the new tick */
		CHECK_DECISION(judge_v4(r, HOST, i, NOW + MS(4)), PASS, ADMITTED);
	CHECK_U64(r->control.global_tat_ns, NOW + MS(1204));
	CHECK_DECISION(judge_v4(r, HOST + 1, 1, NOW), DEFER, CONNECTION_RATE);
	CHECK_U64(r->control.global_tat_ns, NOW + MS(1204));
	CHECK_U64(r->counters.word_repaired, 0);
	rig_close(r);
}

void suite_gate(void)
{
	static CU_TestInfo tests[] = {
		TEST("admitted: all three words are charged", test_admitted_is_charged),
		TEST("denied: none is", test_denied_is_not_charged),
		TEST("connection-rate", test_connection_rate),
		TEST("source-rate and subnet-rate", test_source_and_subnet_rate),
		TEST("IPv6: /64 and /48", test_v6_prefixes),
		TEST("blocked", test_blocked),
		TEST("load: the refuse tier", test_refuse_tier),
		TEST("refusals have a budget", test_refuse_budget),
		TEST("trusted within its rate", test_trusted_within_its_rate),
		TEST("trusted beyond its rate is unknown", test_trusted_beyond_its_rate),
		TEST("trusted charges the global word", test_trusted_charges_the_global_word),
		TEST("a retransmit is free", test_retransmit_is_free),
		TEST("replay: once in half a second", test_replay_gap),
		TEST("replay: ten times in 63 s", test_replay_count),
		TEST("every retransmit of Linux passes", test_every_retransmit_of_linux),
		TEST("first-time", test_first_time),
		TEST("remembered from 0.5 to 64 s", test_remembered_for_64_seconds),
		TEST("first-time is skipped without budget",
		     test_first_time_is_skipped_without_budget),
		TEST("first-time is skipped without room", test_first_time_is_skipped_without_room),
		TEST("the remembering budget", test_remembering_budget),
		TEST("a SYN not remembered counts once", test_remember_over_counts_syns),
		TEST("seniority is kept", test_seniority_is_kept),
		TEST("tolerances of the shared words", test_tolerance_of_shared_words),
		TEST("tolerances of the source", test_tolerance_of_the_source),
		TEST("fairness under pressure", test_pressure),
		TEST("pressure begins past half of the burst", test_pressure_begins_past_half),
		TEST("pressure never raises a limit", test_pressure_never_raises),
		TEST("seniority needs half a second", test_seniority_needs_half_a_second),
		TEST("the order of the gates", test_order),
		TEST("the verdict of each reason", test_reason_table),
		TEST("the lease", test_lease),
		TEST("overrides of the tiers", test_tier_override),
		TEST("overrides of the mode", test_mode_override),
		TEST("the mode does not matter to the gate", test_mode_does_not_matter_to_the_gate),
		TEST("the queue tier's rate", test_queue_tier),
		TEST("failed inserts", test_failed_inserts),
		TEST("failed remembering", test_failed_remembering),
		TEST("small tables forget the idle", test_small_tables),
		TEST("refund of global and subnet", test_refund_of_global_and_subnet),
		TEST("refund of global", test_refund_of_global),
		TEST("two CPUs inserting one key", test_two_cpus_inserting),
		TEST("a lost refund", test_lost_refund),
		TEST("a CPU that is a tick behind", test_a_tick_behind),
		TEST("a debt left over", test_leftover_debt),
		TEST("a debt left over on a source", test_leftover_debt_of_a_source),
		TEST("a debt left over, under pressure", test_leftover_debt_under_pressure),
		TEST("a debt left over, met by trusted", test_leftover_debt_met_by_trusted),
		TEST("a changed prefix starts afresh", test_a_changed_prefix_starts_afresh),
		TEST("a full word, seen from a tick behind", test_full_a_tick_behind),
		CU_TEST_INFO_NULL,
	};

	unit_suite("gate", tests);
}
