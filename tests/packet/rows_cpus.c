// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rows_cpus.c - two CPUs in the program at once: the limits hold for both together.
 *
 * Each thread is bound to a CPU of its own, and both walk the same stretch of injected time.
 */
#include "packet.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define CPUS 2

struct walker {
	int (*walk)(struct walker *w);
	pthread_t thread;
	int cpu;
	uint32_t admitted; /* SYNs that passed, where one is looked at at a time */
	int wrong;
};

static atomic_uint arrived;

/* Waits until both have come as often: each round begins on both CPUs at once. */
static void meet(uint32_t round)
{
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&arrived) < (round + 1) * CPUS)
		sched_yield();
}

static int send_one(struct walker *w, uint64_t at_ns, const char *from, uint32_t isn)
{
	struct spec s = {.from = from, .isn = isn, .from_port = 1000 + w->cpu};
	uint8_t frame[FRAME_MAX];
	struct outcome out;
	size_t bytes = frame_build(&s, false, frame);

	if (bench_frame(BENCH_START_NS + at_ns, frame, bytes, &out))
		return 1;
	w->admitted += out.action == XDP_PASS;
	return out.action != XDP_PASS && out.action != XDP_DROP;
}

static void *start(void *arg)
{
	struct walker *w = arg;

	w->wrong = bench_pin(w->cpu) ? 1 : 0;
	meet(0);
	w->wrong += w->walk(w); /* also when it could not be bound: the other waits for it */
	return NULL;
}

/* Returns how many SYNs both had admitted together, or -1; -2 when there is one CPU only. */
static long walk_together(const struct row *row, int (*how)(struct walker *w))
{
	struct walker w[CPUS];
	long admitted = 0;
	int wrong = 0;

	if (bench.usable_cpus < CPUS)
		return -2;
	if (setup_row(row, false))
		return -1;
	atomic_store(&arrived, 0);
	for (int i = 0; i < CPUS; i++) {
		w[i] = (struct walker){.walk = how, .cpu = i};
		if (pthread_create(&w[i].thread, NULL, start, &w[i]))
			return -1;
	}
	for (int i = 0; i < CPUS; i++) {
		pthread_join(w[i].thread, NULL);
		admitted += w[i].admitted;
		wrong += w[i].wrong;
	}
	return wrong ? -1 : admitted;
}

static int expect_number(const char *what, long want, long got)
{
	if (want == got)
		return 0;
	complain("%s: expected %ld, got %ld", what, want, got);
	return 1;
}

/* What ended a walk before anything could be compared, for the caller to return. */
static int not_walked(long admitted)
{
	if (admitted == -2)
		return -1;
	complain("frames could not be run on two CPUs");
	return 1;
}

#define WALK_FRAMES 4000

static int walk_sources(struct walker *w)
{
	int wrong = 0;
	char from[32];

	for (uint32_t n = 0; n < WALK_FRAMES && !wrong; n++) {
		snprintf(from, sizeof(from), "10.%d.%u.%u", w->cpu, n / 256, n % 256);
		wrong = send_one(w, n * MS(1), from, n);
	}
	return wrong;
}

/* Each CPU alone asks ten times as much in these 4 s as 100/s and a burst of 50 allow. */
static int rate_holds(const struct row *row)
{
	long admitted = walk_together(row, walk_sources), contended;
	static struct counters c;

	if (admitted < 0 || bench_counters(&c))
		return not_walked(admitted);
	/* A charge that was given up after four tries may leave one place empty at the end. */
	contended =
		c.judged[MODE_ENFORCE][FAMILY_V4][CLASS_UNKNOWN][VERDICT_DEFER][REASON_CONTENDED];
	if (admitted > 450 || admitted < 449 - contended) {
		complain("expected 449 or 450 admitted, got %ld (%ld contended)", admitted,
			 contended);
		return 1;
	}
	return expect_number("judged", CPUS * WALK_FRAMES, c.frames[FRAME_SYN]);
}

#define RACES 6000

static int race_for_sources(struct walker *w)
{
	int wrong = 0;
	char from[32];

	for (uint32_t n = 0; n < RACES; n++) {
		snprintf(from, sizeof(from), "10.0.%u.%u", n / 256, n % 256);
		meet(n + 1);
		wrong += send_one(w, 0, from, n);
	}
	return wrong;
}

/* One place for each source, and both CPUs ask for it at once: one of them has it. */
static int refunds_hold(const struct row *row)
{
	long admitted = walk_together(row, race_for_sources);
	struct prefix_key key = {.addr.byte = {[10] = 0xff, [11] = 0xff, 10}, .bits = 96 + 8};
	static struct counters c;
	int wrong;

	if (admitted < 0 || bench_counters(&c))
		return not_walked(admitted);
	wrong = expect_number("admitted", RACES, admitted);
	wrong += expect_number("ms owed on the global word", admitted,
			       (bench.control->global_tat_ns - BENCH_START_NS) / MS(1));
	/* The subnet's refund may be lost to the other CPU's charge, but never uncounted. */
	return wrong + expect_number("s owed on the subnet's word", admitted + c.refund_lost,
				     bench_debt(SUBNETS, &key, BENCH_START_NS) / S(1));
}

#define STORM 200000

static int storm_of_trusted(struct walker *w)
{
	struct spec s = {.from = "192.0.7.1", .from_port = 1000 + w->cpu};
	uint8_t frame[FRAME_MAX];

	return bench_repeat(BENCH_START_NS, frame, frame_build(&s, false, frame), STORM) ? 1 : 0;
}

/* Without a pause both CPUs charge the same two words: not one charge may be overwritten. */
static int charges_hold(const struct row *row)
{
	long walked = walk_together(row, storm_of_trusted);
	static struct counters c;
	int wrong;

	if (walked < 0 || bench_counters(&c))
		return not_walked(walked);
	wrong = expect_number(
		"passed as trusted", 300000,
		c.judged[MODE_ENFORCE][FAMILY_V4][CLASS_TRUSTED][VERDICT_PASS][REASON_TRUSTED]);
	wrong += expect_number("ms owed on the word of trusted sources", 300000,
			       (bench.control->trusted_tat_ns - BENCH_START_NS) / MS(1));
	return wrong + expect_number("ms owed on the global word: as full as newcomers make it",
				     1000, (bench.control->global_tat_ns - BENCH_START_NS) / MS(1));
}

const struct row rows_cpus[] = {
	{"Two CPUs together admit what rate x time + burst allows: not one more, and none is lost.",
	 "connection-rate=100/s connection-burst=50 defer-budget=1", .run = rate_holds},
	{"Two CPUs in a race for a source's last place charge no word for what they deny.",
	 "connection-rate=1000/s connection-burst=9000 source-rate=60/min source-burst=1 "
	 "subnet-rate=60/min subnet-burst=9000 subnet-prefix-v4=8",
	 .run = refunds_hold},
	{"Two CPUs that charge one word without a pause overwrite no charge: the burst is exact.",
	 "trusted-rate=1000/s trusted-burst=300000", .classes = "192.0.7.0/24=trusted",
	 .run = charges_hold},
	{},
};
