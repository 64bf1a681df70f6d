// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The presence filter (presence.h, daemon/listed.c) and the flood path that it opens: what it says
 * no to is nobody, and a gate with it decides as one without.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "listed.h"
#include "rig.h"

#define STRETCH (1ULL << PRESENCE_SHIFT)

static struct presence filter;

static struct class_entry entry_v4(__u32 host, __u8 length)
{
	return (struct class_entry){.addr = rig_addr_v4(host), .bits = length, .family = FAMILY_V4};
}

static struct class_entry entry_v6(__u64 high, __u8 length)
{
	return (struct class_entry){
		.addr = rig_addr_v6(high, 0), .bits = length, .family = FAMILY_V6};
}

static void fill(struct class_entry *entry, size_t count, __u64 seed)
{
	struct class_list list = {.entry = entry, .count = count};

	listed_fill(&filter, 0, &list, seed);
}

static bool has(const union addr *a, __u64 seed)
{
	__u64 source = presence_source(a, seed);

	return !(presence_source_bits(source) &
		 ~presence_source_at(&filter, source)->column[PRESENCE_LISTED(0)]);
}

/* Of each length: every address of the prefix is there, and hardly anybody else is. */
static void test_listed_lengths(void)
{
	__u64 random = 1;

	for (__u8 length = 8; length <= 32; length++) {
		struct class_entry e = entry_v4(0x0b000000, length);
		int strangers = 0;

		fill(&e, 1, 77);
		for (int i = 0; i < 2000; i++) {
			__u64 room = 1ULL << (32 - length);
			union addr in = rig_addr_v4(0x0b000000 + rig_below(&random, room));
			union addr out = rig_addr_v4(0x40000000 + rig_below(&random, 1 << 30));

			CHECK(has(&in, 77), "/%u: one of it is not there", length);
			strangers += has(&out, 77);
		}
		CHECK(strangers <= (length == 8 ? 200 : 110), "/%u: %d of 2,000 strangers", length,
		      strangers);
	}
	for (__u8 length = 32; length <= 128; length += 1) {
		struct class_entry e = entry_v6(0x20010db800000000ULL, length);

		fill(&e, 1, 77);
		for (int i = 0; i < 2000; i++) {
			__u64 room = length < 64 ? 1ULL << (64 - length) : 1;
			union addr in =
				rig_addr_v6(0x20010db800000000ULL + rig_below(&random, room),
					    length <= 64 ? rig_random(&random) : 0);

			CHECK(has(&in, 77), "/%u: one of it is not there", length);
		}
	}
}

/* What is too much to enumerate is everybody. */
static void test_listed_everybody(void)
{
	struct class_entry all[] = {entry_v4(0, 0), entry_v4(0x0a000000, 7), entry_v6(0, 0),
				    entry_v6(0x2000000000000000ULL, 31)};
	static struct class_entry many[200];
	union addr a = rig_addr_v4(0xdeadbeef), b = rig_addr_v6(0x3fff00000000ULL << 16, 9);

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		fill(&all[i], 1, 5);
		CHECK(has(&a, 5) && has(&b, 5), "entry %zu: somebody is missing", i);
	}
	for (__u32 i = 0; i < 200; i++)
		many[i] = entry_v4(i << 24, 8);
	fill(many, 200, 5);
	CHECK(has(&a, 5) && has(&b, 5), "200 prefixes of /8: somebody is missing");
	fill(NULL, 0, 5);
	CHECK(!has(&a, 5) && !has(&b, 5), "nothing is listed, and somebody is there");
}

/* 100,000 prefixes: all there, few others, and the seed moves who shares a bit with whom. */
static void test_listed_many(void)
{
	enum { MANY = 100000 };
	struct class_entry *e = malloc(MANY * sizeof(*e));
	__u64 random = 3;
	int strangers[2] = {};

	for (int i = 0; i < MANY; i++)
		e[i] = entry_v4((__u32)rig_random(&random) & 0x7fffff00, 24);
	for (int seed = 0; seed < 2; seed++) {
		fill(e, MANY, 1000 + seed);
		for (int i = 0; i < MANY; i++)
			CHECK(has(&e[i].addr, 1000 + seed), "prefix %d is missing", i);
		for (int i = 0; i < 100000; i++) {
			union addr out = rig_addr_v4(0x80000000 | (__u32)rig_random(&random));

			strangers[seed] += has(&out, 1000 + seed);
		}
		CHECK(strangers[seed] < 2500, "%d of 100,000 strangers", strangers[seed]);
	}
	free(e);
}

/* An attempt is there for 69 s at least, also where CPUs are a tick apart, and then it is not. */
static void test_attempts(void)
{
	static struct presence p;
	__u64 random = 9, start = 5 * STRETCH;

	for (int i = 0; i < 2000; i++) {
		__u64 attempt = rig_random(&random);
		__u64 at = start + rig_below(&random, 4 * STRETCH);
		__u64 stretch = presence_stretch(at);

		CHECK_U64(presence_set(presence_word(&p, stretch, attempt), stretch,
				       presence_bits(attempt)),
			  0);
		CHECK(presence_maybe(&p, attempt, at), "not there at once");
		CHECK(presence_maybe(&p, attempt, at + REMEMBER_MAX_NS), "not there at its end");
		/* What another has written in the stretch that is to come takes nothing away. */
		stretch = presence_stretch(at + STRETCH);
		presence_set(presence_word(&p, stretch, attempt), stretch, 1);
		CHECK(presence_maybe(&p, attempt, at + STRETCH - 1), "wiped by the next");
		memset(&p, 0, sizeof(p));
	}
	CHECK_U64(presence_set(NULL, 0, 1), -1ULL);
}

static void test_attempts_lapse(void)
{
	static struct presence p;
	__u64 attempt = 0x123456789abcdef0ULL, stretch = presence_stretch(5 * STRETCH);

	memset(&p, 0, sizeof(p));
	presence_set(presence_word(&p, stretch, attempt), stretch, presence_bits(attempt));
	CHECK(presence_maybe(&p, attempt, 7 * STRETCH - 1), "gone early");
	CHECK(!presence_maybe(&p, attempt, 7 * STRETCH), "never gone");
}

/* --- the flood path --------------------------------------------------------------------------- */

static struct config flooded(__u64 *random)
{
	struct config c = rig_config();

	c.connection_rate = (struct rate){1 + rig_below(random, 40), NSEC_PER_SEC};
	c.connection_burst = 1 + rig_below(random, 20);
	c.retry_burst = rig_below(random, 20);
	c.source_rate = (struct rate){rig_below(random, 3), NSEC_PER_SEC};
	c.subnet_rate = (struct rate){rig_below(random, 9), NSEC_PER_SEC};
	c.source_burst = c.subnet_burst = 3;
	c.max_sessions = rig_below(random, 2) ? 50 : 0;
	c.known_share_percent = 20;
	c.max_sessions_per_source = rig_below(random, 3);
	c.pace_horizon_ns = rig_below(random, 2) ? MS(800) : 0;
	c.defer_budget_per_s = 10 + rig_below(random, 500);
	return c;
}

static struct attempt asks(__u64 *random, struct attempt *before, int *many)
{
	struct attempt a = rig_v4(0x0a000000 + rig_below(random, 2000), rig_random(random));

	if (*many && rig_below(random, 3) == 0)
		return before[rig_below(random, *many < 512 ? *many : 512)]; /* a retransmit */
	if (rig_below(random, 4) == 0)
		a = rig_v6(0x20010db800000000ULL + (rig_below(random, 500) << 16), 1,
			   rig_random(random));
	before[(*many)++ % 512] = a;
	return a;
}

/* Two gates, one of them without the filter, under the same storm: the same of every SYN. */
static void same_with_and_without(__u64 seed)
{
	static const int listed[] = {CLASS_KNOWN, CLASS_TRUSTED, CLASS_BLOCKED, CLASS_THROTTLED};
	static struct attempt before[512];
	__u64 random = seed, now = RIG_START_NS;
	struct config c = flooded(&random);
	struct rig *with = rig_open_sized(&c, 65536), *without = rig_open_sized(&c, 65536);
	int many = 0, differ = 0;

	without->st.presence = NULL;
	with->control.hold_until_ns = without->control.hold_until_ns = NEVER_NS;
	for (int i = 0; i < 4; i++) {
		union addr a = rig_addr_v4(0x0a000000 + 0x100 * i);

		rig_class(with, &a, FAMILY_V4, 24, listed[i]);
		rig_class(without, &a, FAMILY_V4, 24, listed[i]);
	}
	for (int i = 0; i < 20000; i++) {
		struct attempt a = asks(&random, before, &many);
		struct decision x = rig_judge(with, &a, now), y = rig_judge(without, &a, now);

		differ += x.verdict != y.verdict || x.reason != y.reason || x.class != y.class ||
			  x.again != y.again || x.paced != y.paced;
		if (rig_below(&random, 400) == 0) {
			__s64 live = rig_below(&random, 60);
			__u32 tiers = rig_below(&random, 3) ? 0 : rig_below(&random, TIER_ALL + 1);

			with->live.sessions = without->live.sessions = live;
			with->policy.tiers = without->policy.tiers = tiers;
		}
		now += rig_below(&random, 50) ? rig_below(&random, MS(20))
					      : rig_below(&random, SEC(30));
	}
	CHECK(!differ, "seed %llu: %d SYNs of 20,000 are judged otherwise", seed, differ);
	CHECK_U64(with->control.global_tat_ns, without->control.global_tat_ns);
	CHECK(!memcmp(&with->counters, &without->counters, sizeof(with->counters)),
	      "seed %llu: other counters", seed);
	rig_close(with);
	rig_close(without);
}

static void test_same_without(void)
{
	for (__u64 seed = 1; seed <= 12; seed++)
		same_with_and_without(seed);
}

void suite_presence(void)
{
	static CU_TestInfo tests[] = {
		{"listed: prefixes of each length", test_listed_lengths},
		{"listed: too many are everybody", test_listed_everybody},
		{"listed: 100,000 prefixes", test_listed_many},
		{"attempts: 69 s at least", test_attempts},
		{"attempts: they lapse by themselves", test_attempts_lapse},
		{"240,000 SYNs, with the filter and without", test_same_without},
		CU_TEST_INFO_NULL,
	};

	unit_suite("presence", tests);
}
