// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Known senders: the rule at its edges, the full table, what the kernel is told, and the file with
 * every kind of damage.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "known.h"
#include "unit.h"

#define MINUTE	60ULL
#define HOUR	3600ULL
#define DAY	86400ULL
#define BEGIN_S 1700000000ULL	     /* the wall clock when a table begins */
#define BOOT_NS (777 * NSEC_PER_SEC) /* CLOCK_BOOTTIME then */
#define MONO_NS (333 * NSEC_PER_SEC) /* CLOCK_MONOTONIC then: the machine has slept */
#define KEYS	24		     /* sources of the random tests */

static struct config config;
static struct known *known;
static uint64_t now_s; /* since the table began */
static char folder[64], path[128];

static uint64_t boot(void)
{
	return BOOT_NS + now_s * NSEC_PER_SEC;
}

static struct known *make(size_t most, uint64_t wall_s)
{
	static const uint64_t seed[2] = {3, 5};
	struct known *k = known_open(&config, most, seed, wall_s, boot());

	CU_ASSERT_PTR_NOT_NULL_FATAL(k);
	return k;
}

static void begin(size_t most)
{
	config = (struct config){.known_days = 2,
				 .known_bytes = 4096,
				 .known_for_ns = 60 * DAY * NSEC_PER_SEC,
				 .source_prefix_v4 = 32,
				 .source_prefix_v6 = 64};
	now_s = 0;
	known = make(most, BEGIN_S);
}

static void end(void)
{
	known_close(known);
	known = NULL;
}

static struct prefix_key key_of(const char *text)
{
	struct config_error err = {};
	struct prefix_key key;

	CHECK(!known_parse(text, &config, &key, &err), "%s", err.text);
	return key;
}

/* The n-th of many sources, of both families. */
static struct prefix_key nth(uint32_t n)
{
	struct prefix_key key = {};

	if (n % 2) {
		key.addr.word[2] = V4_MAPPED_WORD;
		key.addr.word[3] = n;
		key.bits = 128;
	} else {
		key.addr.word[0] = n;
		key.addr.word[1] = ~n;
		key.bits = 64;
	}
	return key;
}

static bool session(struct prefix_key key, uint32_t flags, uint64_t bytes, bool in_order)
{
	struct session_end e = {
		.source = key, .bytes = bytes, .flags = flags, .in_order = in_order};

	return known_session_end(known, &e, boot());
}

static void good(struct prefix_key key)
{
	session(key, 0, 4096, true);
}

static enum standing standing(struct prefix_key key)
{
	struct known_view view;

	known_get(known, &key, boot(), &view);
	return view.standing;
}

#define EXPECT(key, wanted)                                                            \
	do {                                                                           \
		enum standing got = standing(key);                                     \
		CHECK(got == (wanted), "%s, not %s, after %llu s", standing_name(got), \
		      standing_name(wanted), (unsigned long long)now_s);               \
	} while (0)

static struct known_counts counts(void)
{
	struct known_counts c;

	known_counts(known, &c);
	return c;
}

/* --- the rule --------------------------------------------------------------------------------- */

static void two_days_that_lie_20_hours_apart(void)
{
	struct prefix_key key, other;

	begin(100);
	key = key_of("192.0.2.1");
	other = key_of("2001:db8:1:2:3::4");
	EXPECT(key, STANDING_NONE);
	good(key);
	EXPECT(key, STANDING_CANDIDATE);
	now_s = 19 * HOUR + 59 * MINUTE + 59;
	good(key);
	EXPECT(key, STANDING_CANDIDATE);
	now_s = 20 * HOUR;
	good(other);
	good(key);
	EXPECT(key, STANDING_KNOWN);
	EXPECT(other, STANDING_CANDIDATE);
	CU_ASSERT_EQUAL(counts().promoted, 1);
	/* A session that has not counted as a day moves nothing: 20 h are from the first on. */
	now_s = 39 * HOUR;
	good(other);
	now_s = 40 * HOUR;
	good(other);
	EXPECT(other, STANDING_KNOWN);
	end();
}

static void midnight_makes_no_second_day(void)
{
	struct prefix_key key;

	begin(100);
	key = key_of("192.0.2.1");
	now_s = DAY - BEGIN_S % DAY - MINUTE; /* 23:59 UTC */
	good(key);
	now_s += 2 * MINUTE;
	good(key);
	EXPECT(key, STANDING_CANDIDATE);
	end();
}

static void three_days_when_three_are_asked_for(void)
{
	struct prefix_key key;

	begin(100);
	config.known_days = 3;
	known_configure(known, &config, boot());
	key = key_of("192.0.2.1");
	for (int day = 0; day < 3; day++, now_s += DAY) {
		EXPECT(key, day ? STANDING_CANDIDATE : STANDING_NONE);
		good(key);
	}
	EXPECT(key, STANDING_KNOWN);
	config.known_days = 4;
	known_configure(known, &config, boot());
	EXPECT(key, STANDING_CANDIDATE);
	config.known_days = 1;
	known_configure(known, &config, boot());
	EXPECT(key, STANDING_KNOWN);
	end();
}

static void only_good_sessions_count(void)
{
	struct prefix_key key;

	begin(100);
	key = key_of("192.0.2.1");
	CU_ASSERT_FALSE(session(key, 0, 4095, true));
	CU_ASSERT_FALSE(session(key, 0, 1 << 20, false));
	CU_ASSERT_FALSE(session(key, SESSION_ANSWERED, 0, true));
	EXPECT(key, STANDING_NONE);
	CU_ASSERT_EQUAL(counts().sources, 0);
	session(key, SESSION_ANSWERED, 4096, true);
	EXPECT(key, STANDING_CANDIDATE);
	now_s = DAY;
	session(key, 0, 4095, true);
	session(key, 0, 4096, false);
	EXPECT(key, STANDING_CANDIDATE);
	end();
}

static void under_pressure_only_candidates_earn(void)
{
	struct prefix_key key;

	begin(100);
	key = key_of("192.0.2.1");
	for (int day = 0; day < 5; day++, now_s += DAY)
		CU_ASSERT_FALSE(session(key, SESSION_PRESSED, 1 << 20, true));
	EXPECT(key, STANDING_NONE);
	CU_ASSERT_EQUAL(counts().pressed, 5);
	good(key);
	now_s += DAY;
	session(key, SESSION_PRESSED, 1 << 20, true);
	EXPECT(key, STANDING_KNOWN);
	end();
}

/* Whatever comes in whatever order: under pressure nobody gets into the table. */
static void pressed_sessions_never_make_an_entry(void)
{
	begin(16);
	srandom(7);
	for (int i = 0; i < 100000; i++) {
		now_s += (uint64_t)random() % (4 * HOUR);
		session(nth((uint32_t)random() % KEYS),
			SESSION_PRESSED | ((uint32_t)random() & SESSION_ANSWERED),
			(uint64_t)random() % 10000, random() % 2);
		known_expire(known, boot(), 4);
	}
	CU_ASSERT_EQUAL(counts().sources, 0);
	CU_ASSERT_EQUAL(counts().promoted, 0);
	end();
}

static void candidates_go_after_two_weeks(void)
{
	struct prefix_key key;

	begin(100);
	key = key_of("192.0.2.1");
	good(key);
	now_s = 10 * HOUR;
	good(key); /* no day, but seen */
	now_s = 10 * HOUR + 14 * DAY - 1;
	EXPECT(key, STANDING_CANDIDATE);
	CU_ASSERT_EQUAL(known_expire(known, boot(), 9), 0);
	now_s++;
	EXPECT(key, STANDING_NONE);
	/* Too late: nothing of the first day is left, swept up or not. */
	good(key);
	EXPECT(key, STANDING_CANDIDATE);
	CU_ASSERT_EQUAL(counts().expired, 1);
	CU_ASSERT_EQUAL(counts().sources, 1);
	end();
}

static void known_ones_go_after_known_for(void)
{
	struct prefix_key key;

	begin(100);
	key = key_of("192.0.2.1");
	good(key);
	now_s = DAY;
	good(key);
	now_s = 50 * DAY;
	session(key, SESSION_PRESSED, 5000, true); /* a known one is seen under pressure too */
	now_s = 110 * DAY - 1;
	EXPECT(key, STANDING_KNOWN);
	now_s++;
	EXPECT(key, STANDING_NONE);
	CU_ASSERT_EQUAL(known_expire(known, boot(), 9), 1);
	CU_ASSERT_EQUAL(counts().sources, 0);
	session(key, SESSION_PRESSED, 5000, true);
	EXPECT(key, STANDING_NONE);
	end();
}

static void a_short_known_for_holds_for_candidates(void)
{
	struct prefix_key key;

	begin(100);
	config.known_for_ns = 3 * DAY * NSEC_PER_SEC;
	known_configure(known, &config, boot());
	key = key_of("192.0.2.1");
	good(key);
	now_s = 3 * DAY - 1;
	EXPECT(key, STANDING_CANDIDATE);
	now_s++;
	EXPECT(key, STANDING_NONE);
	end();
}

/* --- by hand ---------------------------------------------------------------------------------- */

static void marked_bad(void)
{
	struct prefix_key key;

	begin(100);
	key = key_of("192.0.2.1");
	good(key);
	now_s = DAY;
	good(key);
	CU_ASSERT_EQUAL(known_mark(known, &key, false, 0, boot()), 0);
	EXPECT(key, STANDING_BAD);
	now_s = 2 * DAY - 1;
	good(key);
	EXPECT(key, STANDING_BAD);
	now_s++;
	EXPECT(key, STANDING_NONE); /* what it had earned is gone */
	good(key);
	EXPECT(key, STANDING_CANDIDATE);
	CU_ASSERT_EQUAL(known_mark(known, &key, false, 60, boot()), 0);
	now_s += 60;
	EXPECT(key, STANDING_NONE);
	end();
}

static void marked_good(void)
{
	struct prefix_key key, other;

	begin(100);
	key = key_of("192.0.2.1");
	other = key_of("192.0.2.2");
	CU_ASSERT_EQUAL(known_mark(known, &key, true, 0, boot()), 0);
	CU_ASSERT_EQUAL(known_mark(known, &other, true, HOUR, boot()), 0);
	EXPECT(key, STANDING_GOOD);
	now_s = HOUR / 2;
	session(other, SESSION_PRESSED, 5000, true);
	now_s = HOUR;
	EXPECT(other, STANDING_CANDIDATE); /* what it did meanwhile has counted */
	now_s = DAY;
	good(other);
	EXPECT(other, STANDING_KNOWN);
	now_s = 60 * DAY - 1;
	EXPECT(key, STANDING_GOOD);
	now_s++;
	EXPECT(key, STANDING_NONE);
	end();
}

static void a_later_mark_wins(void)
{
	struct prefix_key key;

	begin(100);
	key = key_of("192.0.2.1");
	known_mark(known, &key, false, 0, boot());
	known_mark(known, &key, true, HOUR, boot());
	EXPECT(key, STANDING_GOOD);
	known_mark(known, &key, false, HOUR, boot());
	EXPECT(key, STANDING_BAD);
	known_add(known, &key, boot());
	EXPECT(key, STANDING_ADDED);
	known_mark(known, &key, false, HOUR, boot());
	EXPECT(key, STANDING_BAD);
	now_s = HOUR;
	EXPECT(key, STANDING_ADDED);
	end();
}

static void added_stays_until_forgotten(void)
{
	struct prefix_key key;
	struct known_view view;

	begin(100);
	key = key_of("192.0.2.1");
	CU_ASSERT_EQUAL(known_forget(known, &key, boot()), -ENOENT);
	CU_ASSERT_EQUAL(known_add(known, &key, boot()), 0);
	CU_ASSERT_TRUE(known_get(known, &key, boot(), &view));
	CU_ASSERT_EQUAL(view.left_s, NEVER_NS);
	CU_ASSERT_EQUAL(view.seen_s, NEVER_NS);
	now_s = 3000 * DAY;
	known_expire(known, boot(), 100);
	EXPECT(key, STANDING_ADDED);
	CU_ASSERT_EQUAL(known_forget(known, &key, boot()), 0);
	EXPECT(key, STANDING_NONE);
	CU_ASSERT_EQUAL(counts().sources, 0);
	for (uint32_t n = 0; n < 100; n++) {
		key = nth(n);
		CU_ASSERT_EQUAL(known_add(known, &key, boot()), 0);
	}
	CU_ASSERT_EQUAL(known_forget_all(known), 100);
	CU_ASSERT_EQUAL(counts().sources, 0);
	CU_ASSERT_EQUAL(known_forget_all(known), 0);
	end();
}

/* --- the full table --------------------------------------------------------------------------- */

static void a_full_table_gives_up_candidates_only(void)
{
	struct prefix_key key;

	begin(10);
	for (uint32_t n = 0; n < 10; n++, now_s++) {
		key = nth(n);
		if (n < 5)
			known_add(known, &key, boot());
		else
			good(key);
	}
	good(nth(5)); /* seen again: the sixth is now the one seen longest ago */
	good(nth(10));
	EXPECT(nth(6), STANDING_NONE);
	EXPECT(nth(5), STANDING_CANDIDATE);
	EXPECT(nth(10), STANDING_CANDIDATE);
	CU_ASSERT_EQUAL(counts().evicted, 1);
	for (uint32_t n = 100; n < 1100; n++)
		good(nth(n));
	CU_ASSERT_EQUAL(counts().sources, 10);
	CU_ASSERT_EQUAL(counts().refused, 0);
	for (uint32_t n = 0; n < 5; n++)
		EXPECT(nth(n), STANDING_ADDED);
	CU_ASSERT_EQUAL(known_room(known), 5);
	for (uint32_t n = 20; n < 25; n++) {
		key = nth(n);
		CU_ASSERT_EQUAL(known_mark(known, &key, n % 2, 0, boot()), 0);
	}
	CU_ASSERT_EQUAL(known_room(known), 0);
	good(nth(30));
	key = nth(31);
	CU_ASSERT_EQUAL(known_add(known, &key, boot()), -ENOSPC);
	CU_ASSERT_EQUAL(counts().refused, 2);
	EXPECT(nth(30), STANDING_NONE);
	/* One whose time is over makes room, and so a candidate stays. */
	now_s += 25 * HOUR;
	good(nth(30));
	EXPECT(nth(30), STANDING_CANDIDATE);
	CU_ASSERT_EQUAL(counts().refused, 2);
	end();
}

static void who_is_over_goes_before_a_candidate(void)
{
	struct prefix_key key;

	begin(3);
	good(nth(1));
	key = nth(2);
	known_mark(known, &key, false, HOUR, boot());
	good(nth(3));
	now_s = HOUR;
	good(nth(4));
	EXPECT(nth(1), STANDING_CANDIDATE);
	EXPECT(nth(3), STANDING_CANDIDATE);
	EXPECT(nth(4), STANDING_CANDIDATE);
	CU_ASSERT_EQUAL(counts().evicted, 0);
	CU_ASSERT_EQUAL(counts().expired, 1);
	end();
}

/* A storm over a full table: an hour of it at 300 sessions a second, in a moment. */
static void a_storm_over_a_full_table_is_cheap(void)
{
	const uint32_t sessions = 300 * 3600;
	clock_t from;
	double took;

	begin(KNOWN_MOST);
	for (uint32_t n = 0; n < KNOWN_MOST; n++)
		good(nth(n));
	from = clock();
	for (uint32_t n = 0; n < sessions; n++) {
		now_s += n % 300 == 0;
		good(nth(KNOWN_MOST + n));
	}
	took = (double)(clock() - from) / CLOCKS_PER_SEC;
	CU_ASSERT_EQUAL(counts().evicted, sessions);
	CU_ASSERT_EQUAL(counts().sources, KNOWN_MOST);
	/* 3.3 us each at least, with the sanitizers and on a busy machine: 1 ‰ of the time. */
	CHECK(took < 36, "%.1f s for %u sessions", took, sessions);
	end();
}

/* --- the kernel ------------------------------------------------------------------------------- */

/* The kernel's map, by the number of the source. */
static struct learned map[KEYS];

static void tell_kernel(void)
{
	struct known_change change;
	int told = 0;

	while (known_next_change(known, boot(), MONO_NS + now_s * NSEC_PER_SEC, &change)) {
		uint32_t n = 0;

		CU_ASSERT_TRUE_FATAL(told++ < 2 * KEYS);
		for (struct prefix_key key = nth(0); memcmp(&key, &change.key, sizeof(key));)
			key = nth(++n);
		CU_ASSERT_TRUE_FATAL(n < KEYS);
		if (change.learned.class == CLASS_UNKNOWN)
			CHECK(map[n].class != CLASS_UNKNOWN, "source %u: deleted twice", n);
		map[n] = change.learned;
	}
}

/* The kernel judges each source as the table does, and until the same end, or an hour more. */
static void expect_kernel(void)
{
	static const enum class class_of[STANDINGS] = {[STANDING_KNOWN] = CLASS_KNOWN,
						       [STANDING_GOOD] = CLASS_KNOWN,
						       [STANDING_ADDED] = CLASS_KNOWN,
						       [STANDING_BAD] = CLASS_THROTTLED};

	for (uint32_t n = 0; n < KEYS; n++) {
		uint64_t mono_ns = MONO_NS + now_s * NSEC_PER_SEC, left_s;
		struct prefix_key key = nth(n);
		struct known_view view;

		known_get(known, &key, boot(), &view);
		CHECK(map[n].class == class_of[view.standing], "source %u is %s, and told as %u", n,
		      standing_name(view.standing), map[n].class);
		if (map[n].class == CLASS_UNKNOWN)
			continue;
		if (view.left_s == NEVER_NS) {
			CU_ASSERT_EQUAL(map[n].until_ns, NEVER_NS);
			continue;
		}
		left_s = (map[n].until_ns - mono_ns) / NSEC_PER_SEC;
		CHECK(left_s >= view.left_s && left_s <= view.left_s + HOUR &&
			      (left_s == view.left_s || view.standing == STANDING_KNOWN),
		      "source %u (%s) has %llu s left, and is told %llu", n,
		      standing_name(view.standing), (unsigned long long)view.left_s,
		      (unsigned long long)left_s);
	}
}

static void what_the_kernel_is_told(void)
{
	struct known_change change;
	struct prefix_key key = nth(1);

	begin(100);
	memset(map, 0, sizeof(map));
	CU_ASSERT_FALSE(session(key, 0, 4096, true)); /* of a candidate: nothing */
	CU_ASSERT_FALSE(known_next_change(known, boot(), MONO_NS, &change));
	now_s = DAY;
	CU_ASSERT_TRUE(session(key, 0, 4096, true));
	tell_kernel();
	CU_ASSERT_EQUAL(map[1].class, CLASS_KNOWN);
	expect_kernel();
	/* Mail after mail: told again only when the hour ahead is used up. */
	now_s += HOUR;
	CU_ASSERT_FALSE(session(key, 0, 4096, true));
	now_s++;
	CU_ASSERT_TRUE(session(key, 0, 4096, true));
	tell_kernel();
	expect_kernel();
	/* Taken back before it was told: nothing to tell. */
	key = nth(2);
	known_mark(known, &key, false, 0, boot());
	known_forget(known, &key, boot());
	CU_ASSERT_FALSE(known_next_change(known, boot(), MONO_NS, &change));
	/* Forgotten and back before the kernel knew: one change. */
	key = nth(1);
	known_forget(known, &key, boot());
	EXPECT(key, STANDING_NONE);
	known_add(known, &key, boot());
	CU_ASSERT_TRUE(known_next_change(known, boot(), MONO_NS, &change));
	CU_ASSERT_EQUAL(change.learned.class, CLASS_KNOWN);
	CU_ASSERT_EQUAL(change.learned.until_ns, NEVER_NS);
	CU_ASSERT_FALSE(known_next_change(known, boot(), MONO_NS, &change));
	known_tell_all(known);
	CU_ASSERT_TRUE(known_next_change(known, boot(), MONO_NS, &change));
	CU_ASSERT_FALSE(known_next_change(known, boot(), MONO_NS, &change));
	known_forget(known, &key, boot());
	CU_ASSERT_TRUE(known_next_change(known, boot(), MONO_NS, &change));
	CU_ASSERT_EQUAL(change.learned.class, CLASS_UNKNOWN);
	end();
}

/* What lives and what waits to be told share a table that nobody empties: it is never overrun. */
static void nobody_fetches_the_changes(void)
{
	struct known_change change;
	size_t changes = 0;
	struct prefix_key key;

	begin(100);
	for (uint32_t n = 0; n < 1000; n++) {
		key = nth(n);
		if (!known_add(known, &key, boot()))
			known_tell_all(known);
		while (n < 100 && known_next_change(known, boot(), MONO_NS, &change))
			;
		if (n >= 99)
			known_forget_all(known);
	}
	CU_ASSERT_EQUAL(counts().sources, 0);
	CU_ASSERT_TRUE(counts().refused > 0);
	CU_ASSERT_EQUAL(known_room(known), 0);
	while (known_next_change(known, boot(), MONO_NS, &change))
		changes += change.learned.class == CLASS_UNKNOWN;
	CU_ASSERT_EQUAL(changes, 100);
	CU_ASSERT_EQUAL(known_room(known), 100);
	for (uint32_t n = 0; n < 100; n++) {
		key = nth(n);
		CU_ASSERT_EQUAL(known_add(known, &key, boot()), 0);
	}
	end();
}

/* One step of anything that can happen. */
static void step(void)
{
	struct prefix_key key = nth((uint32_t)random() % KEYS);
	long what = random() % 100;

	if (what < 80)
		session(key, random() % 3 ? 0 : SESSION_PRESSED, 4000 + (uint64_t)random() % 500,
			random() % 8);
	else if (what < 84)
		known_add(known, &key, boot());
	else if (what < 92)
		known_mark(known, &key, what % 2, (uint64_t)random() % (3 * DAY), boot());
	else if (what < 98)
		known_forget(known, &key, boot());
	else
		known_expire(known, boot(), 3);
}

/* A table that is too small for all: it keeps its bound, and the kernel is always up to date. */
static void anything_in_any_order(void)
{
	begin(KEYS / 2);
	memset(map, 0, sizeof(map));
	srandom(11);
	for (int i = 0; i < 50000; i++) {
		struct known_counts c;
		uint64_t sum = 0;

		now_s += (uint64_t)random() % (random() % 4 ? HOUR : 2 * DAY);
		step();
		if (random() % 5)
			continue;
		known_expire(known, boot(), KEYS);
		tell_kernel();
		expect_kernel();
		c = counts();
		for (int s = 0; s < STANDINGS; s++)
			sum += c.now[s];
		CU_ASSERT_TRUE(c.sources <= KEYS / 2);
		CU_ASSERT_EQUAL(c.sources, sum);
	}
	CU_ASSERT_TRUE(counts().evicted > 100 && counts().expired > 100 && counts().promoted > 100);
	end();
}

/* --- keys and lists --------------------------------------------------------------------------- */

static void addresses_of_nobody(void)
{
	static const char *const nobody[] = {"0.0.0.0",		"0.1.2.3",   "127.0.0.1",
					     "169.254.1.1",	"224.0.0.1", "240.1.1.1",
					     "255.255.255.255", "::",	     "::1",
					     "fe80::1",		"ff02::1",   "::ffff:127.0.0.1"};
	static const char *const somebody[] = {"1.0.0.1",	"126.1.1.1",   "128.0.0.1",
					       "223.255.255.1", "169.253.1.1", "2001:db8::1",
					       "fec0::1"};
	struct config_error err;
	struct prefix_key key;

	begin(10);
	for (size_t i = 0; i < sizeof(nobody) / sizeof(*nobody); i++)
		CHECK(known_parse_sender(nobody[i], &config, &key, &err) == -EINVAL &&
			      strstr(err.text, "is no sender's address"),
		      "%s is taken", nobody[i]);
	for (size_t i = 0; i < sizeof(somebody) / sizeof(*somebody); i++)
		CHECK(!known_parse_sender(somebody[i], &config, &key, &err), "%s is refused: %s",
		      somebody[i], err.text);
	end();
}

static void addresses_of_sources(void)
{
	static const struct {
		const char *text, *key, *error;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1/32", NULL},
		{"192.0.2.1/32", "192.0.2.1/32", NULL},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", NULL},
		{"2001:db8:1:2::/64", "2001:db8:1:2::/64", NULL},
		{"2001:db8:1:2::1/64", NULL, "has host bits set: 2001:db8:1:2::/64 was meant?"},
		{"192.0.2.0/24", NULL,
		 "192.0.2.0/24 is not one source, which is a /32 here: other"},
		{"2001:db8::/48", NULL, "is not one source, which is a /64 here"},
		{"2001:db8::/128", NULL, "is not one source, which is a /64 here"},
		{"192.0.2.1/33", NULL, "'192.0.2.1/33' has no such length: a number from 1 to 32"},
		{"192.0.2.1/", NULL, "has no such length"},
		{"::ffff:192.0.2.1", "192.0.2.1/32", NULL},
		{"::FFFF:192.0.2.1/32", "192.0.2.1/32", NULL},
		{"::ffff:c000:201", NULL, "'::ffff:c000:201' is no address"},
		{"127.0.0.1", "127.0.0.1/32", NULL}, /* whoever reads the file of an older one */
		{"mail.example.org", NULL, "is no address: one such as 192.0.2.1"},
		{"", NULL, "'' is no address"},
		{"192.0.2.1\033[2J", NULL, "'192.0.2.1?[2J' is no address"},
		{"1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1", NULL,
		 "is no address"},
	};

	begin(10);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_error err = {};
		struct prefix_key key;
		char text[KNOWN_KEY_TEXT] = "";
		int bad = known_parse(rows[i].text, &config, &key, &err);

		if (!bad)
			known_key_text(&key, text);
		CHECK(!bad == !!rows[i].key, "%s: %d %s", rows[i].text, bad, err.text);
		if (rows[i].key)
			CU_ASSERT_STRING_EQUAL(text, rows[i].key);
		if (rows[i].error)
			CHECK(strstr(err.text, rows[i].error), "%s: %s", rows[i].text, err.text);
	}
	end();
}

static void a_list_in_steps_has_each_once(void)
{
	struct known_view view[7];
	size_t cursor = 0, total = 0, steps = 0, count;

	begin(1000);
	for (uint32_t n = 0; n < 500; n++)
		good(nth(n));
	do {
		struct prefix_key gone = nth(2 * (uint32_t)steps),
				  fresh = nth(1000 + (uint32_t)steps);

		count = known_list(known, boot(), &cursor, view, 7);
		for (size_t i = 0; i < count; i++)
			total += view[i].key.addr.word[3] < 500 && view[i].key.bits == 128;
		known_forget(known, &gone, boot()); /* v6: not of those that are counted */
		good(fresh);
		CU_ASSERT_FATAL(++steps < 500);
	} while (cursor);
	CU_ASSERT_EQUAL(total, 250);
	end();
}

/* --- the file --------------------------------------------------------------------------------- */

static void begin_file(size_t most)
{
	begin(most);
	snprintf(folder, sizeof(folder), "/tmp/sluice-known-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/known", folder);
}

/* Names in the folder that begin so; all are removed if so said. */
static size_t names(const char *head, bool drop)
{
	DIR *d = opendir(folder);
	const struct dirent *entry;
	size_t count = 0;

	while (d && (entry = readdir(d))) {
		if (entry->d_name[0] == '.' || strncmp(entry->d_name, head, strlen(head)))
			continue;
		count++;
		if (drop && unlinkat(dirfd(d), entry->d_name, 0))
			unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR);
	}
	closedir(d);
	return count;
}

static void end_file(void)
{
	end();
	names("", true);
	CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static int load(uint64_t wall_s, struct config_error *said)
{
	return known_load(known, path, wall_s, boot(), said);
}

static void save(void)
{
	struct config_error err = {};

	CHECK(!known_save(known, boot(), &err), "%s", err.text);
}

/* A new daemon, at a moment of the wall clock. */
static int restart(uint64_t wall_s, struct config_error *said)
{
	known_close(known);
	now_s = 0;
	known = make(1000, wall_s);
	return load(wall_s, said);
}

static void put(const char *text, size_t size)
{
	FILE *f = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fwrite(text, 1, size, f);
	fclose(f);
}

static size_t get(char *text, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, size - 1, f) : 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fclose(f);
	text[n] = '\0';
	return n;
}

/* One of each standing, in a file that was written a day after the first. */
static void fill(void)
{
	struct config_error said;
	struct prefix_key key;

	CU_ASSERT_EQUAL(load(BEGIN_S, &said), 0);
	CU_ASSERT_STRING_EQUAL(said.text, "");
	good(key_of("192.0.2.1"));
	now_s = DAY;
	good(key_of("192.0.2.1"));
	good(key_of("2001:db8:0:1::"));
	key = key_of("192.0.2.3");
	known_add(known, &key, boot());
	key = key_of("192.0.2.4");
	known_mark(known, &key, true, HOUR, boot());
	key = key_of("192.0.2.5");
	known_mark(known, &key, false, 0, boot());
	save();
}

static void the_file_brings_all_back(void)
{
	struct config_error said;
	struct known_view view;
	struct prefix_key key;
	char first[4096], second[4096];

	begin_file(1000);
	fill();
	get(first, sizeof(first));
	CU_ASSERT_EQUAL(restart(BEGIN_S + DAY, &said), 0);
	CU_ASSERT_STRING_EQUAL(said.text, "");
	EXPECT(key_of("192.0.2.1"), STANDING_KNOWN);
	EXPECT(key_of("2001:db8:0:1::"), STANDING_CANDIDATE);
	EXPECT(key_of("192.0.2.3"), STANDING_ADDED);
	EXPECT(key_of("192.0.2.4"), STANDING_GOOD);
	EXPECT(key_of("192.0.2.5"), STANDING_BAD);
	CU_ASSERT_EQUAL(counts().sources, 5);
	key = key_of("192.0.2.5");
	known_get(known, &key, boot(), &view);
	CU_ASSERT_EQUAL(view.left_s, DAY);
	now_s = 19 * HOUR;
	good(key_of("2001:db8:0:1::"));
	EXPECT(key_of("2001:db8:0:1::"), STANDING_CANDIDATE);
	now_s = 20 * HOUR;
	good(key_of("2001:db8:0:1::"));
	EXPECT(key_of("2001:db8:0:1::"), STANDING_KNOWN);
	/* Its second day is not in the file yet: a file is written whole, or not at all. */
	get(second, sizeof(second));
	CU_ASSERT_STRING_EQUAL(first, second);
	CU_ASSERT_EQUAL(names("", false), 1);
	end_file();
}

static void written_when_due_and_changed(void)
{
	struct config_error err = {};
	struct stat st;

	begin_file(1000);
	CU_ASSERT_EQUAL(load(BEGIN_S, &err), 0);
	now_s = DAY;
	CU_ASSERT_FALSE(known_save_due(known, boot()));
	save();
	CU_ASSERT_EQUAL(names("", false), 0); /* nobody is in the table: nothing to keep */
	good(key_of("192.0.2.1"));
	CU_ASSERT_TRUE(known_save_due(known, boot()));
	save();
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0644);
	good(key_of("192.0.2.1"));
	now_s += 599;
	CU_ASSERT_FALSE(known_save_due(known, boot()));
	now_s++;
	CU_ASSERT_TRUE(known_save_due(known, boot()));
	/* A path that cannot be written: one sentence, and due again ten minutes later. */
	unlink(path);
	CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
	CU_ASSERT_TRUE(known_save(known, boot(), &err) < 0);
	CHECK(strstr(err.text, "the known senders cannot be kept in /tmp/sluice-known-"), "%s",
	      err.text);
	CU_ASSERT_STRING_EQUAL(known_problem(known), err.text);
	CU_ASSERT_FALSE(known_save_due(known, boot()));
	CU_ASSERT_EQUAL(names("known.tmp", false), 0);
	rmdir(path);
	now_s += 600;
	CU_ASSERT_TRUE(known_save_due(known, boot()));
	save();
	CU_ASSERT_STRING_EQUAL(known_problem(known), "");
	now_s += 600;
	CU_ASSERT_FALSE(known_save_due(known, boot())); /* nothing new */
	end_file();
}

static void the_folder_is_made(void)
{
	struct config_error err = {};
	char deep[192];

	begin_file(1000);
	snprintf(deep, sizeof(deep), "%s/mx/known", folder);
	CU_ASSERT_EQUAL(known_load(known, deep, BEGIN_S, boot(), &err), 0);
	good(key_of("192.0.2.1"));
	save();
	CU_ASSERT_EQUAL(unlink(deep), 0);
	*strrchr(deep, '/') = '\0';
	CU_ASSERT_EQUAL(rmdir(deep), 0);
	snprintf(deep, sizeof(deep), "%s/a/b/known", folder);
	known_close(known);
	known = make(1000, BEGIN_S);
	CU_ASSERT_EQUAL(known_load(known, deep, BEGIN_S, boot(), &err), 0);
	good(key_of("192.0.2.1"));
	CU_ASSERT_EQUAL(known_save(known, boot(), &err), -ENOENT);
	end_file();
}

/* The folder's name is a file's when the start asks; then it is a folder again. */
static void no_place_is_told_at_the_start(void)
{
	struct config_error err = {};
	int fd;

	begin_file(1000);
	CU_ASSERT_EQUAL(load(BEGIN_S, &err), 0);
	CU_ASSERT_EQUAL(known_can_save(known, &err), 0);
	CU_ASSERT_STRING_EQUAL(known_problem(known), "");
	CU_ASSERT_EQUAL(names("", false), 0);
	CU_ASSERT_EQUAL(rmdir(folder), 0);
	fd = open(folder, O_WRONLY | O_CREAT | O_EXCL, 0600);
	CU_ASSERT_TRUE(fd >= 0 && !close(fd));
	CU_ASSERT_EQUAL(known_can_save(known, &err), -ENOTDIR);
	CHECK(strstr(err.text, "the known senders will not be kept in /tmp/sluice-known-"), "%s",
	      err.text);
	CU_ASSERT_STRING_EQUAL(known_problem(known), err.text);
	CU_ASSERT_EQUAL(unlink(folder), 0);
	good(key_of("192.0.2.1"));
	save();
	CU_ASSERT_STRING_EQUAL(known_problem(known), "");
	end_file();
}

static void no_file_is_kept_without_a_path(void)
{
	struct config_error err = {};

	begin(10);
	CU_ASSERT_EQUAL(known_load(known, "", BEGIN_S, boot(), &err), 0);
	good(key_of("192.0.2.1"));
	now_s = DAY;
	CU_ASSERT_FALSE(known_save_due(known, boot()));
	CU_ASSERT_EQUAL(known_save(known, boot(), &err), 0);
	end();
}

/* The table of the file that was put is not believed: said, empty, and set aside. */
static void expect_aside(int code, const char *why)
{
	struct config_error said = {};
	int bad = restart(BEGIN_S + DAY, &said);

	CHECK(bad == code, "%d, not %d: %s", bad, code, said.text);
	CHECK(strstr(said.text, why) != NULL, "said: %s, not: %s", said.text, why);
	CHECK(strstr(said.text, "set aside as ") != NULL, "%s", said.text);
	CU_ASSERT_STRING_EQUAL(known_problem(known), said.text);
	CU_ASSERT_EQUAL(counts().sources, 0);
	CU_ASSERT_TRUE(access(path, F_OK) != 0);
	CU_ASSERT_EQUAL(names("known.damaged-0017", false), 1);
	names("known.damaged-", true);
}

static void cut_at_any_byte(void)
{
	char text[4096];
	size_t size;

	begin_file(1000);
	fill();
	size = get(text, sizeof(text));
	for (size_t n = 0; n < size; n++) {
		put(text, n);
		expect_aside(-EBADMSG, "is damaged (");
	}
	memcpy(text + size, text, size);
	for (size_t n = 1; n < size; n += 7) {
		put(text, size + n);
		expect_aside(-EBADMSG, "is damaged (");
	}
	end_file();
}

static void any_bit_flipped(void)
{
	char text[4096];
	size_t size;

	begin_file(1000);
	fill();
	size = get(text, sizeof(text));
	for (size_t n = 0; n < size * 8; n++) {
		struct config_error said;
		int bad;

		text[n / 8] ^= (char)(1 << n % 8);
		put(text, size);
		bad = restart(BEGIN_S + DAY, &said);
		CHECK(bad == -EBADMSG || bad == -EPROTO, "bit %zu: %d %s", n, bad, said.text);
		CU_ASSERT_EQUAL(counts().sources, 0);
		names("known.damaged-", true);
		text[n / 8] ^= (char)(1 << n % 8);
	}
	put(text, size);
	CU_ASSERT_EQUAL(restart(BEGIN_S + DAY, &(struct config_error){}), 0);
	CU_ASSERT_EQUAL(counts().sources, 5);
	end_file();
}

/* Puts a file whose sum is right, whatever it says. */
static void put_summed(const char *text)
{
	char whole[4096];
	uint32_t crc = ~0U;

	for (const char *p = text; *p; p++)
		for (int bit = 0; bit < 8; bit++) {
			uint32_t odd = (crc ^ (uint32_t)(uint8_t)*p >> bit) & 1;

			crc = crc >> 1 ^ (odd ? 0xedb88320U : 0);
		}
	snprintf(whole, sizeof(whole), "%scrc32 %08x\n", text, ~crc);
	put(whole, strlen(whole));
}

#define HEAD "sluice-known 1 1700000000 "

/* Whole, but not what we would have written: as from a program that has gone wrong. */
static void whole_but_wrong(void)
{
	static const struct {
		const char *text;
		int code;
		const char *why;
	} rows[] = {
		{"", -EBADMSG, "it does not begin with 'sluice-known '"},
		{"sluice-known 0 1 0\n", -EBADMSG, "it has no version"},
		{"sluice-known 2 1 0\n", -EPROTO,
		 "is of a newer version (2, and this one reads 1)"},
		{"sluice-known 12\nwhat ever\n", -EPROTO, "is of a newer version (12,"},
		{"sluice-known 1 1\n", -EBADMSG, "its first line"},
		{"sluice-known 1 -1 0\n", -EBADMSG, "its first line"},
		{"sluice-known 1 18446744073709551615 0\n", -EBADMSG, "its first line"},
		{HEAD "1\n", -EBADMSG, "an entry is not understood"},
		{HEAD "0\n192.0.2.1/32 1 5 5 0 0 0\n", -EBADMSG, "more entries than it says"},
		{HEAD "1001\n", -EFBIG, "has 1001 entries, and at most 1000 are read"},
		{HEAD "1\n192.0.2.1 1 5 5 0 0 0\n", -EBADMSG, "an entry"},
		{HEAD "1\n192.0.2.1/24 1 5 5 0 0 0\n", -EBADMSG, "an entry"},
		{HEAD "1\n192.0.2.1/32 1 5 6 0 0 0\n", -EBADMSG, "an entry"},
		{HEAD "1\n192.0.2.1/32 1 1700000001 5 0 0 0\n", -EBADMSG, "an entry"},
		{HEAD "1\n192.0.2.1/32 65536 5 5 0 0 0\n", -EBADMSG, "an entry"},
		{HEAD "1\n192.0.2.1/32 1 5 5 2 0 0\n", -EBADMSG, "an entry"},
		{HEAD "1\n192.0.2.1/32 1 5 5 0 1731622401 0\n", -EBADMSG, "an entry"},
		{HEAD "1\n192.0.2.1/32 1 5 5 0 0 0 0\n", -EBADMSG, "an entry"},
		{HEAD "1\n192.0.2.1/32 1 5 5  0 0 0\n", -EBADMSG, "an entry"},
		{HEAD "1\n192.0.2.1/32 01 5 5 0 0 0\n", -EBADMSG, "an entry"},
		{HEAD "2\n192.0.2.1/32 1 5 5 1 0 0\n192.0.2.1/32 1 5 5 1 0 0\n", -EBADMSG,
		 "a source stands in it twice"},
	};

	begin_file(1000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_summed(rows[i].text);
		expect_aside(rows[i].code, rows[i].why);
	}
	end_file();
}

static void no_plain_file(void)
{
	char other[192];
	struct stat st;

	begin_file(1000);
	CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
	expect_aside(-EISDIR, "is a folder, not a plain file");
	CU_ASSERT_EQUAL(mkfifo(path, 0644), 0);
	expect_aside(-EINVAL, "is not a plain file");
	snprintf(other, sizeof(other), "%s/other", folder);
	CU_ASSERT_EQUAL(symlink(other, path), 0);
	expect_aside(-ELOOP, "is a symbolic link, not a plain file");
	CU_ASSERT_TRUE(lstat(other, &st) != 0);
	put("", 0);
	CU_ASSERT_EQUAL(truncate(path, 1LL << 40), 0); /* sparse */
	expect_aside(-EFBIG, "has 1099511627776 bytes, and at most 8388864 are read");
	end_file();
}

static void few_are_kept_aside(void)
{
	struct config_error said;
	char text[4096];

	begin_file(1000);
	for (uint64_t i = 0; i < 6; i++) {
		put("x", 1);
		/* Two of them within one second. */
		CU_ASSERT_EQUAL(restart(BEGIN_S + i / 2, &said), -EBADMSG);
	}
	CU_ASSERT_EQUAL(names("known.damaged-", false), KNOWN_ASIDE);
	CU_ASSERT_EQUAL(names("known.damaged-001700000000", false), 0);
	/* The table works and is kept in a new file. */
	good(key_of("192.0.2.1"));
	save();
	get(text, sizeof(text));
	CHECK(!strncmp(text, "sluice-known 1 17", 17), "%s", text);
	end_file();
}

static void what_cannot_be_set_aside_is_not_overwritten(void)
{
	struct config_error said;
	char whole[256];

	begin_file(1000);
	put("x", 1);
	snprintf(whole, sizeof(whole), "%s/known", path); /* below a plain file */
	CU_ASSERT_EQUAL(known_load(known, whole, BEGIN_S, boot(), &said), -ENOTDIR);
	CHECK(strstr(said.text, "begins empty and is not kept"), "%s", said.text);
	good(key_of("192.0.2.1"));
	save();
	CU_ASSERT_EQUAL(names("", false), 1);
	end_file();
}

static void entries_keep_their_length(void)
{
	struct config_error said;
	struct prefix_key key, wide;

	begin_file(1000);
	key = key_of("192.0.2.1");
	known_load(known, path, BEGIN_S, boot(), &said);
	known_add(known, &key, boot());
	save();
	config.source_prefix_v4 = 24;
	CU_ASSERT_EQUAL(restart(BEGIN_S, &said), 0);
	EXPECT(key, STANDING_ADDED);
	CU_ASSERT_EQUAL(known_parse("192.0.2.1", &config, &wide, &said), 0);
	EXPECT(wide, STANDING_NONE); /* the length is part of the key */
	/* It can still be named, to be forgotten. */
	CU_ASSERT_EQUAL(known_parse("192.0.2.1/32", &config, &wide, &said), -ERANGE);
	CU_ASSERT_EQUAL(known_forget(known, &wide, boot()), 0);
	end_file();
}

/* --- clocks ----------------------------------------------------------------------------------- */

static void the_clock_at_a_start(void)
{
	struct config_error said;
	struct known_view view;
	struct prefix_key key;

	begin_file(1000);
	fill();
	key = key_of("192.0.2.1");
	/* Off for 10 days: they count. */
	CU_ASSERT_EQUAL(restart(BEGIN_S + 11 * DAY, &said), 0);
	CU_ASSERT_STRING_EQUAL(said.text, "");
	known_get(known, &key, boot(), &view);
	CU_ASSERT_EQUAL(view.seen_s, 10 * DAY);
	EXPECT(key_of("192.0.2.5"), STANDING_NONE);
	/* Behind the file, as without a battery: on from where the file has ended. */
	CU_ASSERT_EQUAL(restart(1000, &said), 0);
	CHECK(strstr(said.text, "the clock is 19676 days behind the table"), "%s", said.text);
	known_get(known, &key, boot(), &view);
	CU_ASSERT_EQUAL(view.seen_s, 0);
	EXPECT(key_of("192.0.2.5"), STANDING_BAD);
	/* Just known-for ahead: believed, and it is over for all but the one by hand. */
	CU_ASSERT_EQUAL(restart(BEGIN_S + 61 * DAY, &said), 0);
	CU_ASSERT_EQUAL(counts().sources, 1);
	/* Ahead by more: a clock that is wrong. Nobody is forgotten. */
	CU_ASSERT_EQUAL(restart(BEGIN_S + 61 * DAY + 1, &said), 0);
	CHECK(strstr(said.text, "the clock is 60 days ahead"), "%s", said.text);
	CU_ASSERT_EQUAL(counts().sources, 5);
	CU_ASSERT_STRING_EQUAL(known_problem(known), "");
	CU_ASSERT_EQUAL(restart(~0ULL, &said), 0);
	CU_ASSERT_EQUAL(counts().sources, 5);
	EXPECT(key, STANDING_KNOWN);
	end_file();
}

/* An empty file has nobody to forget: then the clock is taken as it is. */
static void an_empty_table_takes_any_clock(void)
{
	struct config_error said;

	begin_file(1000);
	fill();
	known_forget_all(known);
	save();
	CU_ASSERT_EQUAL(restart(BEGIN_S + 1000 * DAY, &said), 0);
	CU_ASSERT_STRING_EQUAL(said.text, "");
	CU_ASSERT_EQUAL(counts().sources, 0);
	end_file();
}

/* Who gives way after a restart is who would have without it. */
static void candidates_keep_their_order(void)
{
	struct config_error said;

	begin_file(1000);
	CU_ASSERT_EQUAL(load(BEGIN_S, &said), 0);
	for (uint32_t n = 0; n < 1000; n++, now_s++)
		good(nth(n));
	for (uint32_t n = 0; n < 1000; n++, now_s++)
		good(nth(n * 7 % 1000));
	save();
	CU_ASSERT_EQUAL(restart(BEGIN_S + now_s, &said), 0);
	CU_ASSERT_EQUAL(counts().sources, 1000);
	for (uint32_t n = 0; n < 999; n++) {
		good(nth(1000 + n));
		EXPECT(nth(n * 7 % 1000), STANDING_NONE);
		EXPECT(nth((n + 1) * 7 % 1000), STANDING_CANDIDATE);
	}
	end_file();
}

/* A machine that boots in 1970 and one that boots far ahead; each writes, and is read again. */
static void a_table_of_a_wrong_clock_is_kept(void)
{
	static const uint64_t walls[] = {0, BEGIN_S, ~0ULL};
	struct config_error said;

	for (size_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
		begin_file(1000);
		CU_ASSERT_EQUAL(restart(walls[i], &said), 0);
		good(key_of("192.0.2.1"));
		now_s = DAY;
		good(key_of("192.0.2.1"));
		save();
		for (size_t k = 0; k < sizeof(walls) / sizeof(walls[0]); k++) {
			CU_ASSERT_EQUAL(restart(walls[k], &said), 0);
			EXPECT(key_of("192.0.2.1"), STANDING_KNOWN);
		}
		end_file();
	}
}

/* BOOTTIME does not go back; a moment that was taken before another's is no harm. */
static void an_older_moment_is_no_step_back(void)
{
	struct known_view view;
	struct prefix_key key;

	begin(10);
	now_s = DAY;
	key = key_of("192.0.2.1");
	good(key);
	now_s = DAY - 1;
	good(key);
	EXPECT(key, STANDING_CANDIDATE);
	now_s = 0;
	good(key);
	EXPECT(key, STANDING_CANDIDATE);
	CU_ASSERT_TRUE(known_get(known, &key, boot(), &view));
	CU_ASSERT_EQUAL(view.seen_s, 0);
	end();
}

void suite_known(void)
{
	static CU_TestInfo tests[] = {
		{"two days that lie 20 hours apart", two_days_that_lie_20_hours_apart},
		{"midnight makes no second day", midnight_makes_no_second_day},
		{"three days when three are asked for", three_days_when_three_are_asked_for},
		{"only good sessions count", only_good_sessions_count},
		{"under pressure only candidates earn", under_pressure_only_candidates_earn},
		{"pressed sessions never make an entry", pressed_sessions_never_make_an_entry},
		{"candidates go after two weeks", candidates_go_after_two_weeks},
		{"known ones go after known-for", known_ones_go_after_known_for},
		{"a short known-for", a_short_known_for_holds_for_candidates},
		{"marked bad", marked_bad},
		{"marked good", marked_good},
		{"a later mark wins", a_later_mark_wins},
		{"added stays until forgotten", added_stays_until_forgotten},
		{"a full table gives up candidates only", a_full_table_gives_up_candidates_only},
		{"who is over goes before a candidate", who_is_over_goes_before_a_candidate},
		{"a storm over a full table is cheap", a_storm_over_a_full_table_is_cheap},
		{"what the kernel is told", what_the_kernel_is_told},
		{"nobody fetches the changes", nobody_fetches_the_changes},
		{"anything in any order", anything_in_any_order},
		{"addresses of sources", addresses_of_sources},
		{"addresses that no sender has", addresses_of_nobody},
		{"a list in steps has each once", a_list_in_steps_has_each_once},
		{"the file brings all back", the_file_brings_all_back},
		{"written when due and changed", written_when_due_and_changed},
		{"the folder is made", the_folder_is_made},
		{"no place is told at the start", no_place_is_told_at_the_start},
		{"no file is kept without a path", no_file_is_kept_without_a_path},
		{"a file cut at any byte", cut_at_any_byte},
		{"a file with any bit flipped", any_bit_flipped},
		{"a file that is whole, but wrong", whole_but_wrong},
		{"no plain file", no_plain_file},
		{"few are kept aside", few_are_kept_aside},
		{"what cannot be set aside", what_cannot_be_set_aside_is_not_overwritten},
		{"entries keep their length", entries_keep_their_length},
		{"the clock at a start", the_clock_at_a_start},
		{"an empty table takes any clock", an_empty_table_takes_any_clock},
		{"candidates keep their order", candidates_keep_their_order},
		{"a table of a wrong clock is kept", a_table_of_a_wrong_clock_is_kept},
		{"an older moment is no step back", an_older_moment_is_no_step_back},
		CU_TEST_INFO_NULL,
	};

	unit_suite("known", tests);
}
