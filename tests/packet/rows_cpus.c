// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rows_cpus.c - two CPUs in the program at once: the limits hold for both together.
 *
 * Each thread is bound to a CPU of its own and walks the same stretch of injected time.
 */
#include "packet.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define CPUS 2

struct walker {
	pthread_t thread;
	int cpu;
	uint32_t frames;
	uint64_t step_ns;  /* between them */
	bool one_source;   /* all SYNs of both from one address */
	uint32_t admitted; /* what came of them */
	int wrong;
};

static atomic_int waiting;

static int walk_one(struct walker *w, uint32_t n)
{
	struct spec s = {.isn = n, .from_port = 1000 + w->cpu};
	uint8_t frame[FRAME_MAX];
	struct outcome out;
	char from[32];

	snprintf(from, sizeof(from), "10.%d.%u.%u", w->cpu, n >> 8 & 255, n & 255);
	s.from = w->one_source ? "192.0.2.1" : from;
	if (bench_frame(BENCH_START_NS + n * w->step_ns, frame, frame_build(&s, false, frame),
			&out))
		return 1;
	w->admitted += out.action == XDP_PASS;
	return out.action != XDP_PASS && out.action != XDP_DROP;
}

static void *walk(void *arg)
{
	struct walker *w = arg;

	w->wrong = bench_pin(w->cpu) ? 1 : 0;
	atomic_fetch_sub(&waiting, 1);
	while (atomic_load(&waiting))
		; /* both begin at once */
	for (uint32_t n = 0; n < w->frames && !w->wrong; n++)
		w->wrong = walk_one(w, n);
	return NULL;
}

/* Returns how many SYNs both had admitted together, or -1. */
static long walk_together(const struct row *row, uint32_t frames, uint64_t step_ns, bool one_source)
{
	struct walker w[CPUS];
	long admitted = 0;

	if (setup_row(row, false))
		return -1;
	atomic_store(&waiting, CPUS);
	for (int i = 0; i < CPUS; i++) {
		w[i] = (struct walker){
			.cpu = i, .frames = frames, .step_ns = step_ns, .one_source = one_source};
		if (pthread_create(&w[i].thread, NULL, walk, &w[i]))
			return -1;
	}
	for (int i = 0; i < CPUS; i++) {
		pthread_join(w[i].thread, NULL);
		admitted = w[i].wrong || admitted < 0 ? -1 : admitted + w[i].admitted;
	}
	return admitted;
}

static int expect_number(const char *what, long want, long got)
{
	if (want == got)
		return 0;
	complain("%s: expected %ld, got %ld", what, want, got);
	return 1;
}

/* 2 x 4,000 SYNs of as many sources in 4 s: 100/s and a burst of 50 make 449 or 450. */
static int rate_holds(const struct row *row)
{
	static struct counters c;
	long admitted, contended;

	if (bench.usable_cpus < CPUS)
		return -1;
	admitted = walk_together(row, 4000, MS(1), false);
	if (admitted < 0 || bench_counters(&c))
		return expect_number("runs that went wrong", 0, 1);
	/* A charge that was given up four times is a deferral, and may leave room at the end. */
	contended =
		c.judged[MODE_ENFORCE][FAMILY_V4][CLASS_UNKNOWN][VERDICT_DEFER][REASON_CONTENDED];
	if (admitted > 450 || admitted < 449 - contended) {
		complain("expected 449 or 450 admitted, got %ld (%ld contended)", admitted,
			 contended);
		return 1;
	}
	return expect_number("judged", 8000, c.frames[FRAME_SYN]);
}

/* One moment, one source, room for 40: what races for the last place gives all charges back. */
static int refunds_hold(const struct row *row)
{
	static struct counters c;
	long admitted;
	struct prefix_key key = {.addr.byte = {[10] = 0xff, [11] = 0xff, 192, 0, 2},
				 .bits = 96 + 24};
	int wrong;

	if (bench.usable_cpus < CPUS)
		return -1;
	admitted = walk_together(row, 3000, 0, true);
	if (admitted < 0 || bench_counters(&c))
		return expect_number("runs that went wrong", 0, 1);
	wrong = expect_number("admitted", 40, admitted);
	wrong += expect_number("ms owed on the global word", admitted,
			       (bench.control->global_tat_ns - BENCH_START_NS) / MS(1));
	return wrong + expect_number("s owed on the subnet's word", admitted + c.refund_lost,
				     bench_debt(SUBNETS, &key, BENCH_START_NS) / S(1));
}

const struct row rows_cpus[] = {
	{"Two CPUs together admit what rate x time + burst allows: not one more, and none is lost.",
	 "connection-rate=100/s connection-burst=50 defer-budget=1", .run = rate_holds},
	{"Two CPUs in a race for one source's last place charge no word for what they deny.",
	 "connection-rate=1000/s connection-burst=9000 source-rate=60/min source-burst=40 "
	 "subnet-rate=60/min subnet-burst=9000",
	 .run = refunds_hold},
	{},
};
