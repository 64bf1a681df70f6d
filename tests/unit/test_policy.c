// SPDX-License-Identifier: GPL-2.0-or-later
/* config -> policy: every number that the gate compares with. */
#include <arpa/inet.h>
#include <errno.h>

#include "rig.h"

static struct policy policy; /* too large for the stack's taste */

static void test_interval_is_the_nearest_nanosecond(void)
{
	static const struct {
		struct rate rate;
		__u64 t_ns;
	} rows[] = {
		{{15, NSEC_PER_SEC}, 66666667}, /* 66,666,666.67 */
		{{3, NSEC_PER_SEC}, 333333333}, /* 333,333,333.33 */
		{{300, 60 * NSEC_PER_SEC}, 200000000},
		{{6, 10 * NSEC_PER_SEC}, 1666666667},
		{{60, 60 * NSEC_PER_SEC}, 1000000000},
		{{2, 3}, 2}, /* 1.5: a half goes up */
		{{1, 86400 * NSEC_PER_SEC}, 86400 * NSEC_PER_SEC},
		{{0, NSEC_PER_SEC}, 0}, /* off */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK_U64(policy_interval_ns(&rows[i].rate), rows[i].t_ns);
}

static void test_shared_tolerances_are_cumulative(void)
{
	struct config c = rig_config();

	c.connection_rate = (struct rate){15, NSEC_PER_SEC};
	c.connection_burst = 60;
	c.retry_burst = 100;
	c.known_burst = 200;
	c.queue_rate = (struct rate){7, NSEC_PER_SEC};
	c.subnet_rate = (struct rate){300, 60 * NSEC_PER_SEC};
	c.subnet_burst = 20;
	CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &policy), 0);

	CHECK_U64(policy.global.t_ns, 66666667);
	CHECK_U64(policy.global.tau1_ns, 59 * 66666667ULL);
	CHECK_U64(policy.global.tau2_ns, 159 * 66666667ULL);
	CHECK_U64(policy.global.tau3_ns, 359 * 66666667ULL);
	CHECK_U64(policy.global.debt_max_ns, 360 * 66666667ULL);
	CHECK_U64(policy.global_queue.t_ns, 142857143);
	CHECK_U64(policy.global_queue.tau1_ns, 59 * 142857143ULL);
	CHECK_U64(policy.global_queue.debt_max_ns, 360 * 142857143ULL);
	CHECK_U64(policy.per_subnet.t_ns, 200000000);
	CHECK_U64(policy.per_subnet.tau1_ns, 19 * 200000000ULL);
	CHECK_U64(policy.per_subnet.tau2_ns, 119 * 200000000ULL);
	CHECK_U64(policy.per_subnet.tau3_ns, 319 * 200000000ULL);
	CHECK_U64(policy.per_subnet.debt_max_ns, 320 * 200000000ULL);
}

/* tau2 = tau1 + pace-horizon + retry-burst T: who has waited goes before who is held. */
static void test_the_horizon_is_below_seniority(void)
{
	struct config c = rig_config();

	c.pace_horizon_ns = MS(700);
	CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &policy), 0);
	CHECK_U64(policy.global.tau1_ns, MS(400));
	CHECK_U64(policy.global.tau2_ns, MS(400 + 700 + 400));
	CHECK_U64(policy.global.tau3_ns, MS(1500 + 300));
}

static void test_a_source_owes_what_its_class_can(void)
{
	struct config c = rig_config();

	c.source_rate = (struct rate){60, 60 * NSEC_PER_SEC};
	c.source_burst = 20;
	CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &policy), 0);
	CHECK_U64(policy.per_source.t_ns, SEC(1));
	CHECK_U64(policy.per_source.tau1_ns, SEC(19));
	CHECK_U64(policy.per_source.tau2_ns, SEC(19));
	CHECK_U64(policy.per_source.tau3_ns, SEC(38));
	CHECK_U64(policy.per_source.debt_max_ns, SEC(39)); /* a known one's last connection */

	c.source_burst = 3;
	CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &policy), 0);
	CHECK_U64(policy.per_source.debt_max_ns, SEC(12)); /* a throttled one's: 2 T + 10 T */
}

static void test_plain_buckets(void)
{
	struct config c = rig_config();

	c.trusted_rate = (struct rate){100, NSEC_PER_SEC};
	c.trusted_burst = 200;
	c.refuse_rate = (struct rate){60, 60 * NSEC_PER_SEC};
	c.defer_budget_per_s = 4000;
	CU_ASSERT_EQUAL_FATAL(policy_make(&c, 4, &policy), 0);
	CHECK_U64(policy.trusted.t_ns, MS(10));
	CHECK_U64(policy.trusted.tau1_ns, MS(1990));
	CHECK_U64(policy.refuse.t_ns, SEC(1));
	CHECK_U64(policy.refuse.tau1_ns, 0); /* one second's worth is one */
	CHECK_U64(policy.remember.t_ns, MS(1));
	CHECK_U64(policy.remember.tau1_ns, MS(999)); /* a quarter of the budget a second, at once */

	CU_ASSERT_EQUAL_FATAL(policy_make(&c, 8000, &policy), 0);
	CHECK_U64(policy.remember.t_ns, SEC(1)); /* a CPU's share is never less than one */
	CHECK_U64(policy.remember.tau1_ns, 0);
}

static void test_off_is_off(void)
{
	struct config c = rig_config();

	CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &policy), 0);
	CHECK_U64(policy.per_source.t_ns, 0);
	CHECK_U64(policy.per_subnet.t_ns, 0);
	CHECK_U64(policy_source_need(&c), 0);
	CHECK_U64(policy_subnet_need(&c), 0);
}

/* A day's T and a burst with which the debt is just below, then just above the bound. */
static void test_overflow_is_refused(void)
{
	const __u64 day = 86400 * NSEC_PER_SEC;
	const __u32 most = POLICY_DEBT_MAX_NS / day; /* debt_max = most T is the last that fits */
	struct config c = rig_config();

	c.connection_rate = c.queue_rate = (struct rate){1, day};
	c.retry_burst = c.known_burst = 0;
	c.connection_burst = most;
	CHECK(policy_make(&c, 1, &policy) == 0, "a debt of %u days was refused", most);
	CHECK(policy.global.debt_max_ns <= POLICY_DEBT_MAX_NS, "the debt exceeds its bound");
	c.connection_burst = most + 1;
	CU_ASSERT_EQUAL(policy_make(&c, 1, &policy), -ERANGE);
	c.connection_burst = most - 10;
	c.retry_burst = 11;
	CU_ASSERT_EQUAL(policy_make(&c, 1, &policy), -ERANGE);
	c.retry_burst = 0xffffffff; /* times a day: beyond 64 bits */
	CU_ASSERT_EQUAL(policy_make(&c, 1, &policy), -ERANGE);
	c.retry_burst = 0;
	c.known_burst = 0xffffffff;
	CU_ASSERT_EQUAL(policy_make(&c, 1, &policy), -ERANGE);
}

/* Each word by itself makes the whole policy impossible. */
static void test_overflow_of_each_word(void)
{
	const struct rate huge = {1, POLICY_DEBT_MAX_NS / 2};
	const struct config plain = rig_config();
	struct config c[7];

	for (int i = 0; i < 7; i++)
		c[i] = plain;
	c[0].connection_rate = c[1].queue_rate = c[2].subnet_rate = huge;
	c[2].subnet_burst = c[3].source_burst = 3;
	c[3].source_rate = c[4].trusted_rate = huge;
	c[5].source_rate = (struct rate){1, POLICY_DEBT_MAX_NS / 9}; /* a throttled one's 10 T */
	c[6].refuse_rate = (struct rate){1, POLICY_DEBT_MAX_NS + 2};
	for (int i = 0; i < 7; i++)
		CHECK(policy_make(&c[i], 1, &policy) == -ERANGE, "row %d was accepted", i);
}

static bool mask_is(const struct prefix *p, __u32 bits)
{
	for (__u32 i = 0; i < 128; i++)
		if ((p->mask.byte[i / 8] >> (7 - i % 8) & 1) != (i < bits))
			return false;
	return p->bits == bits;
}

static void test_prefix_masks(void)
{
	struct config c = rig_config();

	for (__u32 bits = 0; bits <= 128; bits++) {
		c.source_prefix_v4 = bits < 32 ? bits : 32;
		c.source_prefix_v6 = bits;
		c.subnet_prefix_v4 = 32 - c.source_prefix_v4;
		c.subnet_prefix_v6 = 128 - bits;
		CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &policy), 0);
		CHECK(mask_is(&policy.source[FAMILY_V4], 96 + c.source_prefix_v4), "%u", bits);
		CHECK(mask_is(&policy.source[FAMILY_V6], c.source_prefix_v6), "%u", bits);
		CHECK(mask_is(&policy.subnet[FAMILY_V4], 96 + c.subnet_prefix_v4), "%u", bits);
		CHECK(mask_is(&policy.subnet[FAMILY_V6], c.subnet_prefix_v6), "%u", bits);
	}
}

static void test_port_bits(void)
{
	static const __u16 ports[] = {25, 465, 587, 1, 65535, 256};
	struct config c = rig_config();
	int set = 0;

	c.ports = 6;
	for (int i = 0; i < 6; i++)
		c.port_host[i] = ports[i];
	CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &policy), 0);
	for (int port = 0; port < 65536; port++)
		set += policy.port_bits[port / 8] >> port % 8 & 1;
	CHECK_U64(set, 6);
	for (int i = 0; i < 6; i++)
		CHECK(policy.port_bits[ports[i] / 8] >> ports[i] % 8 & 1, "port %u", ports[i]);
}

static void test_addresses_and_mode(void)
{
	struct config c = rig_config();

	c.mode = MODE_MONITOR;
	c.addresses = 2;
	c.address[0] = rig_addr_v4(0xc0000201);
	c.address[1] = rig_addr_v6(0x20010db800000000ULL, 25);
	CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &policy), 0);
	CHECK_U64(policy.mode, MODE_MONITOR);
	CHECK_U64(policy.addresses, 2);
	CU_ASSERT_EQUAL(memcmp(&policy.address, &c.address, sizeof(policy.address)), 0);
	CHECK_U64(policy.tiers, 0); /* the controller's, not the config's */
	CHECK_U64(policy.mode_override.until_ns, 0);
	CHECK_U64(policy.tier_override.until_ns, 0);
}

/* What is admitted while the slowest bucket refills must have room, or it is forgotten. */
static void test_table_needs(void)
{
	struct config c = rig_config(); /* 10/s, bursts 5 + 4 + 3 */

	c.source_rate = (struct rate){60, 60 * NSEC_PER_SEC};
	c.source_burst = 20; /* debt_max 39 s */
	c.subnet_rate = (struct rate){300, 60 * NSEC_PER_SEC};
	c.subnet_burst = 100; /* debt_max (100 + 4 + 3) x 0.2 s = 21.4 s */
	CHECK_U64(policy_source_need(&c), 390 + 12);
	CHECK_U64(policy_subnet_need(&c), 214 + 12);
}

static struct session_limits limits_of(__u32 most, __u32 share)
{
	struct config c = rig_config();

	c.max_sessions = most;
	c.known_share_percent = share;
	CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &policy), 0);
	return policy.sessions;
}

/* What is left for unknown senders is never nothing, and never more than there is. */
static void test_slots_and_shares(void)
{
	CHECK_U64(limits_of(100, 20).most, 100);
	CHECK_U64(limits_of(100, 20).most_unknown, 80);
	CHECK_U64(limits_of(100, 20).pending_most, 25);
	CHECK_U64(limits_of(65536, 90).most_unknown, 65536 - 58982);
	CHECK_U64(limits_of(4, 20).most_unknown, 4); /* a share of less than one is none */
	CHECK_U64(limits_of(5, 20).most_unknown, 4);
	CHECK_U64(limits_of(0, 20).most, 0);
	for (__u32 most = 1; most <= 65536; most += 1 + most / 5)
		for (__u32 share = 0; share <= 90; share++) {
			struct session_limits s = limits_of(most, share);

			CHECK(s.most_unknown >= 1 && s.most_unknown <= most, "%u of %u at %u %%",
			      s.most_unknown, most, share);
		}
}

/* The cost of a ns of slot time, with 16 bits behind the point; the burst is two minutes' worth. */
static void test_slot_time(void)
{
	static const struct {
		__u64 minute_ns;
		__u32 cost;
	} rows[] = {
		{SEC(60), 65536}, {SEC(12), 5 * 65536}, {SEC(1), 60 * 65536}, {SEC(120), 32768},
		{SEC(90), 43690}, {SEC(3600), 1092},	{MS(1500), 2621440}, /* 40 */
	};
	struct config c = rig_config();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		c.source_session_time_ns = rows[i].minute_ns;
		CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &policy), 0);
		CHECK_U64(policy.sessions.slot_cost, rows[i].cost);
		CHECK_U64(policy.sessions.slot_tau_ns, SEC(120));
	}
	c.source_session_time_ns = 0;
	c.max_sessions_per_source = 7;
	c.known_bytes = 4096;
	CU_ASSERT_EQUAL_FATAL(policy_make(&c, 1, &policy), 0);
	CHECK_U64(policy.sessions.slot_cost, 0);
	CHECK_U64(policy.sessions.per_source, 7);
	CHECK_U64(policy.sessions.learn_bytes, 4096);
}

static void test_table_sizes(void)
{
	struct config c = rig_config();
	struct policy_tables t;

	policy_tables(&c, &t);
	CHECK_U64(t.sources, 65536);
	CHECK_U64(t.subnets, 65536);
	CHECK_U64(t.admitted, POLICY_TABLE_MIN); /* 642 would do */
	CHECK(t.deferred >= 64 * 4000 && t.deferred <= 262144 + 64, "%u deferred", t.deferred);
	c.connection_rate.count = 100;
	policy_tables(&c, &t);
	CHECK_U64(t.admitted, 6300 + 12);
	c.connection_rate.count = 1000000;
	policy_tables(&c, &t);
	CHECK_U64(t.admitted, POLICY_ADMITTED_MAX);
}

void suite_policy(void)
{
	static CU_TestInfo tests[] = {
		{"the interval is the nearest nanosecond", test_interval_is_the_nearest_nanosecond},
		{"tolerances of shared words are cumulative",
		 test_shared_tolerances_are_cumulative},
		{"the horizon lies below seniority", test_the_horizon_is_below_seniority},
		{"a source owes what its class can", test_a_source_owes_what_its_class_can},
		{"trusted, refuse, remember", test_plain_buckets},
		{"a rate that is off has no bucket", test_off_is_off},
		{"overflow is -ERANGE, to the unit", test_overflow_is_refused},
		{"overflow of each word", test_overflow_of_each_word},
		{"prefix masks of every length", test_prefix_masks},
		{"port bits", test_port_bits},
		{"addresses, mode, and what is not the config's", test_addresses_and_mode},
		{"what the tables need", test_table_needs},
		{"what the tables get", test_table_sizes},
		{"slots and the share of known senders", test_slots_and_shares},
		{"slot time", test_slot_time},
		CU_TEST_INFO_NULL,
	};

	unit_suite("policy", tests);
}
