// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rooms of sluice replay: its table and its class look-up against the plain ones of tables.h,
 * clients that come back to the millisecond, copies in a trace, HOLD, and counts that add up.
 */
#include <string.h>

#include "rig.h"
#include "replay_sim.h"
#include "replay_storm.h"
#include "replay_table.h"

#define TICK_NS MS(4)

/* --- the table --------------------------------------------------------------------------------- */

#define SMALL 61 /* entries: they are evicted all the time */

static void check_value(const void *a, const void *b, size_t bytes, int step)
{
	CHECK(!a == !b, "step %d: one table has the key, the other has not", step);
	if (a && b)
		CHECK(!memcmp(a, b, bytes), "step %d: the values differ", step);
}

/* The same keys in both, in the same order: at any time both have the same and no others. */
static void beside_plain(uint32_t words)
{
	struct replay_table fast;
	struct plain_table plain;
	__u64 random = words, key[3], value[2];

	if (replay_table_open(&fast, SMALL, words, sizeof(value)) ||
	    plain_open(&plain, SMALL, words * 8, sizeof(value)))
		CU_FAIL_FATAL("no memory");
	for (int step = 0; step < 50000; step++) {
		for (uint32_t i = 0; i < 3; i++)
			key[i] = rig_below(&random, words == 1 ? 150 : 6);
		value[0] = rig_random(&random);
		value[1] = (__u64)step;
		check_value(replay_table_find(&fast, key, words), plain_find(&plain, key),
			    sizeof(value), step);
		if (rig_below(&random, 2)) {
			int added = replay_table_add(&fast, key, words, value);

			CHECK(added == plain_add(&plain, key, value), "step %d: added %d", step,
			      added);
		}
	}
	CHECK_U64(fast.count, SMALL);
	replay_table_close(&fast);
	plain_close(&plain);
}

static void test_table_short_keys(void)
{
	beside_plain(1);
}

static void test_table_long_keys(void)
{
	beside_plain(3);
}

static void test_table_not_opened(void)
{
	struct replay_table none = {0};
	__u64 key[3] = {1, 2, 3};

	CHECK(!replay_table_find(&none, key, 3), "something is in a table that holds nothing");
	CHECK(replay_table_add(&none, key, 3, key), "something was put into it");
}

/* --- a gate and its clients -------------------------------------------------------------------- */

struct heard {
	__u64 at_ns[256];
	struct replay_decision said[256];
	int count;
};

static void listen_to(void *ctx, uint64_t now_ns, const struct attempt *a, struct replay_decision d)
{
	struct heard *h = ctx;

	(void)a;
	if (h->count == 256)
		return;
	h->at_ns[h->count] = now_ns - REPLAY_START_NS;
	h->said[h->count++] = d;
}

struct stage {
	struct policy policy;
	struct replay_gate *gate;
	struct sim *sim;
	struct heard heard;
};

static void stage_open(struct stage *s, const struct config *c, uint32_t tiers, const char *client,
		       const struct class_list *list)
{
	const struct policy_tables sizes = {4096, 4096, 4096, 4096};
	struct sim_setup setup = {.client = client_find(client),
				  .tick_ns = TICK_NS,
				  .copies = true,
				  .observe = listen_to,
				  .ctx = &s->heard};

	memset(s, 0, sizeof(*s));
	if (policy_make(c, 1, &s->policy))
		CU_FAIL_FATAL("the config makes no policy");
	s->policy.hold_ns = c->pace_horizon_ns;
	if (replay_gate_open(&s->policy, &sizes, tiers, list, &s->gate))
		CU_FAIL_FATAL("no memory");
	setup.gate = s->gate;
	if (sim_open(&setup, &s->sim))
		CU_FAIL_FATAL("no memory");
}

static void stage_close(struct stage *s)
{
	sim_close(s->sim);
	replay_gate_close(s->gate);
}

static void stage_syn(struct stage *s, __u64 at_ns, const struct attempt *a)
{
	CU_ASSERT_EQUAL(sim_syn(s->sim, at_ns, a), 0);
}

static const struct tally *stage_end(struct stage *s)
{
	int more;

	while ((more = sim_drain(s->sim, 7)) > 0)
		;
	CU_ASSERT_EQUAL(more, 0);
	return sim_tally(s->sim);
}

/* A bucket that lets two in, and then one an hour: whoever waits gives up. */
static struct config shut(void)
{
	struct config c = rig_config();

	c.connection_rate = (struct rate){1, 3600 * NSEC_PER_SEC};
	c.connection_burst = 2;
	c.retry_burst = c.known_burst = 0;
	return c;
}

/* Two pass, the third knocks as its system does and is lost at the end. */
static void check_client(const char *name, const __u32 *at_s, int syns, __u64 gives_up_s)
{
	struct config c = shut();
	const struct tally *t;
	struct stage s;

	stage_open(&s, &c, 0, name, NULL);
	for (__u32 i = 0; i < 3; i++) {
		struct attempt a = rig_v4(0x0a000001 + i * 256, i);

		stage_syn(&s, 0, &a);
	}
	t = stage_end(&s);
	CHECK_U64(t->attempts, 3);
	CHECK_U64(t->fate[FATE_ADMITTED], 2);
	CHECK_U64(t->fate[FATE_LOST], 1);
	CHECK_U64(t->fate_reason[FATE_LOST][REASON_CONNECTION_RATE], 1);
	CHECK_U64(t->end_ns, SEC(gives_up_s));
	CHECK_U64((__u64)s.heard.count, (__u64)syns + 2);
	for (int i = 0; i < syns && i + 2 < s.heard.count; i++)
		CHECK_U64(s.heard.at_ns[2 + i], SEC((__u64)at_s[i]));
	stage_close(&s);
}

static void test_clients(void)
{
	static const __u32 young[] = {0, 1, 2, 3, 4, 5, 7, 11, 19, 35},
			   old[] = {0, 1, 3, 7, 15, 31};
	static const __u32 windows[] = {0, 3, 9}, spoofed[] = {0};

	check_client("linux", young, 10, 67);
	check_client("linux-old", old, 6, 63);
	check_client("windows", windows, 3, 21);
	check_client("spoofed", spoofed, 1, 0);
	CHECK(!client_find("amiga"), "there is a client of any name");
}

/* Who comes back within the second in which there is room again waits for exactly as long. */
static void test_waits(void)
{
	struct config c = rig_config(); /* 10/s, burst 5, retry 4 */
	const struct tally *t;
	struct stage s;

	c.retry_burst = c.known_burst = 0;
	stage_open(&s, &c, 0, "linux", NULL);
	for (__u32 i = 0; i < 20; i++) {
		struct attempt a = rig_v4(0x0a000001 + i * 256, i);

		stage_syn(&s, 0, &a);
	}
	t = stage_end(&s);
	/* 5 at once; after a second the bucket is empty: 5 each at 1, 2 and 3 s. */
	CHECK_U64(t->at_once, 5);
	CHECK_U64(t->fate[FATE_ADMITTED], 20);
	for (__u32 ms = 0; ms <= 3000; ms += 1000)
		CHECK_U64(t->wait_ms[ms], 5);
	CHECK_U64(tally_waited(t, 0.5), 1000);
	CHECK_U64(tally_waited(t, 0.51), 2000);
	CHECK_U64(tally_waited(t, 1), 3000);
	stage_close(&s);
}

static void test_refused(void)
{
	struct config c = rig_config();
	struct attempt a = rig_v4(0x0a000001, 1);
	const struct tally *t;
	struct stage s;

	stage_open(&s, &c, TIER_REFUSE, "linux", NULL);
	stage_syn(&s, 0, &a);
	t = stage_end(&s);
	CHECK_U64(t->fate[FATE_REFUSED], 1);
	CHECK_U64(t->fate_reason[FATE_REFUSED][REASON_LOAD], 1);
	CHECK_U64((__u64)s.heard.count, 1); /* it goes to the next MX, and does not come back */
	stage_close(&s);
}

/* --- copies ------------------------------------------------------------------------------------ */

/* Of an admitted attempt: judged as they are. Of one that waits: the model's SYNs stand for them. */
static void test_copies(void)
{
	struct config c = shut();
	struct attempt in = rig_v4(0x0a000001, 1), out = rig_v4(0x0a000101, 2);
	struct attempt third = rig_v4(0x0a000201, 3);
	const struct tally *t;
	struct stage s;

	stage_open(&s, &c, 0, "windows", NULL);
	stage_syn(&s, 0, &in);
	stage_syn(&s, 0, &third);
	stage_syn(&s, 0, &out);
	stage_syn(&s, MS(100), &in);   /* too soon for a retransmit */
	stage_syn(&s, SEC(1ULL), &in); /* a retransmit */
	stage_syn(&s, SEC(1ULL), &out);
	stage_syn(&s, SEC(2ULL), &out);
	t = stage_end(&s);
	CHECK_U64(t->attempts, 3);
	CHECK_U64(t->copies, 2);
	CHECK_U64(t->replaced, 2);
	CHECK_U64(t->syns[VERDICT_DROP][REASON_REPLAY], 1);
	CHECK_U64(t->syns[VERDICT_PASS][REASON_RETRANSMIT], 1);
	CHECK_U64(t->syns[VERDICT_DEFER][REASON_CONNECTION_RATE], 3); /* at 0, 3 and 9 s */
	stage_close(&s);
}

/* So late that nobody remembers, the same addresses and number are another attempt. */
static void test_copy_too_late(void)
{
	struct config c = rig_config();
	struct attempt a = rig_v4(0x0a000001, 1);
	struct stage s;

	stage_open(&s, &c, 0, "linux", NULL);
	stage_syn(&s, 0, &a);
	stage_syn(&s, SEC(64ULL), &a);
	stage_syn(&s, SEC(65ULL), &a);
	CHECK_U64(stage_end(&s)->attempts, 2);
	stage_close(&s);
}

/* --- HOLD -------------------------------------------------------------------------------------- */

/*
 * Beyond the burst of 5 each waits its turn, 100 ms apart, and no longer than pace-horizon. The
 * SYNs that held clients send meanwhile are swallowed.
 */
static void test_hold(void)
{
	struct config c = rig_config();
	const struct tally *t;
	struct stage s;

	c.pace_horizon_ns = SEC(2ULL);
	c.retry_burst = c.known_burst = 0;
	stage_open(&s, &c, 0, "linux", NULL);
	for (__u32 i = 0; i < 25; i++) {
		struct attempt a = rig_v4(0x0a000001 + i * 256, i);

		stage_syn(&s, 0, &a);
	}
	t = stage_end(&s);
	CHECK_U64(t->fate[FATE_ADMITTED], 25);
	CHECK_U64(t->at_once, 5);
	CHECK_U64(t->held, 20);
	CHECK_U64(t->syns[VERDICT_HOLD][REASON_CONNECTION_RATE], 20);
	/* At 1 s ten of the twenty have had their turn, that of the tenth is now. */
	CHECK_U64(t->syns[VERDICT_DROP][REASON_WAITING], 10);
	CHECK(tally_waited(t, 1) >= 1999 && tally_waited(t, 1) <= 2000, "the last waited %u ms",
	      tally_waited(t, 1));
	CHECK_U64(t->syns[VERDICT_DEFER][REASON_CONNECTION_RATE], 0);
	stage_close(&s);
}

/* --- classes ----------------------------------------------------------------------------------- */

#define LISTED 400

static int by_entry(const void *a_, const void *b_)
{
	const struct class_entry *a = a_, *b = b_;
	int d = a->family - b->family;

	d = d ? d : memcmp(&a->addr, &b->addr, sizeof(a->addr));
	return d ? d : a->bits - b->bits;
}

/* Random prefixes that nest, in a space so small that most addresses lie in several. */
static size_t draw_prefixes(__u64 *random, struct class_entry *entry)
{
	size_t count = 0;

	for (int i = 0; i < LISTED; i++) {
		struct class_entry e = {.family = rig_below(random, 2),
					.class = 1 + rig_below(random, CLASSES - 1)};
		unsigned int skip = e.family == FAMILY_V4 ? 96 : 0;
		bool known = false;

		e.bits = e.family == FAMILY_V4 ? 20 + rig_below(random, 13)
					       : 40 + rig_below(random, 89);
		e.addr = e.family == FAMILY_V4
				 ? rig_addr_v4(0x0a000000 + rig_below(random, 1 << 12))
				 : rig_addr_v6(0x20010db800000000ULL + rig_below(random, 16),
					       rig_below(random, 1 << 12));
		for (unsigned int bit = skip + e.bits; bit < 128; bit++)
			e.addr.byte[bit / 8] &= ~(0x80 >> bit % 8);
		for (size_t n = 0; n < count; n++)
			known |= !by_entry(&entry[n], &e);
		if (!known)
			entry[count++] = e;
	}
	qsort(entry, count, sizeof(*entry), by_entry);
	return count;
}

/* The class by looking at every prefix. */
static enum class class_by_looking(const struct class_list *list, const struct attempt *a) {
	int longest = -1; enum class class = CLASS_UNKNOWN;

	for (size_t i = 0; i < list->count;
	     i++){const struct class_entry *e = &list->entry[i];
		  unsigned int bits = e->family == FAMILY_V4 ? 96U + e->bits : e->bits, bit = 0;

		  if (e->family != a->family) continue;
		  while (bit < bits && !((e->addr.byte[bit / 8] ^ a->source.byte[bit / 8]) &
					 0x80 >> bit % 8)) bit++;
		  if (bit == bits && e->bits > longest){longest = e->bits; class = e->class;}
}
return class;
}

static void test_classes(void)
{
	static struct class_entry entry[LISTED];
	struct config c = rig_config();
	__u64 random = 5;

	for (int round = 0; round < 20; round++) {
		struct class_list list = {entry, draw_prefixes(&random, entry)};
		struct stage s;

		stage_open(&s, &c, 0, "linux", &list);
		for (__u32 i = 0; i < 500; i++) {
			struct attempt a =
				rig_below(&random, 2)
					? rig_v4(0x0a000000 + rig_below(&random, 1 << 13), i)
					: rig_v6(0x20010db800000000ULL + rig_below(&random, 20),
						 rig_below(&random, 1 << 13), i);
			struct replay_decision d =
				replay_gate_judge(s.gate, &a, replay_gate_fingerprint(s.gate, &a),
						  REPLAY_START_NS + SEC((__u64)i));

			CHECK(d.class == class_by_looking(&list, &a),
			      "round %d, address %u: class %u instead of %u", round, i, d.class,
			      class_by_looking(&list, &a));
		}
		stage_close(&s);
	}
}

/* --- the tally --------------------------------------------------------------------------------- */

/* A time line that is outgrown again and again loses nothing. */
static void test_time_line(void)
{
	struct tally *t;
	uint32_t each, columns;
	__u64 attempts = 0;

	if (tally_open(&t))
		CU_FAIL_FATAL("no memory");
	for (__u64 i = 0; i < 10000; i++)
		tally_attempt(t, i * SEC(3600ULL));
	columns = tally_columns(t, 80, &each);
	CHECK(columns <= 80, "%u columns", columns);
	CHECK(columns * (double)each * t->bin_ns >= (double)t->end_ns, "the last does not fit");
	for (uint32_t i = 0; i < columns; i++)
		attempts += tally_column(t, each, i).attempts;
	CHECK_U64(attempts, 10000);
	CHECK_U64(t->busiest_second, 1);
	tally_close(t);
}

static void lose(struct tally *t, __u32 host, enum fate fate)
{
	struct tally_end end = {.fate = fate, .reason = REASON_SOURCE_RATE};

	end.source = (struct prefix_key){rig_addr_v4(host), 128};
	end.subnet = (struct prefix_key){rig_addr_v4(host & ~0xffU), 120};
	CU_ASSERT_EQUAL(tally_fate(t, &end), 0);
}

static void test_worst(void)
{
	const struct tally_place *worst[3];
	struct tally *t;

	if (tally_open(&t))
		CU_FAIL_FATAL("no memory");
	for (__u32 host = 0; host < 5000; host++) /* the table grows meanwhile */
		lose(t, 0x0a000000 + host, FATE_ADMITTED);
	for (__u32 n = 0; n < 7; n++)
		lose(t, 0x0a000301, n % 2 ? FATE_LOST : FATE_REFUSED);
	for (__u32 n = 0; n < 9; n++)
		lose(t, 0x0a000502, FATE_LOST);
	lose(t, 0x0a000003, FATE_LOST);
	lose(t, 0x0a000004, FATE_LOST);
	CHECK_U64(tally_worst(&t->sources, worst, 3), 3);
	CHECK_U64(worst[0]->fate[FATE_LOST], 9);
	CHECK_U64(worst[0]->fate[FATE_ADMITTED], 1);
	CHECK_U64(worst[1]->fate[FATE_LOST] + worst[1]->fate[FATE_REFUSED], 7);
	CHECK_U64(worst[2]->key.addr.byte[15], 3); /* as many as .4: by the address */
	CHECK_U64(t->sources.count, 5000);
	CHECK_U64(tally_worst(&t->subnets, worst, 1), 1);
	CHECK_U64(worst[0]->fate[FATE_LOST], 9);
	CHECK_U64(worst[0]->fate[FATE_ADMITTED], 256);
	tally_close(t);
}

/* --- the storm --------------------------------------------------------------------------------- */

static void test_storm(void)
{
	struct storm s = {.interval_ns = 1e7, /* 100/s */
			  .sources = 1000,
			  .subnets = 10,
			  .for_ns = SEC(100ULL),
			  .random = 1,
			  .port = 2525};
	struct storm again = s;
	uint64_t last_ns = 0, at_ns, other_ns, count = 0;
	bool seen[10] = {false};
	struct attempt a, b;

	while (storm_next(&s, &at_ns, &a)) {
		__u32 host = a.source.byte[15], subnet = a.source.byte[14];

		CHECK(at_ns >= last_ns && at_ns < SEC(100ULL), "at %lu ns", (unsigned long)at_ns);
		CHECK(host >= 1 && host <= 100 && subnet < 10 && a.source.byte[12] == 10,
		      "host %u of subnet %u", host, subnet);
		CHECK(storm_next(&again, &other_ns, &b) && a.isn == b.isn &&
			      a.source.word[3] == b.source.word[3] && other_ns == at_ns,
		      "the same seed made another storm");
		seen[subnet % 10] = true;
		last_ns = at_ns;
		count++;
	}
	CHECK(count > 9600 && count < 10400, "%lu attempts in 100 s at 100/s",
	      (unsigned long)count);
	for (int i = 0; i < 10; i++)
		CHECK(seen[i], "nobody came from subnet %d", i);
}

void suite_replay(void)
{
	static CU_TestInfo tests[] = {
		{"the table has what a plain one has, short keys", test_table_short_keys},
		{"the table has what a plain one has, long keys", test_table_long_keys},
		{"a table that was not opened holds nothing", test_table_not_opened},
		{"each client comes back and gives up as its system does", test_clients},
		{"waiting times are those of the bucket", test_waits},
		{"who is refused does not come back", test_refused},
		{"copies in a trace belong to their attempt", test_copies},
		{"a copy beyond all memory is an attempt", test_copy_too_late},
		{"who is held waits for its turn", test_hold},
		{"the longest of nested prefixes gives the class", test_classes},
		{"the time line loses nothing when it is outgrown", test_time_line},
		{"the worst places come first", test_worst},
		{"a storm is what was asked for", test_storm},
		CU_TEST_INFO_NULL,
	};

	unit_suite("replay", tests);
}
