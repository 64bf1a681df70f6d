// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the daemon keeps HOLD (daemon/pacing.c): when the gate may hold, in what order the room is
 * taken away, what follows a change of rate. Clock, gate and netlink are played.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "daemon.h"
#include "kernel_hold.h"
#include "log.h"
#include "played.h"
#include "unit.h"

#define MS(n) ((uint64_t)(n)*NSEC_PER_MSEC)
#define S(n)  ((uint64_t)(n)*NSEC_PER_SEC)

static struct daemon d;
static uint64_t clock_ns, clock_step_ns; /* it moves by so much with each look */

/* What the kernel room was told. */
static struct {
	uint64_t until_ns, drained_ns, owed_ns, most_ns, debt_ns;
	uint64_t unmarked, marked, queued;
	uint32_t ifindex;
	bool attached;
	int no_attach;
} gate;

uint64_t kernel_now_ns(void)
{
	clock_ns += clock_step_ns;
	return clock_ns;
}

uint64_t kernel_debt_ns(struct kernel *k)
{
	(void)k;
	return gate.debt_ns;
}

int kernel_counters(struct kernel *k, struct counters *sum)
{
	(void)k;
	memset(sum, 0, sizeof(*sum));
	sum->hold_unmarked = gate.unmarked;
	sum->hold_marked = gate.marked;
	sum->hold_queued = gate.queued;
	return 0;
}

int kernel_hold_attach(struct kernel *k, uint32_t room, struct config_error *err)
{
	(void)k;
	CU_ASSERT(room != 0);
	if (gate.no_attach)
		return fail(err, gate.no_attach, "no program");
	gate.attached = true;
	return 0;
}

void kernel_hold_detach(struct kernel *k)
{
	(void)k;
	CU_ASSERT_EQUAL(gate.until_ns, 0); /* the gate first */
	gate.attached = false;
}

void kernel_hold_open(struct kernel *k, uint32_t ifindex, uint64_t until_ns)
{
	(void)k;
	CU_ASSERT(gate.attached && kernel.fifo); /* the gate last */
	gate.ifindex = ifindex;
	gate.until_ns = until_ns;
}

void kernel_hold_close(struct kernel *k)
{
	(void)k;
	gate.until_ns = 0;
}

void kernel_hold_drained(struct kernel *k, uint64_t at_ns)
{
	(void)k;
	gate.drained_ns = at_ns;
}

void kernel_owe(struct kernel *k, uint64_t debt_ns)
{
	(void)k;
	gate.owed_ns = debt_ns;
}

void kernel_owe_at_most(struct kernel *k, uint64_t debt_ns)
{
	(void)k;
	gate.most_ns = debt_ns;
}

uint32_t kernel_interfaces(struct kernel *k, const struct kernel_interface **list)
{
	static const struct kernel_interface one = {.attached = true, .native = true};

	(void)k;
	*list = &one;
	return 1;
}

static void rate(uint64_t t_ns)
{
	d.policy_t_ns = t_ns;
	d.policy.global = (struct bucket){.t_ns = t_ns,
					  .tau1_ns = 4 * t_ns,
					  .tau2_ns = 4 * t_ns + pacing_horizon_ns(&d),
					  .tau3_ns = 40 * t_ns + pacing_horizon_ns(&d)};
}

int controller_apply(struct daemon *of)
{
	CU_ASSERT_PTR_EQUAL(of, &d);
	rate(d.policy_t_ns);
	return 0;
}

/* A daemon with a horizon of 800 ms at 100/s, looked after once. */
static void start(void)
{
	static const struct daemon none = {.lock = PTHREAD_MUTEX_INITIALIZER};

	d = none;
	memset(&kernel, 0, sizeof(kernel));
	memset(&gate, 0, sizeof(gate));
	clock_ns = S(1000);
	clock_step_ns = 0;
	strcpy(d.instance, "default");
	d.config.pace_horizon_ns = MS(800);
	rate(MS(10));
	pacing_tend(&d);
}

static void tick(void)
{
	clock_ns += S(1);
	pacing_tend(&d);
}

static void says(const char *what)
{
	CHECK(strstr(d.pacing.problem, what) != NULL, "'%s' is not in: %s", what, d.pacing.problem);
}

static void test_open(void)
{
	start();
	CU_ASSERT(d.pacing.open && !*d.pacing.problem);
	CU_ASSERT_EQUAL(gate.ifindex, 7);
	CU_ASSERT_EQUAL(gate.until_ns, clock_ns + PACING_LEASE_NS);
	tick();
	CU_ASSERT_EQUAL(gate.until_ns, clock_ns + PACING_LEASE_NS);
	CU_ASSERT(!pacing_is_due(&d));
	rate(MS(20));
	CU_ASSERT(pacing_is_due(&d));
}

static void test_not_to_be_had(void)
{
	start();
	kernel.device = false;
	kernel.no_link = -EOPNOTSUPP;
	tick();
	CU_ASSERT(!d.pacing.open);
	CU_ASSERT_EQUAL(gate.until_ns, 0);
	says("CONFIG_IFB");
	kernel.no_link = 0;
	gate.no_attach = -EINVAL;
	memset(&kernel, 0, sizeof(kernel));
	tick();
	CU_ASSERT_EQUAL(gate.until_ns, 0);
	says("no program");
	gate.no_attach = 0;
	tick();
	CU_ASSERT(d.pacing.open && !*d.pacing.problem && gate.until_ns > clock_ns);
}

/* A driver that has no room for the mark: HOLD pauses, and is tried again after a minute. */
static void test_unmarked(void)
{
	start();
	gate.unmarked = 3;
	tick();
	CU_ASSERT_EQUAL(gate.until_ns, 0);
	says("no room before a frame for the mark");
	for (int i = 0; i < 59; i++)
		tick();
	CU_ASSERT_EQUAL(gate.until_ns, 0);
	tick();
	CU_ASSERT(gate.until_ns > clock_ns && !*d.pacing.problem);
	gate.unmarked = 4;
	tick();
	CU_ASSERT_EQUAL(gate.until_ns, 0);
}

static void test_too_slow(void)
{
	start();
	rate(MS(801));
	tick();
	CU_ASSERT_EQUAL(gate.until_ns, 0);
	says("shorter than the interval");
	rate(MS(800));
	tick();
	CU_ASSERT(gate.until_ns > clock_ns);
}

/* The gate first, then those who wait, then programs and room; but not for ever. */
static void test_taken_down(void)
{
	start();
	kernel.waiting = 20;
	d.config.pace_horizon_ns = 0;
	tick();
	CU_ASSERT_EQUAL(gate.until_ns, 0);
	CU_ASSERT(kernel.device && gate.attached);
	kernel.waiting = 0;
	tick();
	CU_ASSERT(!kernel.device && !gate.attached);

	start();
	kernel.waiting = 20;
	d.config.pace_horizon_ns = 0;
	for (int i = 0; i < 12; i++)
		tick();
	CU_ASSERT(kernel.device);
	tick();
	CU_ASSERT(!kernel.device);
}

/* What a predecessor has left, with SYNs in it, to a start that wants no room. */
static void test_inherited(void)
{
	start();
	kernel.waiting = 20;
	d.pacing = (struct pacing){};
	d.config.pace_horizon_ns = 0;
	pacing_tend(&d);
	CU_ASSERT(kernel.device);
	kernel.waiting = 0;
	tick();
	CU_ASSERT(!kernel.device);
}

static void test_slower(void)
{
	start();
	kernel.waiting = 50;
	rate(MS(100));
	tick();
	CU_ASSERT_EQUAL(gate.drained_ns, clock_ns + S(5));
	CU_ASSERT_EQUAL(gate.owed_ns,
			MS(400) + S(5)); /* more than the horizon: it is made room for */
	CU_ASSERT_EQUAL(gate.most_ns, gate.owed_ns + 2 * MS(100) + MS(20));
	kernel.waiting = 20;
	gate.debt_ns = MS(400) + S(2);
	gate.owed_ns = 0;
	rate(MS(50)); /* faster, but still later than told */
	tick();
	CU_ASSERT_EQUAL(gate.drained_ns, clock_ns + S(1));
	CU_ASSERT_EQUAL(gate.owed_ns, 0); /* it owes enough */
	kernel.waiting = 5;
	clock_ns += S(9);
	gate.drained_ns = 0;
	rate(MS(10)); /* faster than ever told */
	tick();
	CU_ASSERT_EQUAL(gate.drained_ns, 0);
}

/* Who waits leaves at the new rate, although nobody can be held at it. */
static void test_too_slow_with_a_queue(void)
{
	start();
	kernel.waiting = 20;
	rate(S(1));
	tick();
	CU_ASSERT_EQUAL(gate.until_ns, 0);
	says("shorter than the interval");
	CU_ASSERT_EQUAL(gate.drained_ns, clock_ns + S(20));
	CU_ASSERT_EQUAL(kernel.htb.rate.rate, HOLD_WEIGHT + HOLD_WEIGHT / 1024 + 1);
	kernel.waiting = 19;
	tick();
	CU_ASSERT_EQUAL(d.pacing.hold.seen.waiting, 19);
}

/* They leave before they give up; nobody new would be let in for as long as they wait. */
static void test_far_slower(void)
{
	start();
	d.config.pace_horizon_ns = S(5);
	tick();
	kernel.waiting = 400;
	rate(S(1));
	tick();
	CU_ASSERT_EQUAL(d.pacing.room_t_ns, S(30) / 400);
	CU_ASSERT_EQUAL(gate.drained_ns, clock_ns + S(30));
	CU_ASSERT_EQUAL(gate.owed_ns, S(4) + S(30));
	kernel.waiting = 200;
	clock_ns += S(14);
	tick();
	CU_ASSERT_EQUAL(d.pacing.room_t_ns, S(15) / 200); /* the end stays */
	kernel.waiting = 14;
	tick();
	CU_ASSERT_EQUAL(d.pacing.room_t_ns, S(1));
	kernel.waiting = 3;
	tick();
	CU_ASSERT_EQUAL(d.pacing.queue_ns, 0);
}

static void test_shorter_horizon(void)
{
	start();
	kernel.waiting = 60;
	tick();
	CU_ASSERT_EQUAL(d.pacing.queue_ns, 0);
	CU_ASSERT_EQUAL(pacing_patience_ms(&d), INT_MAX);
	d.config.pace_horizon_ns = MS(200);
	controller_apply(&d);
	CU_ASSERT(pacing_is_due(&d));
	pacing_tend(&d);
	CU_ASSERT_EQUAL(d.pacing.queue_ns, MS(600));
	CU_ASSERT_EQUAL(d.policy.global.tau2_ns, MS(40) + MS(600));
	CU_ASSERT_EQUAL(gate.owed_ns, MS(40) + MS(600));
	CU_ASSERT(!pacing_is_due(&d) && pacing_patience_ms(&d) <= 200);
	clock_ns += MS(200);
	CU_ASSERT(pacing_is_due(&d));
	kernel.waiting = 20;
	pacing_tend(&d);
	CU_ASSERT_EQUAL(d.pacing.queue_ns, 0);
	CU_ASSERT_EQUAL(d.policy.global.tau2_ns, MS(40) + MS(200));
	CU_ASSERT_EQUAL(pacing_patience_ms(&d), INT_MAX);
}

/* Newcomers wait behind the queue, whatever their tolerance, and are swallowed until it has left. */
static void test_wider_burst(void)
{
	start();
	kernel.waiting = 60;
	gate.debt_ns = MS(640);
	tick();
	CU_ASSERT_EQUAL(gate.owed_ns, 0);
	d.policy.global.tau1_ns += MS(400);
	CU_ASSERT(pacing_is_due(&d));
	pacing_tend(&d);
	CU_ASSERT_EQUAL(gate.owed_ns, MS(440) + MS(600));
	CU_ASSERT_EQUAL(gate.drained_ns, clock_ns + MS(600));
	CU_ASSERT(!pacing_is_due(&d));
}

/* What the gate marks and our filter never sees: HOLD pauses, and is tried again after a minute. */
static void test_marks_lost(void)
{
	start();
	gate.marked = 7;
	tick();
	CU_ASSERT(gate.until_ns > clock_ns); /* too few to tell */
	gate.marked = 107;
	gate.queued = 90;
	tick();
	CU_ASSERT(gate.until_ns > clock_ns); /* a busy machine */
	gate.marked = 207;
	gate.queued = 150; /* the other interface's */
	tick();
	CU_ASSERT_EQUAL(gate.until_ns, 0);
	says("do not reach sluiced's tc filter");
	for (int i = 0; i < 59; i++)
		tick();
	CU_ASSERT_EQUAL(gate.until_ns, 0);
	tick();
	CU_ASSERT(gate.until_ns > clock_ns && !*d.pacing.problem);
	gate.marked += 8;
	tick();
	CU_ASSERT_EQUAL(gate.until_ns, 0);
}

/* Another XDP mode: the gate closes, and the room is waited for, but not for ever. */
static void test_drained(void)
{
	struct config next = {.xdp_mode = XDP_NATIVE};

	start();
	kernel.waiting = 3;
	pacing_drain(&d, &next);
	CU_ASSERT(gate.until_ns > clock_ns);
	next.xdp_mode = XDP_GENERIC;
	clock_step_ns = MS(500);
	pacing_drain(&d, &next);
	CU_ASSERT_EQUAL(gate.until_ns, 0);
	CU_ASSERT(clock_ns > S(1003) && clock_ns < S(1007));
	clock_step_ns = 0;
	pacing_tend(&d);
	CU_ASSERT(gate.until_ns > clock_ns);
}

static void test_nobody_waits(void)
{
	start();
	gate.debt_ns = 0;
	tick();
	CU_ASSERT_EQUAL(gate.owed_ns, 0); /* an empty room says nothing of the bucket */
}

void suite_pacing(void)
{
	static CU_TestInfo tests[] = {
		{"the gate is opened last and for five seconds", test_open},
		{"what cannot be had closes the gate, and opens it again", test_not_to_be_had},
		{"a driver without room for the mark", test_unmarked},
		{"an interval longer than the horizon", test_too_slow},
		{"taken down: the gate, those who wait, the room", test_taken_down},
		{"a room that was left by another start", test_inherited},
		{"a slower rate, a faster one, with a queue standing", test_slower},
		{"an interval longer than the horizon, with a queue standing",
		 test_too_slow_with_a_queue},
		{"a far slower rate: who waits leaves while he is still there", test_far_slower},
		{"a shorter horizon with a queue standing", test_shorter_horizon},
		{"a wider burst with a queue standing", test_wider_burst},
		{"a tc program before ours that keeps what is marked", test_marks_lost},
		{"another XDP mode waits for an empty room", test_drained},
		{"an empty room leaves the bucket alone", test_nobody_waits},
		CU_TEST_INFO_NULL};

	unit_suite("pacing", tests);
}
