// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * accuracy.c - how many SYNs a limit lets in, against rate x time + burst.
 *
 *	accuracy SECONDS
 *
 * The loaded program under its own clock, by BPF_PROG_TEST_RUN: SYNs that are each an attempt of
 * their own, at ten times the limit and as fast as it goes, on one CPU and on two at once, against
 * a limit of all, of a subnet, of each of some sources. One line of JSON for each.
 * Wants an interface `park` where nothing comes in (lab_park).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lab.h"

#include "drive.h"
#include "drive.skel.h"

#define CPUS	     2
#define CPUS_MOST    1024
#define RATE	     1000 /* a second, of all that are limited together */
#define BURST	     200
#define OVERLOAD     10
#define EACH	     8	  /* sources that have a limit of their own, or subnets */
#define FULL_SPEED   4096 /* frames between two looks at the clock */
#define TICK_NS	     1000000
#define SECONDS_MOST 60
#define TRIES	     5

struct accuracy_case {
	const char *name;
	uint32_t sources; /* of the driver */
	uint32_t words;	  /* buckets of that kind that are charged */
	size_t bucket;	  /* in struct policy */
};

static const struct accuracy_case cases[] = {
	{"global", 1000000, 1, offsetof(struct policy, global)},
	{"subnet", 250, 1, offsetof(struct policy, per_subnet)},
	{"source", EACH, EACH, offsetof(struct policy, per_source)},
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static struct drive_bpf *drive;
static struct lab lab;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* SYNs that passed as admitted, ever, on all CPUs. Returns them or -errno. */
static long long count_admitted(uint64_t *judged)
{
	struct counters *each = calloc(CPUS_MOST, sizeof(*each));
	int cpus = libbpf_num_possible_cpus();
	uint32_t zero = 0;
	long long sum = -ENOMEM;

	*judged = 0;
	if (each && cpus > 0 && cpus <= CPUS_MOST) {
		sum = bpf_map_lookup_elem(bpf_map__fd(lab.gate->maps.counters), &zero, each)
			      ? -errno
			      : 0;
		for (int i = 0; i < cpus && sum >= 0; i++) {
			sum += (long long)each[i].judged[MODE_ENFORCE][FAMILY_V4][CLASS_UNKNOWN]
							[VERDICT_PASS][REASON_ADMITTED];
			*judged += each[i].frames[FRAME_SYN];
		}
	}
	free(each);
	return sum;
}

/*
 * Seconds from the first SYN to the last, by the clock that the gate has, and the longest that a CPU
 * sent none. Forgets them.
 */
static double time_taken(double *gap)
{
	static struct driven each[CPUS_MOST];
	static const struct driven none[CPUS_MOST];
	uint64_t first = UINT64_MAX, last = 0;
	int fd = bpf_map__fd(drive->maps.driven);
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(fd, &zero, each) || bpf_map_update_elem(fd, &zero, none, BPF_ANY))
		return -errno;
	*gap = 0;
	for (int i = 0; i < CPUS_MOST; i++) {
		if ((double)each[i].gap_ns / 1e9 > *gap)
			*gap = (double)each[i].gap_ns / 1e9;
		if (each[i].first_ns && each[i].first_ns < first)
			first = each[i].first_ns;
		if (each[i].last_ns > last)
			last = each[i].last_ns;
	}
	return last > first ? (double)(last - first) / 1e9 : -EIO;
}

struct sender {
	pthread_t thread;
	pthread_barrier_t *together;
	double rate; /* 0: as fast as it goes */
	double seconds;
	int cpu;
	int bad;
};

static void *send_on(void *data)
{
	struct sender *s = data;
	double began, sent = 0;
	uint32_t verdict;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(s->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		s->bad = -errno;
	pthread_barrier_wait(s->together);
	began = now();
	for (double past = 0; past < s->seconds && !s->bad; past = now() - began) {
		double due = s->rate > 0 ? s->rate * past - sent : FULL_SPEED;
		struct timespec tick = {.tv_nsec = TICK_NS};

		if (due >= 1) {
			double ns = lab_run(&lab, bpf_program__fd(drive->progs.drive),
					    (uint32_t)due, &verdict);

			s->bad = ns < 0 ? (int)ns : 0;
			sent += (uint32_t)due;
		}
		if (s->rate > 0)
			nanosleep(&tick, NULL);
	}
	return NULL;
}

/* Sends on so many CPUs. Returns 0 or -errno. */
static int send_all(double rate, double seconds, int cpus)
{
	struct sender sender[CPUS] = {};
	pthread_barrier_t together;
	int bad = 0;

	pthread_barrier_init(&together, NULL, (unsigned int)cpus);
	for (int i = 0; i < cpus; i++) {
		sender[i] = (struct sender){
			.together = &together, .rate = rate / cpus, .seconds = seconds, .cpu = i};
		if (pthread_create(&sender[i].thread, NULL, send_on, &sender[i]))
			return -EAGAIN;
	}
	for (int i = 0; i < cpus; i++) {
		pthread_join(sender[i].thread, NULL);
		bad = bad ? bad : sender[i].bad;
	}
	pthread_barrier_destroy(&together);
	return bad;
}

/* The lab anew, with that one limit. Returns 0 or -errno. */
static int prepare(const struct accuracy_case *c)
{
	const struct limit none = {};
	const uint64_t t_ns = NSEC_PER_SEC / (RATE / c->words);
	const struct bucket narrow = {.t_ns = t_ns,
				      .tau1_ns = (BURST / c->words - 1) * t_ns,
				      .tau2_ns = 2 * BURST * t_ns,
				      .tau3_ns = 3 * BURST * t_ns,
				      .debt_max_ns = 4 * BURST * t_ns};
	const __u32 zero = 0;
	const int gate_fd = (lab_close(&lab), lab_open(&lab))
				    ? -1
				    : bpf_program__fd(lab.gate->progs.sluice_gate);
	static struct policy p;

	if (gate_fd < 0)
		return -EIO;
	lab_template(&lab, drive);
	drive->data->sources = c->sources;
	lab_policy(&p, &none);
	memcpy((char *)&p + c->bucket, &narrow, sizeof(narrow));
	if (bpf_map_update_elem(bpf_map__fd(drive->maps.measured), &zero, &gate_fd, BPF_ANY))
		return -errno;
	return lab_put_policy(&lab, &p);
}

struct count {
	double took, gap;
	long long admitted;
	uint64_t judged;
};

static int measure_case(const struct accuracy_case *c, bool fast, int cpus, double seconds,
			struct count *n)
{
	int bad = prepare(c);

	if (bad)
		return bad;
	bad = send_all(fast ? 0 : (double)OVERLOAD * RATE, seconds, cpus);
	if (bad)
		return bad;
	n->took = time_taken(&n->gap);
	n->admitted = count_admitted(&n->judged);
	return n->took < 0 || n->admitted < 0 ? -EIO : 0;
}

/*
 * Where the machine let a CPU send nothing for half as long as it takes to fill the bucket, what it
 * could not hold may be missing: then again, a few times.
 */
static int print_case(const struct accuracy_case *c, bool fast, int cpus, double seconds)
{
	struct count n = {};
	double most;
	int bad = 0;

	for (int i = 0; i < TRIES; i++) {
		bad = measure_case(c, fast, cpus, seconds, &n);
		if (bad)
			return bad;
		if (n.gap < (double)BURST / RATE / 2)
			break;
	}
	most = RATE * n.took + BURST;
	printf("{\"limit\": \"%s\", \"load\": \"%s\", \"cpus\": %d, \"seconds\": %.3f, "
	       "\"gap_ms\": %.0f, \"judged\": %llu, \"admitted\": %lld, \"expected\": %.0f, "
	       "\"percent\": %.3f}\n",
	       c->name, fast ? "full speed" : "10x", cpus, n.took, n.gap * 1000,
	       (unsigned long long)n.judged, n.admitted, most,
	       100 * ((double)n.admitted - most) / most);
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	double seconds = argc == 2 ? atof(argv[1]) : 0;
	int bad;

	if (seconds < 1 || seconds > SECONDS_MOST) {
		fprintf(stderr, "accuracy: 1 to %d seconds were expected\n", SECONDS_MOST);
		return 2;
	}
	drive = drive_bpf__open_and_load();
	bad = drive ? lab_park(drive->progs.drive) : -errno;
	if (bad) {
		fprintf(stderr, "accuracy: the driver cannot be loaded, or parked: %s\n",
			strerror(-bad));
		return 1;
	}
	drive->bss->notes_time = 1;
	for (size_t i = 0; i < CASES * 2 * CPUS && !bad; i++)
		bad = print_case(&cases[i / (2 * CPUS)], i / CPUS % 2, (int)(i % CPUS) + 1,
				 seconds);
	if (bad)
		fprintf(stderr, "accuracy: %s\n", strerror(-bad));
	return bad ? 1 : 0;
}
