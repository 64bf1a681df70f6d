// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is told of decisions: how a CPU samples (bpf/events.h), and what is kept of it (recent.h).
 */
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "recent.h"
#include "unit.h"

#define SHARE	 67
#define WINDOW	 (1ULL << EVENTS_WINDOW_SHIFT)
#define START_NS (1000 * WINDOW)

static uint32_t noise(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 32);
}

/* So many SYNs at equal distances in a window. Returns the events; *stood grows by what they are. */
static uint32_t play(struct sampler *s, uint64_t from_ns, uint32_t syns, uint64_t *stood)
{
	uint32_t told = 0;

	for (uint32_t i = 0; i < syns; i++) {
		if (!sampler_due(s, SHARE, from_ns + WINDOW * i / syns))
			continue;
		told++;
		*stood += s->stands_for;
		sampler_took(s, 1, noise());
	}
	return told;
}

static void all_are_told_when_it_is_quiet(void)
{
	struct sampler s = {0};
	uint64_t stood = 0;

	for (int w = 0; w < 10; w++)
		CU_ASSERT_EQUAL(play(&s, START_NS + w * WINDOW, SHARE - 1, &stood), SHARE - 1);
	CU_ASSERT_EQUAL(stood, 10 * (SHARE - 1));
}

static void a_storm_is_sampled_within_its_bound(void)
{
	struct sampler s = {0};
	uint64_t stood = 0, told = 0;

	for (int w = 0; w < 100; w++) {
		uint32_t here = play(&s, START_NS + w * WINDOW, 20000, &stood);

		CHECK(here <= 2 * SHARE, "window %d: %u events", w, here);
		told += here;
	}
	CHECK(told >= 80 * SHARE && told <= 120 * SHARE, "%llu events", (unsigned long long)told);
	/* But for those behind the last event, they stand for all. */
	CU_ASSERT_EQUAL(stood + s.stands_for, 2000000);
	CU_ASSERT_EQUAL(s.all, 2000000);
	CU_ASSERT_EQUAL(s.sent, told);
	/* And it is over with the storm. */
	CU_ASSERT_EQUAL(play(&s, START_NS + 200 * WINDOW, SHARE, &stood), SHARE);
}

/* Who sends in turns with others is seen for its part, whatever the distance of the turns. */
static void distances_are_random(void)
{
	struct sampler s = {0};
	uint32_t of_one = 0, told = 0;

	for (uint32_t i = 0; i < 2000000; i++) {
		if (!sampler_due(&s, SHARE, START_NS + WINDOW * i / 20000))
			continue;
		told++;
		of_one += i % 10 == 3;
		sampler_took(&s, 1, noise());
	}
	CHECK(of_one * 100 > told * 8 && of_one * 100 < told * 12, "%u of %u", of_one, told);
}

static void what_is_lost_is_stood_for_by_the_next(void)
{
	struct sampler s = {0};

	for (int i = 0; i < 3; i++) {
		CU_ASSERT_TRUE(sampler_due(&s, SHARE, START_NS));
		sampler_took(&s, 0, noise());
	}
	CU_ASSERT_TRUE(sampler_due(&s, SHARE, START_NS));
	CU_ASSERT_EQUAL(s.stands_for, 4);
	CU_ASSERT_EQUAL(s.lost, 3);
}

/* --- what is kept ----------------------------------------------------------------------------- */

static const uint64_t seed[2] = {1, 2};
static struct policy policy;

static struct recent *made(void)
{
	for (int f = 0; f < FAMILIES; f++) {
		policy.source[f].bits = f == FAMILY_V4 ? 128 : 64;
		policy.subnet[f].bits = f == FAMILY_V4 ? 120 : 48;
	}
	return recent_open(seed);
}

static struct event event_of(uint32_t address, uint64_t at_s)
{
	struct event e = {.at_ns = at_s * NSEC_PER_SEC,
			  .stands_for = 1,
			  .verdict = VERDICT_DEFER,
			  .reason = REASON_CONNECTION_RATE};

	e.attempt.source.word[2] = V4_MAPPED_WORD;
	for (int i = 0; i < 4; i++)
		e.attempt.source.byte[12 + i] = (uint8_t)(address >> (24 - 8 * i));
	return e;
}

static void put(struct recent *r, uint32_t address, uint64_t at_s, uint32_t stands_for)
{
	struct event e = event_of(address, at_s);

	e.stands_for = stands_for;
	recent_add(r, &policy, &e, 0);
}

static void events_have_numbers(void)
{
	struct recent *r = made();
	const struct recent_event *e;
	uint64_t missed = 0;

	CU_ASSERT_PTR_NULL(recent_after(r, 0, &missed));
	for (uint32_t i = 1; i <= RECENT_EVENTS + 100; i++)
		put(r, i, 1000, i);
	e = recent_after(r, 0, &missed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	CU_ASSERT_EQUAL(e->sequence, 101);
	CU_ASSERT_EQUAL(e->event.stands_for, 101);
	CU_ASSERT_EQUAL(missed, 0); /* who has seen none has missed none */
	e = recent_after(r, 41, &missed);
	CU_ASSERT_EQUAL(e->sequence, 101);
	CU_ASSERT_EQUAL(missed, 59);
	CU_ASSERT_EQUAL(recent_after(r, RECENT_EVENTS + 99, &missed)->sequence,
			RECENT_EVENTS + 100);
	CU_ASSERT_PTR_NULL(recent_after(r, RECENT_EVENTS + 100, &missed));
	CU_ASSERT_PTR_NULL(recent_after(r, ~0ULL, &missed));
	CU_ASSERT_EQUAL(missed, 59);
	recent_close(r);
}

/* A busy prefix keeps its place in a flood of addresses that come once each. */
static void a_flood_pushes_out_itself(void)
{
	struct recent *r = made();
	struct recent_row row[RECENT_ROWS], all;
	uint64_t events;
	double over_s;

	for (uint32_t i = 0; i < 300000; i++)
		put(r, i % 20 ? noise() : 0xc0000207, 1000 + i / 10000, 3);
	CU_ASSERT_TRUE(recent_rows(r, RECENT_SOURCE, 1030 * NSEC_PER_SEC, row, 5) == 5);
	CU_ASSERT_EQUAL(row[0].key.addr.byte[12], 192);
	CU_ASSERT_EQUAL(row[0].key.bits, 128);
	CU_ASSERT_EQUAL(row[0].attempts, 45000);
	CU_ASSERT_EQUAL(row[0].verdict[VERDICT_DEFER], 45000);
	recent_sum(r, 1030 * NSEC_PER_SEC, &all, &events, &over_s);
	CU_ASSERT_EQUAL(all.attempts, 900000);
	CU_ASSERT_EQUAL(events, 300000);
	CU_ASSERT_DOUBLE_EQUAL(over_s, 30, 0.001);
	recent_close(r);
}

static void the_window_moves_on(void)
{
	struct recent *r = made();
	struct recent_row row, all;
	struct prefix_key key = {.bits = 112};
	uint64_t events;
	double over_s;

	key.addr.word[2] = V4_MAPPED_WORD;
	key.addr.byte[12] = 10;
	key.addr.byte[13] = 1;
	for (uint64_t s = 1000; s < 1100; s++)
		put(r, 0x0a010000 + (uint32_t)s, s, 1);
	CU_ASSERT_TRUE(recent_find(r, RECENT_WIDE, &key, 1100 * NSEC_PER_SEC, &row));
	CU_ASSERT_EQUAL(row.attempts, 50); /* five whole slices, and one that begins */
	recent_sum(r, 1100 * NSEC_PER_SEC, &all, &events, &over_s);
	CU_ASSERT_EQUAL(all.attempts, 50);
	CU_ASSERT_EQUAL(events, 50);
	CU_ASSERT_DOUBLE_EQUAL(over_s, 50, 0.001);
	recent_sum(r, 1130 * NSEC_PER_SEC, &all, &events, &over_s);
	CU_ASSERT_EQUAL(all.attempts, 20);
	recent_sum(r, 5000 * NSEC_PER_SEC, &all, &events, &over_s);
	CU_ASSERT_EQUAL(all.attempts, 0);
	CU_ASSERT_EQUAL(events, 0);
	CU_ASSERT_EQUAL(recent_rows(r, RECENT_WIDE, 5000 * NSEC_PER_SEC, &row, 1), 0);
	recent_close(r);
}

static void retransmits_are_no_attempts(void)
{
	struct recent *r = made();
	struct event e = event_of(0xc0000201, 1000);
	struct recent_row row;

	recent_add(r, &policy, &e, 0);
	e.again = 1;
	recent_add(r, &policy, &e, 0);
	e.again = 0;
	e.reason = REASON_RETRANSMIT;
	e.verdict = VERDICT_PASS;
	e.class = CLASS_KNOWN;
	recent_add(r, &policy, &e, 0);
	CU_ASSERT_EQUAL(recent_rows(r, RECENT_SUBNET, e.at_ns, &row, 1), 1);
	CU_ASSERT_EQUAL(row.attempts, 1);
	CU_ASSERT_EQUAL(row.verdict[VERDICT_DEFER], 2);
	CU_ASSERT_EQUAL(row.verdict[VERDICT_PASS], 1);
	CU_ASSERT_EQUAL(row.class, CLASSES); /* of several */
	CU_ASSERT_EQUAL(row.key.bits, 120);
	recent_close(r);
}

static void seconds_are_kept(void)
{
	struct recent *r = made();
	struct recent_second s = {0};

	CU_ASSERT_PTR_NULL(recent_second(r, 0));
	for (uint64_t i = 0; i < RECENT_SECONDS + 10; i++) {
		s.attempts = i;
		recent_add_second(r, &s);
	}
	CU_ASSERT_EQUAL(recent_second(r, 0)->attempts, RECENT_SECONDS + 9);
	CU_ASSERT_EQUAL(recent_second(r, RECENT_SECONDS - 1)->attempts, 10);
	CU_ASSERT_PTR_NULL(recent_second(r, RECENT_SECONDS));
	recent_close(r);
}

void suite_recent(void)
{
	static CU_TestInfo tests[] = {
		{"all are told of when it is quiet", all_are_told_when_it_is_quiet},
		{"a storm is sampled within its bound, and stood for",
		 a_storm_is_sampled_within_its_bound},
		{"distances are random: nobody hides between them", distances_are_random},
		{"what is lost is stood for by the next", what_is_lost_is_stood_for_by_the_next},
		{"events have numbers, and who comes late is told", events_have_numbers},
		{"a flood of addresses pushes out itself", a_flood_pushes_out_itself},
		{"the window moves on", the_window_moves_on},
		{"retransmits are no attempts", retransmits_are_no_attempts},
		{"seconds are kept", seconds_are_kept},
		CU_TEST_INFO_NULL,
	};

	unit_suite("recent", tests);
}
