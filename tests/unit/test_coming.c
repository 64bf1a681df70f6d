// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Slots and places in the accept queue (sessions.h, backlog.h), and the attempts that are on their
 * way to one (coming.h).
 */
#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define NOW    (8ULL << HELD_SHIFT << 16) /* where steps of every size begin */
#define TICK   MS(4)
#define STEP   (1ULL << COMING_SHIFT)
#define OF_ONE (1ULL << COMING_OF_SOURCE_SHIFT)
#define NEAR   (1ULL << NEAR_SHIFT)
#define ROOM   (1ULL << HELD_SHIFT)

/* Limits as policy_make() makes them: 100 slots leave 80 to unknown senders with a share of 20. */
static struct session_limits limits_of(__u32 most, __u32 share)
{
	__u32 unknown = most - most * share / 100, quarter = most / 4;

	return (struct session_limits){.most = most,
				       .most_unknown = unknown,
				       .pending_most =
					       quarter < unknown / 2 ? quarter : unknown / 2};
}

/* So many let in within this step, and of so many in each step before so many have arrived. */
static void traffic(struct coming *c, __u64 now_ns, __u64 young, __u64 before, __u64 arrived)
{
	for (__u32 i = 0; i < COMING_STEPS; i++) {
		__u32 step = coming_step(now_ns) - i;
		__u64 let_in = i ? before : young, gone = i ? arrived : 0;

		c->word[step % COMING_RING] =
			coming_head(step) | let_in << COMING_BITS | (let_in - gone);
	}
}

/* --- slots ------------------------------------------------------------------------------------- */

static int room(const struct session_limits *s, __s64 sessions, __u32 young, __u32 before,
		int known)
{
	struct live l = {.sessions = sessions};

	traffic(&l.everybody, NOW, young, before, 0);
	return sessions_room(s, &l, known, NOW);
}

/* 100 slots, of which 20 are for known senders. */
static void test_slots(void)
{
	struct session_limits s = limits_of(100, 20);

	CHECK_U64(room(&s, 79, 0, 0, 0), ROOM_FREE);
	CHECK_U64(room(&s, 80, 0, 0, 0), ROOM_NONE);
	CHECK_U64(room(&s, 99, 0, 0, 1), ROOM_FREE);
	CHECK_U64(room(&s, 100, 0, 0, 1), ROOM_NONE);
	s = limits_of(100, 0); /* no share: the same for all */
	CHECK_U64(room(&s, 99, 0, 0, 0), ROOM_FREE);
	CHECK_U64(room(&s, 100, 0, 0, 0), ROOM_NONE);
	CHECK_U64(sessions_room(NULL, NULL, 0, NOW), ROOM_FREE);
}

/* Whatever missed events have made of the number: it refuses, or it does not; it never wraps. */
static void test_any_number(void)
{
	static const __s64 low[] = {0, -1, -1000000, INT32_MIN, INT64_MIN};
	static const __s64 high[] = {100,      65536, INT32_MAX, UINT32_MAX, (__s64)UINT32_MAX + 1,
				     INT64_MAX};
	struct session_limits s = limits_of(100, 20);

	for (int i = 0; i < 5; i++)
		for (int known = 0; known < 2; known++) {
			CHECK_U64(room(&s, low[i], 0, 0, known), ROOM_FREE);
			CHECK_U64(room(&s, low[i], COMING_MASK, COMING_MASK, known), ROOM_FREE);
		}
	for (int i = 0; i < 6; i++)
		for (int known = 0; known < 2; known++)
			CHECK_U64(room(&s, high[i], 0, 0, known), ROOM_NONE);
}

/* Clients that connect at once count in full before they are sessions: no slot is taken twice. */
static void test_burst_of_clients(void)
{
	for (__u32 most = 1; most <= 4096; most += 1 + most / 3) {
		struct session_limits s = limits_of(most, 0);
		struct live l = {};
		__u32 let_in = 0;

		while (let_in < 5000 && sessions_room(&s, &l, 0, NOW) == ROOM_FREE) {
			coming_add(&l.everybody, NOW);
			let_in++;
		}
		CHECK(let_in == most, "max-sessions %u: %u let in at once", most, let_in);
		for (__u32 i = 0; i < most / 2; i++) {
			coming_arrived(&l.everybody, coming_step(NOW));
			l.sessions++;
		}
		CHECK_U64(sessions_room(&s, &l, 0, NOW + MS(100)), ROOM_PENDING);
	}
}

/* The same within a steady flood of spoofed SYNs, give or take what chance the flood is given. */
static void test_burst_within_a_flood(void)
{
	struct session_limits s = limits_of(100, 0);
	struct live l = {};
	__u32 let_in = 0;

	traffic(&l.everybody, NOW, 40, 40, 0);
	while (let_in < 500 && sessions_room(&s, &l, 0, NOW) == ROOM_FREE) {
		coming_add(&l.everybody, NOW);
		let_in++;
	}
	CHECK(let_in >= 75 && let_in <= 125, "%u let in at once", let_in);
}

/* What cannot be expected makes newcomers wait, as so many as a quarter; never an RST. */
static void test_flood_is_a_quarter(void)
{
	struct session_limits s = limits_of(100, 20);

	CHECK_U64(room(&s, 60, 19, 10, 0), ROOM_PENDING);
	CHECK_U64(room(&s, 80 - s.pending_most - 1, 1000, 1000, 0), ROOM_FREE);
	CHECK_U64(room(&s, 80 - s.pending_most, 1000, 1000, 0), ROOM_PENDING);
	CHECK_U64(room(&s, 79, 1000, 1000, 0), ROOM_PENDING);
	CHECK_U64(room(&s, 99, 1000, 1000, 1), ROOM_FREE);
}

/* With no session at all a steady flood keeps nobody out, whatever the numbers are. */
static void test_floods_never_shut_the_door(void)
{
	for (__u32 most = 1; most <= 65536; most += 1 + most / 3)
		for (__u32 share = 0; share <= 90; share++) {
			struct session_limits s = limits_of(most, share);

			CHECK(s.pending_most <= most / 4, "%u of %u", s.pending_most, most);
			CHECK(room(&s, 0, 100000, 100000, 0) == ROOM_FREE,
			      "max-sessions %u, known-share %u: a flood shuts the door", most,
			      share);
		}
}

/* At its begin it does: for as long as its SYNs could be a real burst, and by no RST. */
static void test_begin_of_a_flood(void)
{
	struct session_limits s = limits_of(100, 20);
	struct live l = {};
	__u64 now, free_after = 0;

	for (now = NOW; now < NOW + SEC(20); now += MS(1)) {
		int r = sessions_room(&s, &l, 0, now);

		CHECK(r != ROOM_NONE, "an RST after %llu ms", (now - NOW) / MS(1));
		CHECK(sessions_room(&s, &l, 1, now) == ROOM_FREE, "a known sender waits");
		if (r == ROOM_PENDING)
			free_after = now - NOW;
		coming_add(&l.everybody, now);
	}
	CHECK(free_after > MS(50) && free_after <= 3 * STEP, "waited until %llu ms",
	      free_after / MS(1));
}

/* Of known senders no more at once than there are slots; and others do not count for them. */
static void test_burst_of_known(void)
{
	struct session_limits s = limits_of(100, 20);
	struct live l = {.sessions = 70};

	for (int i = 0; i < 30; i++) {
		CHECK_U64(sessions_room(&s, &l, 1, NOW), ROOM_FREE);
		coming_add(&l.everybody, NOW);
		coming_add(&l.known, NOW);
	}
	CHECK_U64(sessions_room(&s, &l, 1, NOW), ROOM_PENDING);
	CHECK_U64(sessions_room(&s, &l, 0, NOW), ROOM_PENDING);
	for (int i = 0; i < 30; i++)
		coming_arrived(&l.known, coming_step(NOW));
	CHECK_U64(sessions_room(&s, &l, 1, NOW), ROOM_FREE);
}

/* --- attempts on their way: of everybody ------------------------------------------------------- */

static void test_window(void)
{
	struct coming c = {};

	CHECK_U64(coming_count(&c, NOW), 0);
	for (int i = 0; i < 7; i++)
		CHECK_U64(coming_add(&c, NOW + MS(100) * i), 0);
	CHECK_U64(coming_count(&c, NOW), 7);
	CHECK_U64(coming_count(&c, NOW + COMING_STEPS * STEP - 1), 7);
	CHECK_U64(coming_count(&c, NOW + COMING_STEPS * STEP), 0);
	CHECK_U64(coming_count(&c, NOW + COMING_RING * STEP), 0); /* the ring comes round */
	CHECK_U64(coming_add(&c, NOW + COMING_RING * STEP), 0);
	CHECK_U64(coming_count(&c, NOW + COMING_RING * STEP), 1);
}

static void test_arrives(void)
{
	struct coming c = {};

	coming_add(&c, NOW);
	coming_add(&c, NOW + STEP);
	CHECK_U64(coming_arrived(&c, coming_step(NOW + STEP - 1)), 0);
	CHECK_U64(coming_count(&c, NOW + STEP), 1);
	CHECK_U64(coming_arrived(&c, coming_step(NOW)), -1ULL); /* no more than there were */
	CHECK_U64(coming_arrived(&c, coming_step(NOW + 33 * STEP)), -1ULL);
	CHECK_U64(coming_arrived(&c, coming_step(NOW - 31 * STEP)), -1ULL);
	CHECK_U64(coming_count(&c, NOW + STEP), 1);
	coming_add(&c, NOW + 33 * STEP); /* where the second was */
	CHECK_U64(coming_arrived(&c, coming_step(NOW + STEP)), -1ULL);
	CHECK_U64(coming_count(&c, NOW + 33 * STEP), 1);
	CHECK_U64(coming_add(NULL, NOW), -1ULL);
	CHECK_U64(coming_arrived(NULL, 0), -1ULL);
	CHECK_U64(coming_expected(NULL, COMING_ANY, NOW), 0);
}

/* What is held until later is counted from now on, for the longest horizon. */
static void test_held_counts(void)
{
	struct coming c = {};

	coming_add(&c, NOW + SEC(10));
	CHECK_U64(coming_expected(&c, COMING_ANY, NOW), 1);
	CHECK_U64(coming_count(&c, NOW), 1);
	CHECK_U64(coming_expected(&c, COMING_ANY, NOW + SEC(11)), 1);
	CHECK_U64(coming_expected(&c, COMING_ANY, NOW + SEC(10) + 2 * STEP), 0);
	CHECK_U64(coming_arrived(&c, coming_step(NOW + SEC(10))), 0);
	CHECK_U64(coming_count(&c, NOW + SEC(10)), 0);
}

/* A step is full at four million; the numbers of the next one are its own. */
static void test_full_step(void)
{
	struct coming c = {};

	c.word[coming_step(NOW) % COMING_RING] =
		coming_head(coming_step(NOW)) | (COMING_MASK - 1) * COMING_ONE;
	CHECK_U64(coming_add(&c, NOW), 0);
	CHECK_U64(coming_add(&c, NOW), -1ULL);
	CHECK_U64(coming_count(&c, NOW), COMING_MASK);
	CHECK_U64(coming_add(&c, NOW + STEP), 0);
	CHECK_U64(coming_count(&c, NOW + STEP), COMING_MASK + 1);
	for (__u32 i = 0; i < COMING_RING; i++) { /* all full: no sum overflows */
		__u32 step = coming_step(NOW) + i - 16;

		c.word[step % COMING_RING] = coming_head(step) | COMING_MASK * COMING_ONE;
	}
	CHECK_U64(coming_count(&c, NOW), (COMING_STEPS + COMING_AHEAD) * COMING_MASK);
	CHECK(coming_expected(&c, COMING_ANY, NOW) > 0, "a flood held ahead is not expected");
}

/* Of a steady flood with so many real ones in it about so many are expected. */
static void test_expected(void)
{
	static const struct {
		__u64 before, arrived, young, low, high;
	} rows[] = {
		{0, 0, 0, 0, 0},	 {0, 0, 100, 100, 100},	       {100, 100, 100, 100, 100},
		{100, 0, 100, 0, 1},	 {100, 50, 100, 49, 82},       {1000, 10, 1000, 9, 11},
		{1000, 0, 1300, 0, 700}, {1000, 0, 10000, 7000, 9100}, {1, 0, 1, 0, 1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct coming c = {};
		__u64 n;

		traffic(&c, NOW, rows[i].young, rows[i].before, rows[i].arrived);
		/* The step before this one is young too: only this one's are, here. */
		c.word[(coming_step(NOW) - 1) % COMING_RING] = 0;
		n = coming_expected(&c, COMING_ANY, NOW);
		CHECK(n >= rows[i].low && n <= rows[i].high, "row %zu: %llu are expected", i, n);
	}
}

/* Any order of them, a tick to and fro, against a list. */
static void history(__u64 seed, __u64 now)
{
	static __u32 at[4096], size;
	struct coming c = {};
	__u64 random = seed;

	size = 0;
	for (int i = 0; i < 2000; i++) {
		__u64 then = now - rig_below(&random, 2) * TICK +
			     (rig_below(&random, 4) ? 0 : rig_below(&random, SEC(10)));
		__u32 count = 0;

		if (rig_below(&random, 3)) {
			CHECK_U64(coming_add(&c, then), 0);
			at[size++] = coming_step(then);
		} else if (size) {
			__u32 victim = rig_below(&random, size);

			if (coming_step(now) - at[victim] + COMING_AHEAD < COMING_RING - 1) {
				CHECK_U64(coming_arrived(&c, at[victim]), 0);
				at[victim] = at[--size];
			}
		}
		for (__u32 j = 0; j < size; j++)
			count += coming_step(now) + COMING_AHEAD - at[j] <
				 COMING_STEPS + COMING_AHEAD;
		CHECK_U64(coming_count(&c, now), count);
		now += rig_below(&random, rig_below(&random, 20) ? MS(100) : SEC(4));
	}
}

static void test_any_order(void)
{
	for (__u64 seed = 1; seed <= 10; seed++)
		history(seed, NOW);
}

/*
 * What a flood has lost a second ago is still lost: with 70 real clients a second, 100 ms away, and 40
 * spoofed ones, hardly more than the real ones on their way are expected.
 */
static void test_fresh(void)
{
	struct live l = {};
	__u64 n = 0, most = 0;

	for (int ms = 0; ms < 20000; ms++) {
		__u64 now = NOW + MS(ms);

		if (ms % 25 == 0) /* spoofed */
			coming_note(&l, now, 0, 0, CLASS_UNKNOWN);
		if (ms % 14 == 0)
			coming_note(&l, now, 0, 0, CLASS_UNKNOWN);
		if (ms >= 100 && (ms - 100) % 14 == 0) {
			__u64 coming = admitted_coming(now - MS(100), 0);

			CHECK_U64(coming_arrived(&l.everybody, admitted_step(coming)), 0);
			CHECK_U64(near_arrived(&l, admitted_near(coming)), 0);
		}
		if (ms < 12000)
			continue;
		n = coming_expected(&l.everybody, coming_fresh(&l, now), now);
		most = n > most ? n : most;
	}
	CHECK(n >= 7 && most <= 30, "%llu of 7 on their way are expected, at most %llu", n, most);
	CHECK(coming_expected(&l.everybody, COMING_ANY, NOW + MS(20000)) > 30,
	      "without the near steps it would be as few");
}

/* Who waits in the room is fresh until half a second after his turn, however long that is. */
static void test_fresh_held(void)
{
	struct live l = {};

	for (int i = 1; i <= 100; i++) /* ten a second for ten seconds */
		coming_note(&l, NOW + MS(100) * i, NOW + MS(100) * i + SEC(1), 0, CLASS_UNKNOWN);
	for (int i = 0; i < 100; i++) {
		__u64 n = coming_fresh(&l, NOW + MS(100) * i + MS(50)), waiting = 100 - i;
		__u64 gone = i < 5 ? i : 5;

		CHECK(n >= waiting + gone && n <= waiting + gone + 1, "after %d: %llu", i, n);
	}
	CHECK_U64(coming_fresh(&l, NOW + SEC(11)), 0);
}

/* --- of one source ------------------------------------------------------------------------------ */

static void test_of_source(void)
{
	struct session_limits s = {.per_source = 3};
	struct coming_of_source c = {};

	for (int i = 0; i < 3; i++) {
		CHECK_U64(holder_verdict(NULL, &s, 0, coming_of_source_count(&c, NOW), NOW),
			  REASONS);
		CHECK_U64(coming_of_source_add(&c, NOW + i * OF_ONE), 0);
	}
	CHECK_U64(coming_of_source_count(&c, NOW), 3);
	CHECK_U64(holder_verdict(NULL, &s, 0, 3, NOW), REASON_SOURCE_SESSIONS);
	CHECK_U64(holder_verdict(NULL, &s, 1, 3, NOW), REASONS);
	CHECK_U64(holder_verdict(NULL, &s, 1, 6, NOW), REASON_SOURCE_SESSIONS);
	CHECK_U64(coming_of_source_arrived(&c, NOW + OF_ONE - 1), 0);
	CHECK_U64(coming_of_source_arrived(&c, NOW), -1ULL);
	CHECK_U64(coming_of_source_count(&c, NOW), 2);
	CHECK_U64(coming_of_source_count(&c, NOW + 3 * OF_ONE - 1), 2);
	CHECK_U64(coming_of_source_count(&c, NOW + 3 * OF_ONE), 1);
	CHECK_U64(coming_of_source_count(&c, NOW + 4 * OF_ONE), 0);
	CHECK_U64(coming_of_source_count(&c, NOW + COMING_OF_SOURCE_RING * OF_ONE), 0);
	CHECK_U64(coming_of_source_add(&c, NOW + SEC(10)), 0); /* the longest horizon */
	CHECK_U64(coming_of_source_count(&c, NOW + OF_ONE - 1), 3);
}

/* --- the waiting room ---------------------------------------------------------------------------- */

/* As coming_note() does for who waits. */
static int put_held(struct live *l, __u32 slot, __u64 left_ns)
{
	held_until(l, left_ns);
	return held_add(l, slot, left_ns);
}

static void test_held_now(void)
{
	struct live l = {};

	CHECK_U64(held_now(&l, 1, NOW), 0);
	for (int i = 1; i <= 100; i++) /* ten a second for ten seconds */
		CHECK_U64(put_held(&l, 1, NOW + MS(100) * i), 0);
	for (int i = 0; i < 100; i++) {
		__u64 n = held_now(&l, 1, NOW + MS(100) * i + MS(50));

		CHECK(n + 2 >= 100ULL - i && n <= 103ULL - i, "after %d: %llu", i, n);
	}
	CHECK_U64(held_now(&l, 1, NOW + SEC(10)), 0);
	CHECK_U64(held_now(&l, 2, NOW), 0); /* for another listener */
	put_held(&l, 1, NOW + SEC(30));	    /* the ring has come round */
	CHECK_U64(held_now(&l, 1, NOW + SEC(21)), 1);
	CHECK_U64(held_now(&l, 1, NOW + SEC(30)), 0);
	CHECK_U64(held_now(NULL, 1, NOW), 0);
}

/* --- the accept queue --------------------------------------------------------------------------- */

static const enum patience kinds[] = {PATIENCE_NEW, PATIENCE_AGAIN, PATIENCE_KNOWN};

/* Is there a place, for somebody who does not take it? */
static int has_room(struct live *l, const struct backlog *b, enum patience patience)
{
	return backlog_claim(l, b, patience, 1, NOW);
}

/* How many may be in a queue before the next one of each kind has no room. */
static void test_places(void)
{
	static const struct {
		__u32 most;
		__u64 places[3]; /* newcomers, who has waited, known senders */
	} rows[] = {
		{0, {1, 1, 1}},
		{1, {1, 1, 2}},
		{2, {2, 2, 3}},
		{10, {6, 9, 11}},
		{128, {65, 116, 129}},
		{4096, {2049, 3687, 4097}},
		{UINT32_MAX, {1ULL << 31, 3865470566, 1ULL << 32}},
	};
	struct live l = {};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int k = 0; k < 3; k++) {
			struct backlog b = {.most = rows[i].most, .waiting = rows[i].places[k] - 1};

			CHECK(has_room(&l, &b, kinds[k]), "%u of %u, kind %d: no room", b.waiting,
			      b.most, k);
			b.waiting = UINT32_MAX;
			if (rows[i].places[k] > UINT32_MAX)
				continue;
			CHECK(!has_room(&l, &b, kinds[k]), "of %u, kind %d: always", b.most, k);
			b.waiting = rows[i].places[k] / 2;
			b.young = rows[i].places[k] - b.waiting;
			CHECK(!has_room(&l, &b, kinds[k]), "%u and %u of %u, kind %d: room",
			      b.waiting, b.young, b.most, k);
		}
}

/* How many SYNs that are polled together a queue lets in, as it does not show them yet. */
static int burst_let_in(struct live *l, const struct backlog *b, int patience, __u64 now_ns)
{
	int n = 0;

	while (n < 100 && backlog_claim(l, b, patience, 0, now_ns))
		n++;
	return n;
}

static void test_burst_within_a_tick(void)
{
	struct backlog b = {.most = 10}, none = {.most = 0};
	struct live l = {};

	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW), 6);
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW), 0);
	b.waiting = 6; /* the queue has them: they count once */
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_AGAIN, NOW), 3);
	b.waiting = 0; /* the MTA has taken all, and the clock goes on */
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW + TICK), 6);
	b.waiting = 4;
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW + 2 * TICK), 2);
	CHECK_U64(burst_let_in(&l, &none, PATIENCE_KNOWN, NOW + 3 * TICK), 1);
}

/* Who waits in the room has a place, for everybody; who is to wait takes none of this step's. */
static void test_held_have_places(void)
{
	struct backlog b = {.most = 10, .slot = 1}, other = {.most = 10, .slot = 2};
	struct live l = {};

	for (int i = 0; i < 6; i++) {
		CHECK(backlog_claim(&l, &b, PATIENCE_NEW, 1, NOW), "no place for number %d", i);
		put_held(&l, 1, NOW + SEC(1) + i);
	}
	CHECK(!backlog_claim(&l, &b, PATIENCE_NEW, 1, NOW), "a seventh");
	CHECK(backlog_claim(&l, &other, PATIENCE_NEW, 1, NOW), "of another listener");
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_AGAIN, NOW), 3);
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_KNOWN, NOW), 2);
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW + SEC(2)), 6);
}

/* Let in at that moment, all of them, and not yet sessions. */
static void let_in(struct live *l, int count, __u64 at_ns)
{
	for (int i = 0; i < count; i++) {
		near_add(l, at_ns);
		coming_add(&l->everybody, at_ns);
	}
}

/*
 * While the kernel answers by cookies it shows nothing: what was let in within a round trip counts,
 * until it is a session, and a steady flood does not.
 */
static void test_blind(void)
{
	struct backlog b = {.most = 10, .blind = 1}, seeing = {.most = 10};
	struct live l = {};

	let_in(&l, 6, NOW);
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW + MS(30)), 0);
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_AGAIN, NOW + MS(60)), 3);
	CHECK_U64(burst_let_in(&l, &seeing, PATIENCE_NEW, NOW + MS(70)), 6);
	for (int i = 0; i < 6; i++)
		CHECK_U64(near_arrived(&l, near_step(NOW)), 0);
	CHECK_U64(near_arrived(&l, near_step(NOW)), -1ULL);
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW + MS(90)), 6);
	let_in(&l, 6, NOW + MS(100));
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW + MS(100) + NEAR_STEPS * NEAR), 6);
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW + MS(100) + NEAR_RING * NEAR), 6);
}

static void test_blind_in_a_flood(void)
{
	struct backlog b = {.most = 10, .blind = 1};
	struct live l = {};
	__u64 now = NOW;
	int places;

	for (; now < NOW + SEC(20); now += MS(25)) /* 40 a second */
		let_in(&l, 1, now);
	places = burst_let_in(&l, &b, PATIENCE_AGAIN, now);
	CHECK(places >= 7, "%d places are left", places);
	let_in(&l, 9, now);
	places = burst_let_in(&l, &b, PATIENCE_AGAIN, now + MS(20));
	CHECK(places <= 2, "%d places when nine are taken", places);
}

void suite_coming(void)
{
	static CU_TestInfo tests[] = {
		{"slots and the share of known senders", test_slots},
		{"any number of sessions", test_any_number},
		{"a burst of clients takes no slot twice", test_burst_of_clients},
		{"nor does it within a flood", test_burst_within_a_flood},
		{"a flood counts as a quarter, and never by RST", test_flood_is_a_quarter},
		{"a steady flood never shuts the door", test_floods_never_shut_the_door},
		{"the begin of a flood", test_begin_of_a_flood},
		{"a burst of known senders", test_burst_of_known},
		{"on their way: ten seconds", test_window},
		{"on their way: until it is a session", test_arrives},
		{"on their way: held until later", test_held_counts},
		{"on their way: a step that is full", test_full_step},
		{"on their way: how many are expected", test_expected},
		{"on their way: any order, against a list", test_any_order},
		{"on their way: of one source", test_of_source},
		{"what a flood has lost is not expected", test_fresh},
		{"who waits is expected", test_fresh_held},
		{"the waiting room, by what was told", test_held_now},
		{"the accept queue: places of each kind", test_places},
		{"the accept queue: a burst within a tick", test_burst_within_a_tick},
		{"the accept queue: who waits in the room", test_held_have_places},
		{"the accept queue: SYN cookies", test_blind},
		{"the accept queue: SYN cookies in a flood", test_blind_in_a_flood},
		CU_TEST_INFO_NULL,
	};

	unit_suite("coming", tests);
}
