// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The one-word bucket against exact rational arithmetic.
 *
 * A rate is count / period exactly, and T its nearest nanosecond, so |T - period/count| <= 1/2.
 * The exact bucket keeps its tat in units of 1/count ns, as an integer of 128 bits, and is driven
 * by what the native one admits: the two tats then differ by at most half a nanosecond for each
 * charge since the bucket was last empty, and no decision may differ by more than that.
 */
#include <pthread.h>

#include "rig.h"

typedef __int128 wide;

static struct bucket bucket_of(const struct rate *r, __u64 burst, __u64 retry, __u64 known)
{
	struct bucket b = {.t_ns = policy_interval_ns(r)};

	b.tau1_ns = (burst - 1) * b.t_ns;
	b.tau2_ns = b.tau1_ns + retry * b.t_ns;
	b.tau3_ns = b.tau2_ns + known * b.t_ns;
	b.debt_max_ns = b.tau3_ns + b.t_ns;
	return b;
}

static int charge_at(__u64 *word, const struct bucket *b, __u64 now_ns, __u64 tau_ns)
{
	struct gcra_op op = {.now_ns = now_ns, .cost_ns = b->t_ns, .tau_ns = tau_ns};

	return gcra_charge(word, b, &op);
}

/* Rates from one a day to a million a second, most of them with a T that is no whole number. */
static struct rate random_rate(__u64 *random)
{
	static const __u64 periods[] = {NSEC_PER_SEC, 60 * NSEC_PER_SEC, 10 * NSEC_PER_SEC,
					3600 * NSEC_PER_SEC, 997 * NSEC_PER_MSEC};
	static const __u64 counts[] = {10, 100, 1000, 100000, 1000000};

	return (struct rate){1 + rig_below(random, counts[rig_below(random, 5)]),
			     periods[rig_below(random, 5)]};
}

/* Storms, lulls and pauses around the interval, now and then many at one moment. */
static __u64 random_gap(__u64 *random, __u64 t_ns, __u64 burst)
{
	switch (rig_below(random, 6)) {
	case 0:
		return 0;
	case 1:
		return t_ns;
	case 2:
		return rig_below(random, 2 * t_ns + 2);
	case 3:
		return rig_below(random, 40) ? rig_below(random, t_ns / 8 + 2)
					     : rig_below(random, 2 * burst * t_ns);
	}
	return rig_below(random, t_ns / 3 + 2);
}

struct exact {
	wide tat;     /* in 1/count ns */
	wide charges; /* since the bucket was last empty, in both arithmetics */
};

static void exact_charge(struct exact *e, const struct rate *r, __u64 now_ns)
{
	wide now = (wide)now_ns * r->count;

	e->tat = (e->tat > now ? e->tat : now) + r->period_ns;
	e->charges++;
}

/* Twice how far the debts can differ, in 1/count ns: half a ns a charge, and tau's own share. */
static wide exact_slack(const struct exact *e, const struct rate *r, __u64 tolerance)
{
	return (e->charges + (wide)tolerance) * r->count;
}

/* tolerance: tau in charges. Asserts the decision within the rounding, exactly if there is none. */
static void exact_compare(const struct exact *e, const struct rate *r, __u64 now_ns,
			  __u64 tolerance, int admitted)
{
	wide debt = e->tat - (wide)now_ns * r->count, tau = (wide)tolerance * r->period_ns;
	wide slack = r->period_ns % r->count ? exact_slack(e, r, tolerance) : 0;

	if (debt < 0)
		debt = 0;
	if (admitted)
		CHECK(2 * debt <= 2 * tau + slack, "admitted beyond the exact tolerance");
	else
		CHECK(2 * debt > 2 * tau - slack, "denied what the exact bucket admits");
}

/*
 * Every window: n admitted from i to j means (n - burst) T <= t_j - t_i, for all i < j at once by
 * keeping the least of i T - t_i. Since T >= period/count - 1/2 that is rate x t + burst with the
 * rounding of T as its only excess, which vanishes where T is exact or rounded up.
 */
struct windows {
	wide least, n;
};

static void windows_admit(struct windows *w, const struct rate *r, __u64 t_ns, __u64 most,
			  __u64 now_ns)
{
	bool never_over = (wide)t_ns * r->count >= (wide)r->period_ns;
	/* In 1/count ns; by the exact rate where T is not below it, else by T. */
	wide cost = never_over ? (wide)r->period_ns : (wide)t_ns * r->count;
	wide here = w->n * cost - (wide)now_ns * r->count;

	if (!w->n || here < w->least)
		w->least = here;
	w->n++;
	CHECK(here - w->least <= (wide)(most - 1) * cost, "a window holds more than its bound");
}

static void one_bucket(__u64 *random)
{
	const struct rate r = random_rate(random);
	const __u64 burst = 1 + rig_below(random, 60);
	const struct bucket b = bucket_of(&r, burst, 0, 0);
	struct exact e = {};
	struct windows w = {};
	__u64 now = rig_below(random, SEC(1000000ULL)), word = 0;

	for (int i = 0; i < 1500; i++) {
		int done;

		now += random_gap(random, b.t_ns, burst);
		if (word <= now && e.tat <= (wide)now * r.count)
			e.charges = 0;
		done = charge_at(&word, &b, now, b.tau1_ns);
		exact_compare(&e, &r, now, burst - 1, done == CHARGE_OK);
		if (done != CHARGE_OK)
			continue;
		exact_charge(&e, &r, now);
		windows_admit(&w, &r, b.t_ns, burst, now);
		CHECK(2 * ((wide)word * r.count - e.tat) <= exact_slack(&e, &r, 0) &&
			      2 * (e.tat - (wide)word * r.count) <= exact_slack(&e, &r, 0),
		      "the word is further from the exact one than its rounding");
	}
}

static void test_against_exact_arithmetic(void)
{
	__u64 random = 42;

	for (int round = 0; round < 400; round++)
		one_bucket(&random);
}

/* Classes with rising tolerances on one word: each is bounded by its own, all by the largest. */
static void test_classes_on_one_word(void)
{
	__u64 random = 43;

	for (int round = 0; round < 200; round++) {
		const struct rate r = random_rate(&random);
		const __u64 burst = 1 + rig_below(&random, 20), retry = rig_below(&random, 20),
			    known = rig_below(&random, 20);
		const struct bucket b = bucket_of(&r, burst, retry, known);
		const __u64 most[3] = {burst, burst + retry, burst + retry + known};
		const __u64 tau[3] = {b.tau1_ns, b.tau2_ns, b.tau3_ns};
		__u64 now = SEC(5), word = 0;
		struct windows all = {}, first = {};

		for (int i = 0; i < 1000; i++) {
			int class = rig_below(&random, 3);
			__u64 debt = word > now ? word - now : 0;
			int done = charge_at(&word, &b, now, tau[class]);

			CHECK((done == CHARGE_OK) == (debt <= tau[class]), "class %d", class);
			if (done == CHARGE_OK) {
				windows_admit(&all, &r, b.t_ns, most[2], now);
				if (!class)
					windows_admit(&first, &r, b.t_ns, burst, now);
			}
			now += random_gap(&random, b.t_ns, burst);
		}
	}
}

/*
 * Debt left over: up to debt_max, as a CPU a tick behind sees it, it is this policy's own; one
 * nanosecond more and it is not.
 */
static void test_repair(void)
{
	const struct rate r = {10, NSEC_PER_SEC};
	const struct bucket b = bucket_of(&r, 5, 4, 3); /* tau 400, 800, 1100 ms, debt_max 1200 */
	const __u64 now = SEC(1000);
	struct gcra_op op = {.now_ns = now, .cost_ns = b.t_ns, .tau_ns = b.tau1_ns};
	__u64 word = now + b.debt_max_ns;

	CHECK_U64(gcra_look(word, now, &b, b.tau1_ns).debt_ns, MS(1200));
	CHECK_U64(gcra_charge(&word, &b, &op), CHARGE_DENIED);
	CHECK_U64(word, now + b.debt_max_ns);

	word = now + b.debt_max_ns + CLOCK_APART_NS;
	CHECK_U64(gcra_charge(&word, &b, &op), CHARGE_DENIED);
	word++;
	CHECK_U64(gcra_look(word, now, &b, b.tau1_ns).debt_ns, MS(400));
	CHECK_U64(gcra_look(word, now, &b, b.tau1_ns).repaired, 1);
	CHECK_U64(gcra_charge(&word, &b, &op), CHARGE_OK);
	CHECK_U64(op.repaired, 1);
	CHECK_U64(word, now + MS(500));
	CHECK_U64(op.written_ns, word);
	CHECK_U64(gcra_charge(&word, &b, &op), CHARGE_DENIED); /* as full as newcomers make it */

	word = ~0ULL; /* nothing a clock ever wrote */
	CHECK_U64(gcra_charge(&word, &b, &op), CHARGE_OK);
	CHECK_U64(word, now + MS(500));
}

static void test_refunds(void)
{
	const struct rate r = {10, NSEC_PER_SEC};
	const struct bucket b = bucket_of(&r, 5, 0, 0);
	const __u64 now = SEC(1000);
	struct gcra_op op = {.now_ns = now, .cost_ns = b.t_ns, .tau_ns = b.tau1_ns};
	__u64 word = 0, other;

	CHECK_U64(gcra_charge(&word, &b, &op), CHARGE_OK);
	CHECK_U64(gcra_refund_exact(&word, b.t_ns, op.written_ns), 0);
	CHECK_U64(word, now); /* empty again, which is what 0 meant */
	CHECK(gcra_refund_exact(&word, b.t_ns, op.written_ns) == -1, "given back twice");
	CHECK_U64(word, now);

	CHECK_U64(gcra_charge(&word, &b, &op), CHARGE_OK);
	other = op.written_ns;
	CHECK_U64(gcra_charge(&word, &b, &op), CHARGE_OK);
	CHECK(gcra_refund_exact(&word, b.t_ns, other) == -1, "took another's charge back");
	CHECK_U64(word, now + 2 * b.t_ns);
	gcra_refund_add(&word, b.t_ns); /* on the global word the charges of others stay */
	CHECK_U64(word, now + b.t_ns);
}

/* A denied charge writes nothing at all. */
static void test_denial_writes_nothing(void)
{
	const struct rate r = {10, NSEC_PER_SEC};
	const struct bucket b = bucket_of(&r, 1, 0, 0);
	__u64 word = SEC(1000) + 1;

	CHECK_U64(charge_at(&word, &b, SEC(1000), 0), CHARGE_DENIED);
	CHECK_U64(word, SEC(1000) + 1);
	CHECK_U64(charge_at(&word, &b, SEC(1000) + 1, 0), CHARGE_OK); /* debt <= tau, both 0 */
}

/* The largest debts that policy_make lets through, at a clock of a hundred years. */
static void test_near_the_bound(void)
{
	const __u64 t = POLICY_DEBT_MAX_NS / 4, now = NSEC_PER_SEC * 86400 * 365 * 100;
	const struct bucket b = {
		.t_ns = t, .tau1_ns = t, .tau2_ns = 2 * t, .tau3_ns = 3 * t, .debt_max_ns = 4 * t};
	__u64 word = 0;

	for (__u64 n = 0; n < 4; n++) {
		CHECK_U64(charge_at(&word, &b, now, b.tau3_ns), CHARGE_OK);
		CHECK_U64(word, now + (n + 1) * t);
		CHECK_U64(gcra_look(word, now, &b, b.tau1_ns).repaired, 0);
	}
	CHECK_U64(charge_at(&word, &b, now, b.tau3_ns), CHARGE_DENIED);
	CHECK_U64(charge_at(&word, &b, now + t - 1, b.tau3_ns), CHARGE_DENIED);
	CHECK_U64(charge_at(&word, &b, now + t, b.tau3_ns), CHARGE_OK);
	CHECK_U64(charge_at(&word, &b, now + 2 * t - 1, b.tau3_ns), CHARGE_DENIED);
	word += CLOCK_APART_NS + 1; /* more than this policy can owe at its last charge */
	CHECK_U64(gcra_look(word, now + t, &b, b.tau1_ns).debt_ns, b.tau1_ns);
	CHECK_U64(charge_at(&word, &b, now + t, b.tau1_ns), CHARGE_OK);
	CHECK_U64(word, now + t + 2 * t);
}

#define CROWD	    4
#define CROWD_BURST 20000

struct crowd {
	__u64 *word;
	const struct bucket *bucket;
	__u64 charged;
};

static void *crowd_charge(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < CROWD_BURST; i++)
		c->charged +=
			charge_at(c->word, c->bucket, SEC(1), c->bucket->tau1_ns) == CHARGE_OK;
	return NULL;
}

/* Threads at one moment: what they were told they may is what the word says, never above burst. */
static void test_many_cpus_one_word(void)
{
	const struct rate r = {1000, NSEC_PER_SEC};
	const struct bucket b = bucket_of(&r, CROWD_BURST, 0, 0);
	struct crowd crowd[CROWD];
	pthread_t thread[CROWD];
	__u64 word = 0, charged = 0;

	for (int i = 0; i < CROWD; i++) {
		crowd[i] = (struct crowd){&word, &b, 0};
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[i], NULL, crowd_charge, &crowd[i]), 0);
	}
	for (int i = 0; i < CROWD; i++) {
		pthread_join(thread[i], NULL);
		charged += crowd[i].charged;
	}
	CHECK_U64(word, SEC(1) + charged * b.t_ns);
	CHECK_U64(charged, CROWD_BURST); /* four times as much was asked for */
}

void suite_gcra(void)
{
	static CU_TestInfo tests[] = {
		{"against exact rational arithmetic", test_against_exact_arithmetic},
		{"classes on one word", test_classes_on_one_word},
		{"repair of a debt left over", test_repair},
		{"refunds", test_refunds},
		{"a denial writes nothing", test_denial_writes_nothing},
		{"debts near the bound", test_near_the_bound},
		{"many CPUs, one word", test_many_cpus_one_word},
		CU_TEST_INFO_NULL,
	};

	unit_suite("gcra", tests);
}
