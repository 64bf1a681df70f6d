// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is held open (sessions.h): slots, attempts on their way to one, slot time, the accept queue.
 *
 * Slot time is held against a model of few lines that never looks in between (struct fluid): how
 * often somebody looks must make no difference.
 */
#include <stdlib.h>

#include "rig.h"

#define NOW	  RIG_START_NS
#define TICK	  MS(4)
#define MOST_OWED (SLOT_DEBT_BURSTS * BURST)
#define BURST	  SEC(120) /* the debt at which an unknown source opens nothing new */
#define HOUR	  SEC(3600)

static struct session_limits limits_of(__u32 most, __u32 share, __u32 per_source, __u64 minute_ns)
{
	static struct policy p; /* too large for the stack's taste */
	struct config c = rig_config();

	c.max_sessions = most;
	c.known_share_percent = share;
	c.max_sessions_per_source = per_source;
	c.source_session_time_ns = minute_ns;
	if (policy_make(&c, 1, &p))
		unit_fail(__FILE__, __LINE__, "a config of the tests does not make a policy");
	return p.sessions;
}

static struct session_limits slot_time(__u64 minute_ns)
{
	return limits_of(0, 20, 0, minute_ns);
}

/* As the begin of a session is, and its end (sessions.bpf.c). */
static void begin(struct holder *h, const struct session_limits *s, __u64 now_ns)
{
	holder_settle(h, s, now_ns);
	holder_add(h, 1);
}

static void end(struct holder *h, const struct session_limits *s, __u64 now_ns)
{
	holder_settle(h, s, now_ns);
	holder_add(h, -1);
}

/* Looks every so often, 0: never, from one moment to another; the last look is at the end. */
static int look_until(struct holder *h, const struct session_limits *s, __u64 from_ns, __u64 to_ns,
		      __u64 every_ns)
{
	for (__u64 at = from_ns + every_ns; every_ns && at < to_ns; at += every_ns)
		holder_verdict(h, s, 0, at);
	return holder_verdict(h, s, 0, to_ns);
}

/* A source that holds so many sessions from NOW on. */
static struct holder holding(__u64 sessions)
{
	return (struct holder){.since_ns = NOW, .sessions = sessions};
}

/* --- slot time: the figures that an operator is told --------------------------------------- */

static const __u64 looks[] = {0, TICK, MS(700), SEC(10), SEC(60), SEC(600)};

#define EACH_LOOK(every) \
	for (const __u64 *every = looks; every < looks + sizeof(looks) / 8; every++)

/* How long a source may hold so many sessions before it opens nothing new. */
static void check_dry_after(__u64 minute_ns, __u64 sessions, __u64 after_ns)
{
	struct session_limits s = slot_time(minute_ns);

	EACH_LOOK(every)
	{
		struct holder before = holding(sessions), after = holding(sessions);

		if (*every == TICK && after_ns > HOUR)
			continue;
		CHECK(look_until(&before, &s, NOW, NOW + after_ns - TICK, *every) == REASONS,
		      "%llu sessions at %llu s a minute: dry a tick before %llu ms, looks every "
		      "%llu ms",
		      sessions, minute_ns / SEC(1), after_ns / MS(1), *every / MS(1));
		CHECK(look_until(&after, &s, NOW, NOW + after_ns + TICK, *every) ==
			      REASON_SOURCE_TIME,
		      "%llu sessions at %llu s a minute: not dry a tick after %llu ms, looks every "
		      "%llu ms",
		      sessions, minute_ns / SEC(1), after_ns / MS(1), *every / MS(1));
	}
}

static void test_dry_after(void)
{
	check_dry_after(SEC(60), 2, SEC(120));
	check_dry_after(SEC(60), 3, SEC(60));
	check_dry_after(SEC(60), 61, SEC(2));
	/* 12 s a minute: each second of a session owes five, of which one is worked off. */
	check_dry_after(SEC(12), 1, SEC(30));
	check_dry_after(SEC(12), 2, SEC(120) / 9);
	check_dry_after(SEC(1), 1, SEC(120) / 59);
	check_dry_after(SEC(30), 1, SEC(120));
	check_dry_after(SEC(120), 3, SEC(240));
}

/* What the rate allows is allowed for ever, and leaves no debt behind. */
static void check_sustained(__u64 minute_ns, __u64 sessions)
{
	struct session_limits s = slot_time(minute_ns);

	EACH_LOOK(every)
	{
		struct holder h = holding(sessions);
		__u64 for_ns = *every == TICK ? HOUR : 24 * HOUR;

		CHECK(look_until(&h, &s, NOW, NOW + for_ns, *every) == REASONS,
		      "%llu sessions at %llu s a minute ran dry, looks every %llu ms", sessions,
		      minute_ns / SEC(1), *every / MS(1));
		CHECK(holder_debt_ns(&h, &s, NOW + for_ns) <= TICK,
		      "%llu sessions at %llu s a minute owe %llu ms, looks every %llu ms", sessions,
		      minute_ns / SEC(1), holder_debt_ns(&h, &s, NOW + for_ns) / MS(1),
		      *every / MS(1));
	}
}

static void test_sustained(void)
{
	check_sustained(SEC(60), 1);
	check_sustained(SEC(120), 2);
	check_sustained(HOUR, 60);
}

/* One long delivery, seen only at its begin and its end, is paid for by the time that it takes. */
static void test_long_session(void)
{
	struct session_limits s = slot_time(SEC(60));

	for (__u64 lasted_ns = SEC(1); lasted_ns <= 8 * HOUR; lasted_ns *= 2) {
		struct holder h = {.since_ns = NOW};

		begin(&h, &s, NOW);
		end(&h, &s, NOW + lasted_ns);
		CHECK(holder_verdict(&h, &s, 0, NOW + lasted_ns) == REASONS,
		      "a session of %llu s shuts its source out", lasted_ns / SEC(1));
		CHECK_U64(holder_debt_ns(&h, &s, NOW + lasted_ns), 0);
	}
}

/* Who delivers and goes: a hundred sessions at once of half a second each. */
static void test_quick_sessions(void)
{
	struct session_limits s = slot_time(SEC(60));
	struct holder h = {.since_ns = NOW};

	for (int i = 0; i < 100; i++)
		begin(&h, &s, NOW);
	CHECK_U64(holder_debt_ns(&h, &s, NOW), 0);
	for (int i = 0; i < 100; i++)
		end(&h, &s, NOW + MS(500));
	CHECK_U64(h.sessions, 0);
	CHECK_U64(holder_debt_ns(&h, &s, NOW + MS(500)), MS(49500));
	CHECK_U64(holder_verdict(&h, &s, 0, NOW + MS(500)), REASONS);
}

/* A debt that sessions left behind is worked off a second a second, to the nanosecond. */
static void test_open_again(void)
{
	struct session_limits s = slot_time(SEC(60));
	struct holder h = holding(2);

	end(&h, &s, NOW + SEC(130));
	end(&h, &s, NOW + SEC(130));
	CHECK_U64(holder_debt_ns(&h, &s, NOW + SEC(130)), SEC(130));
	CHECK_U64(holder_verdict(&h, &s, 0, NOW + SEC(140) - 1), REASON_SOURCE_TIME);
	CHECK_U64(holder_verdict(&h, &s, 0, NOW + SEC(140)), REASONS);
	CHECK_U64(holder_debt_ns(&h, &s, NOW + SEC(260)), 0);
}

/* The most that can be owed is SLOT_DEBT_BURSTS, whoever holds how many for how long. */
static void test_most_that_is_owed(void)
{
	static const __u64 counts[] = {3, 1024, 1025, 65535, 65536, UINT32_MAX, UINT64_MAX};
	static const __u64 minutes[] = {SEC(1), SEC(60), HOUR};

	for (int i = 0; i < 7; i++)
		for (int m = 0; m < 3; m++)
			for (__u64 hours = 1; hours <= 1 << 20; hours *= 16) {
				struct session_limits s = slot_time(minutes[m]);
				struct holder h = holding(i || m < 2 ? counts[i] : 1024);
				__u64 then = NOW + hours * HOUR;

				CHECK_U64(holder_debt_ns(&h, &s, then), MOST_OWED);
				CHECK_U64(h.tat_ns, then + MOST_OWED);
				h.sessions = 0;
				CHECK_U64(holder_verdict(&h, &s, 0, then + MOST_OWED - BURST - 1),
					  REASON_SOURCE_TIME);
				CHECK_U64(holder_verdict(&h, &s, 0, then + MOST_OWED - BURST),
					  REASONS);
			}
}

static void test_asked_of_whom(void)
{
	struct session_limits s = limits_of(0, 0, 3, SEC(60)), off = limits_of(0, 0, 0, 0);
	struct holder h = holding(2);

	CHECK_U64(holder_verdict(&h, &s, 0, NOW + SEC(200)), REASON_SOURCE_TIME);
	CHECK_U64(holder_verdict(&h, &s, 1, NOW + SEC(200)), REASONS);
	CHECK_U64(holder_verdict(&h, &off, 0, NOW + SEC(200)), REASONS);
	h.sessions = 3; /* asked first, and of known senders at twice as many */
	CHECK_U64(holder_verdict(&h, &s, 0, NOW + SEC(200)), REASON_SOURCE_SESSIONS);
	for (h.sessions = 3; h.sessions < 6; h.sessions++)
		CHECK_U64(holder_verdict(&h, &s, 1, NOW + SEC(200)), REASONS);
	CHECK_U64(holder_verdict(&h, &s, 1, NOW + SEC(200)), REASON_SOURCE_SESSIONS);
	h.sessions = UINT64_MAX;
	CHECK_U64(holder_verdict(&h, &off, 0, NOW + SEC(200)), REASONS);
	s.per_source = UINT32_MAX; /* twice that is no small number */
	h.sessions = UINT32_MAX;
	CHECK_U64(holder_verdict(&h, &s, 1, NOW), REASONS);
	CHECK_U64(holder_verdict(NULL, &s, 0, NOW), REASONS); /* never had a session */
}

/* Off: nothing is owed for what is held meanwhile, and what was owed is worked off. */
static void test_off_in_between(void)
{
	struct session_limits on = slot_time(SEC(60)), off = slot_time(0);
	struct holder h = holding(2);

	holder_settle(&h, &on, NOW + SEC(100));
	for (int i = 0; i < 40; i++)
		holder_settle(&h, &off, NOW + SEC(101 + i));
	CHECK_U64(holder_debt_ns(&h, &on, NOW + SEC(140)), SEC(60));
	CHECK_U64(holder_debt_ns(&h, &off, NOW + SEC(140)), 0);
}

/* Two CPUs whose clocks are so far apart charge no time twice, and hardly any not at all. */
static void test_clocks_apart(void)
{
	struct session_limits s = slot_time(SEC(60));

	for (__u64 apart = 1; apart <= CLOCK_APART_NS; apart *= 10) {
		struct holder h = holding(2);
		__u64 now, debt;

		for (now = NOW; now < NOW + SEC(60); now += MS(1) + 1) {
			holder_settle(&h, &s, now + apart);
			holder_settle(&h, &s, now);
		}
		debt = holder_debt_ns(&h, &s, now);
		CHECK(debt >= now - NOW - TICK && debt <= now - NOW + 2 * apart + TICK,
		      "%llu ns apart: %llu owed after %llu", apart, debt, now - NOW);
	}
}

static void test_never_below_none(void)
{
	struct holder h = {};

	holder_add(&h, -1);
	CHECK_U64(h.sessions, 0);
	holder_add(&h, 1);
	holder_add(&h, 1);
	holder_add(&h, -1);
	holder_add(&h, -1);
	holder_add(&h, -1);
	CHECK_U64(h.sessions, 0);
}

/* --- slot time: any history ------------------------------------------------------------------ */

/* What is owed runs up by what is held, and down by a second a second, between none and most. */
struct fluid {
	__u64 at_ns, debt_ns, sessions;
	__u64 cost_ns; /* of the last stretch */
};

static void flow(struct fluid *f, __u64 minute_ns, __u64 now_ns)
{
	__u64 dt = now_ns - f->at_ns;

	f->cost_ns = minute_ns ? dt * f->sessions / (minute_ns / SEC(1)) * 60 : 0;
	f->debt_ns += f->cost_ns;
	f->debt_ns = f->debt_ns > dt ? f->debt_ns - dt : 0;
	if (f->debt_ns > MOST_OWED)
		f->debt_ns = MOST_OWED;
	f->at_ns = now_ns;
}

/*
 * Begins, ends, looks and new policies at random moments. The gate may owe less than the model, by
 * what whole numbers lose: a cost that is cut to 16 bits behind the point.
 */
static void history(__u64 seed)
{
	static const __u64 minutes[] = {SEC(60), SEC(12), SEC(1), SEC(120), HOUR, 0};
	__u64 random = seed, now = NOW, minute = minutes[seed % 6];
	struct session_limits s = slot_time(minute);
	struct fluid f = {.at_ns = now};
	struct holder h = {.since_ns = now};

	for (int i = 0; i < 400; i++) {
		__u64 debt, slack;

		now += rig_below(&random, rig_below(&random, 3) ? SEC(3) : SEC(90));
		flow(&f, minute, now);
		switch (rig_below(&random, 5)) {
		case 0:
		case 1:
			begin(&h, &s, now);
			f.sessions++;
			break;
		case 2:
		case 3:
			end(&h, &s, now);
			f.sessions -= f.sessions > 0;
			break;
		default:
			holder_settle(&h, &s, now);
			minute = rig_below(&random, 10) ? minute : minutes[rig_below(&random, 6)];
			s = slot_time(minute);
		}
		CHECK_U64(h.sessions, f.sessions);
		debt = h.tat_ns > now ? h.tat_ns - now : 0;
		slack = f.cost_ns / 3000 + 200;
		CHECK(debt <= f.debt_ns + 200 && debt + slack >= f.debt_ns,
		      "seed %llu, event %d: %llu ns owed, the model says %llu", seed, i, debt,
		      f.debt_ns);
		if (!(debt <= f.debt_ns + 200 && debt + slack >= f.debt_ns))
			return;
		f.debt_ns = debt; /* what was lost is lost: it must not add up here */
	}
	while (h.sessions)
		end(&h, &s, now);
	s = slot_time(minutes[rig_below(&random, 5)]);
	CHECK_U64(holder_verdict(&h, &s, 0, now + MOST_OWED), REASONS);
}

static void test_any_history(void)
{
	for (__u64 seed = 1; seed <= 300; seed++)
		history(seed);
}

/* --- slots ------------------------------------------------------------------------------------- */

static int room(const struct session_limits *s, __s64 sessions, __u32 coming, int known)
{
	struct live l = {.sessions = sessions};

	l.pending[NOW / SEC(1) % PENDING_RING] = pending_word(NOW / SEC(1), coming);
	return sessions_room(s, &l, known, NOW);
}

/* 100 slots, of which 20 are for known senders. */
static void test_slots(void)
{
	struct session_limits s = limits_of(100, 20, 0, 0);

	CHECK_U64(room(&s, 79, 0, 0), ROOM_FREE);
	CHECK_U64(room(&s, 80, 0, 0), ROOM_NONE);
	CHECK_U64(room(&s, 99, 0, 1), ROOM_FREE);
	CHECK_U64(room(&s, 100, 0, 1), ROOM_NONE);
	s = limits_of(100, 0, 0, 0); /* no share: the same for all */
	CHECK_U64(room(&s, 99, 0, 0), ROOM_FREE);
	CHECK_U64(room(&s, 100, 0, 0), ROOM_NONE);
	CHECK_U64(sessions_room(NULL, NULL, 0, NOW), ROOM_FREE);
}

/* Whatever missed events have made of the number: it refuses, or it does not; it never wraps. */
static void test_any_number(void)
{
	static const __s64 low[] = {0, -1, -1000000, INT32_MIN, INT64_MIN};
	static const __s64 high[] = {100,      65536, INT32_MAX, UINT32_MAX, (__s64)UINT32_MAX + 1,
				     INT64_MAX};
	struct session_limits s = limits_of(100, 20, 0, 0);

	for (int i = 0; i < 5; i++)
		for (int known = 0; known < 2; known++) {
			CHECK_U64(room(&s, low[i], 0, known), ROOM_FREE);
			CHECK_U64(room(&s, low[i], UINT32_MAX, known), ROOM_FREE);
		}
	for (int i = 0; i < 6; i++)
		for (int known = 0; known < 2; known++)
			CHECK_U64(room(&s, high[i], 0, known), ROOM_NONE);
}

/* Attempts on their way make newcomers wait, as so many of them as a quarter; never an RST. */
static void test_coming(void)
{
	struct session_limits s = limits_of(100, 20, 0, 0);

	CHECK_U64(room(&s, 60, 19, 0), ROOM_FREE);
	CHECK_U64(room(&s, 60, 20, 0), ROOM_PENDING);
	CHECK_U64(room(&s, 60, 20, 1), ROOM_FREE);
	CHECK_U64(room(&s, 80 - s.pending_most - 1, UINT32_MAX, 0), ROOM_FREE);
	CHECK_U64(room(&s, 80 - s.pending_most, UINT32_MAX, 0), ROOM_PENDING);
	CHECK_U64(room(&s, 79, UINT32_MAX, 0), ROOM_PENDING);
	CHECK_U64(room(&s, 99, UINT32_MAX, 1), ROOM_FREE);
}

/* With no session at all a flood of spoofed SYNs keeps nobody out, whatever the numbers are. */
static void test_spoofed_floods_never_shut_the_door(void)
{
	for (__u32 most = 1; most <= 65536; most += 1 + most / 3)
		for (__u32 share = 0; share <= 90; share++) {
			struct session_limits s = limits_of(most, share, 0, 0);

			CHECK(s.pending_most <= most / 4, "%u of %u", s.pending_most, most);
			CHECK(room(&s, 0, UINT32_MAX, 0) == ROOM_FREE,
			      "max-sessions %u, known-share %u: a flood shuts the door", most,
			      share);
		}
}

/* --- attempts on their way ---------------------------------------------------------------------- */

static void test_pending_window(void)
{
	struct live l = {};

	CHECK_U64(pending_count(&l, NOW), 0);
	for (int i = 0; i < 7; i++)
		CHECK_U64(pending_add(&l, NOW + MS(100) * i), 0);
	CHECK_U64(pending_count(&l, NOW), 7);
	CHECK_U64(pending_count(&l, NOW + SEC(10) - 1), 7);
	CHECK_U64(pending_count(&l, NOW + SEC(10)), 0);
	CHECK_U64(pending_count(&l, NOW + SEC(16)), 0); /* the ring comes round */
	CHECK_U64(pending_add(&l, NOW + SEC(16)), 0);
	CHECK_U64(pending_count(&l, NOW + SEC(16)), 1);
}

static void test_pending_arrives(void)
{
	struct live l = {};

	pending_add(&l, NOW);
	pending_add(&l, NOW + SEC(1));
	CHECK_U64(pending_sub(&l, NOW + MS(999)), 0);
	CHECK_U64(pending_count(&l, NOW + SEC(1)), 1);
	CHECK_U64(pending_sub(&l, NOW), -1ULL); /* no more than there were */
	CHECK_U64(pending_sub(&l, NOW + SEC(17)), -1ULL);
	CHECK_U64(pending_sub(&l, NOW - SEC(15)), -1ULL);
	CHECK_U64(pending_count(&l, NOW + SEC(1)), 1);
	pending_add(&l, NOW + SEC(17)); /* where second 1 was */
	CHECK_U64(pending_sub(&l, NOW + SEC(1)), -1ULL);
	CHECK_U64(pending_count(&l, NOW + SEC(17)), 1);
	CHECK_U64(pending_add(NULL, NOW), -1ULL);
	CHECK_U64(pending_sub(NULL, NOW), -1ULL);
}

/* A CPU that is in the next second already takes nothing from what this one counts. */
static void test_pending_ahead(void)
{
	struct live l = {};

	for (int i = 0; i < 60; i++) {
		pending_add(&l, NOW + SEC(i));
		pending_add(&l, NOW + SEC(i + 1) + MS(2));
		CHECK_U64(pending_count(&l, NOW + SEC(i + 1) - MS(2)), i < 10 ? 2 * i + 1 : 20);
		CHECK_U64(pending_count(&l, NOW + SEC(i + 1) + MS(2)), i < 9 ? 2 * i + 2 : 19);
	}
}

/* Any order of them, a tick to and fro, against a list. */
static void pending_history(__u64 seed, __u64 now)
{
	static __u32 at_s[4096], size;
	struct live l = {};
	__u64 random = seed;

	size = 0;
	for (int i = 0; i < 2000; i++) {
		__u64 then = now - rig_below(&random, 2) * TICK;
		__u32 count = 0;

		if (rig_below(&random, 3)) {
			CHECK_U64(pending_add(&l, then), 0);
			at_s[size++] = then / SEC(1);
		} else if (size) {
			__u32 victim = rig_below(&random, size);

			if ((__u32)(now / SEC(1)) - at_s[victim] < PENDING_RING - 1) {
				CHECK_U64(pending_sub(&l, at_s[victim] * SEC(1)), 0);
				at_s[victim] = at_s[--size];
			}
		}
		for (__u32 j = 0; j < size; j++)
			count += (__u32)(now / SEC(1)) - at_s[j] < PENDING_WINDOW_S;
		CHECK_U64(pending_count(&l, now), count);
		now += rig_below(&random, rig_below(&random, 20) ? MS(100) : SEC(4));
	}
}

static void test_pending_any_order(void)
{
	for (__u64 seed = 1; seed <= 10; seed++)
		pending_history(seed, NOW);
}

/* --- the accept queue --------------------------------------------------------------------------- */

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
	static const enum patience kinds[] = {PATIENCE_NEW, PATIENCE_AGAIN, PATIENCE_KNOWN};
	struct live l = {};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int k = 0; k < 3; k++) {
			struct backlog b = {.most = rows[i].most, .waiting = rows[i].places[k] - 1};

			CHECK(backlog_has_room(&l, &b, kinds[k], NOW), "%u of %u, kind %d: no room",
			      b.waiting, b.most, k);
			b.waiting = UINT32_MAX;
			if (rows[i].places[k] > UINT32_MAX)
				continue;
			CHECK(!backlog_has_room(&l, &b, kinds[k], NOW), "of %u, kind %d: always",
			      b.most, k);
			b.waiting = rows[i].places[k];
			CHECK(!backlog_has_room(&l, &b, kinds[k], NOW), "%u of %u, kind %d: room",
			      b.waiting, b.most, k);
		}
}

/* How many SYNs that are polled together an idle queue lets in, as it does not see them yet. */
static int burst_let_in(struct live *l, const struct backlog *b, int patience, __u64 now_ns)
{
	int n = 0;

	for (; n < 100 && backlog_has_room(l, b, patience, now_ns); n++)
		CHECK_U64(backlog_let_in(l, b->waiting, now_ns), 0);
	return n;
}

static void test_burst_within_a_tick(void)
{
	struct backlog b = {.most = 10};
	struct live l = {};

	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW), 6);
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW), 0);
	b.waiting = 6; /* the queue has them: they count once */
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_AGAIN, NOW), 3);
	b.waiting = 0; /* the MTA has taken all, and the clock goes on */
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW + TICK), 6);
	b.waiting = 4;
	CHECK_U64(burst_let_in(&l, &b, PATIENCE_NEW, NOW + 2 * TICK), 2);
}

void suite_sessions(void)
{
	static CU_TestInfo tests[] = {
		{"so many sessions are dry after so long", test_dry_after},
		{"what the rate allows is allowed for ever", test_sustained},
		{"one long session owes nothing", test_long_session},
		{"who delivers and goes never notices", test_quick_sessions},
		{"a debt is worked off a second a second", test_open_again},
		{"65,536 sessions for years owe two bursts", test_most_that_is_owed},
		{"known senders, limits that are off", test_asked_of_whom},
		{"slot time off in between", test_off_in_between},
		{"two CPUs a tick apart", test_clocks_apart},
		{"never fewer than no sessions", test_never_below_none},
		{"slot time: any history, against a model", test_any_history},
		{"slots and the share of known senders", test_slots},
		{"any number of sessions", test_any_number},
		{"attempts on their way: wait, never RST", test_coming},
		{"a spoofed flood never shuts the door", test_spoofed_floods_never_shut_the_door},
		{"pending: ten seconds", test_pending_window},
		{"pending: until it is a session", test_pending_arrives},
		{"pending: a CPU that is a second ahead", test_pending_ahead},
		{"pending: any order, against a list", test_pending_any_order},
		{"the accept queue: places of each kind", test_places},
		{"the accept queue: a burst within a tick", test_burst_within_a_tick},
		CU_TEST_INFO_NULL,
	};

	unit_suite("sessions", tests);
}
