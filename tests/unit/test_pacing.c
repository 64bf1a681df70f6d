// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the daemon keeps HOLD (daemon/pacing.c): when the gate may hold, in what order the room is
 * taken away, what follows a change of rate. Clock, gate and netlink are played.
 */
#include <errno.h>
#include <string.h>

#include "daemon.h"
#include "kernel_hold.h"
#include "log.h"
#include "played.h"
#include "unit.h"

#define MS(n) ((uint64_t)(n)*NSEC_PER_MSEC)
#define S(n)  ((uint64_t)(n)*NSEC_PER_SEC)

static struct daemon d;
static uint64_t clock_ns;

/* What the kernel room was told. */
static struct {
	uint64_t until_ns, drained_ns, owed_ns, debt_ns, unmarked;
	uint32_t ifindex;
	bool attached;
	int no_attach;
} gate;

uint64_t kernel_now_ns(void)
{
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

static void rate(uint64_t t_ns)
{
	d.policy_t_ns = t_ns;
	d.policy.global = (struct bucket){.t_ns = t_ns,
					  .tau1_ns = 4 * t_ns,
					  .tau2_ns = 4 * t_ns + MS(800),
					  .tau3_ns = 40 * t_ns + MS(800)};
}

/* A daemon with a horizon of 800 ms at 100/s, looked after once. */
static void start(void)
{
	static const struct daemon none = {.lock = PTHREAD_MUTEX_INITIALIZER};

	d = none;
	memset(&kernel, 0, sizeof(kernel));
	memset(&gate, 0, sizeof(gate));
	clock_ns = S(1000);
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
	CU_ASSERT_EQUAL(gate.owed_ns, MS(400) + MS(3600 + 800)); /* at most tau3 */
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
		{"an empty room leaves the bucket alone", test_nobody_waits},
		CU_TEST_INFO_NULL};

	unit_suite("pacing", tests);
}
