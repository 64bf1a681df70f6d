// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a source has held (sessions.h): slot time. It is held against a model of few lines that never looks in between (struct fluid): how
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
		holder_verdict(h, s, 0, 0, at);
	return holder_verdict(h, s, 0, 0, to_ns);
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
		CHECK(holder_verdict(&h, &s, 0, 0, NOW + lasted_ns) == REASONS,
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
	CHECK_U64(holder_verdict(&h, &s, 0, 0, NOW + MS(500)), REASONS);
}

/* A debt that sessions left behind is worked off a second a second, to the nanosecond. */
static void test_open_again(void)
{
	struct session_limits s = slot_time(SEC(60));
	struct holder h = holding(2);

	end(&h, &s, NOW + SEC(130));
	end(&h, &s, NOW + SEC(130));
	CHECK_U64(holder_debt_ns(&h, &s, NOW + SEC(130)), SEC(130));
	CHECK_U64(holder_verdict(&h, &s, 0, 0, NOW + SEC(140) - 1), REASON_SOURCE_TIME);
	CHECK_U64(holder_verdict(&h, &s, 0, 0, NOW + SEC(140)), REASONS);
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
				CHECK_U64(
					holder_verdict(&h, &s, 0, 0, then + MOST_OWED - BURST - 1),
					REASON_SOURCE_TIME);
				CHECK_U64(holder_verdict(&h, &s, 0, 0, then + MOST_OWED - BURST),
					  REASONS);
			}
}

static void test_asked_of_whom(void)
{
	struct session_limits s = limits_of(0, 0, 3, SEC(60)), off = limits_of(0, 0, 0, 0);
	struct holder h = holding(2);

	CHECK_U64(holder_verdict(&h, &s, 0, 0, NOW + SEC(200)), REASON_SOURCE_TIME);
	CHECK_U64(holder_verdict(&h, &s, 1, 0, NOW + SEC(200)), REASONS);
	CHECK_U64(holder_verdict(&h, &off, 0, 0, NOW + SEC(200)), REASONS);
	h.sessions = 3; /* asked first, and of known senders at twice as many */
	CHECK_U64(holder_verdict(&h, &s, 0, 0, NOW + SEC(200)), REASON_SOURCE_SESSIONS);
	for (h.sessions = 3; h.sessions < 6; h.sessions++)
		CHECK_U64(holder_verdict(&h, &s, 1, 0, NOW + SEC(200)), REASONS);
	CHECK_U64(holder_verdict(&h, &s, 1, 0, NOW + SEC(200)), REASON_SOURCE_SESSIONS);
	h.sessions = UINT64_MAX;
	CHECK_U64(holder_verdict(&h, &off, 0, 0, NOW + SEC(200)), REASONS);
	s.per_source = UINT32_MAX; /* twice that is no small number */
	h.sessions = UINT32_MAX;
	CHECK_U64(holder_verdict(&h, &s, 1, 0, NOW), REASONS);
	CHECK_U64(holder_verdict(NULL, &s, 0, 0, NOW), REASONS); /* never had a session */
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
	CHECK_U64(holder_verdict(&h, &s, 0, 0, now + MOST_OWED), REASONS);
}

static void test_any_history(void)
{
	for (__u64 seed = 1; seed <= 300; seed++)
		history(seed);
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
		CU_TEST_INFO_NULL,
	};

	unit_suite("sessions", tests);
}
