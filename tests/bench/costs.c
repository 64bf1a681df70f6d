// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * costs.c - what a decision of the loaded program costs, by BPF_PROG_TEST_RUN.
 *
 *	costs ROUNDS
 *
 * One line of JSON for each case: nanoseconds a frame above an empty program of the same round,
 * the median of the rounds, on one CPU and on two at once. Each frame is written anew by the driver
 * (drive.bpf.c), which the empty program goes through as well. Runs in a network namespace of its
 * own, where a socket listens on port 25.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab.h"
#include "listed.h"

#include "drive.skel.h"

#define ROUNDS_MOST    15
#define CPUS	       2
#define RUNS_CHEAP     300000
#define RUNS_DEAR      60000 /* of what fills tables: no more a stretch than a busy server admits */
#define CLASSES_PREFIX 24
#define CLASSES_FIRST  0x0b000000U /* 11.0.0.0, where no SYN comes from */
#define LEARNED_FIRST  0x20000000U
#define BACKLOG	       65535
#define SOURCES_ALL    (1U << 24)

struct cost_case {
	const char *name;
	const char *program; /* of the driver's object; NULL: the gate */
	uint32_t times;	     /* it does its thing so many times a frame; 1 if 0 */
	struct limit limit;
	uint32_t sources;
	uint32_t runs;
	uint16_t port;	   /* 25 if 0 */
	bool same;	   /* one attempt again and again */
	uint32_t prefixes; /* so many are listed */
	uint32_t learned;  /* and so many sources known */
	uint32_t verdict;
};

#define ALONE(what, function, n)                                                                   \
	{                                                                                          \
		what, .program = function, .times = n, .sources = SOURCES_ALL, .runs = RUNS_CHEAP, \
		      .verdict = XDP_PASS                                                          \
	}

static const struct cost_case cases[] = {
	{"not ours", .port = 26, .sources = 1, .runs = RUNS_CHEAP, .verdict = XDP_PASS},
	{"denied, one source", .limit.denied = true, .sources = 1, .runs = RUNS_CHEAP,
	 .verdict = XDP_DROP},
	{"denied, 10,000 sources", .limit.denied = true, .sources = 10000, .runs = RUNS_CHEAP,
	 .verdict = XDP_DROP},
	{"admitted, one source", .sources = 1, .runs = RUNS_DEAR, .verdict = XDP_PASS},
	{"admitted, 10,000 sources", .sources = 10000, .runs = RUNS_DEAR, .verdict = XDP_PASS},
	{"admitted, 1,000,000 sources", .sources = 1000000, .runs = RUNS_DEAR, .verdict = XDP_PASS},
	{"admitted, global bucket only", .limit.no_more = true, .sources = 10000, .runs = RUNS_DEAR,
	 .verdict = XDP_PASS},
	{"copy of an admitted one", .same = true, .sources = 1, .runs = RUNS_CHEAP,
	 .verdict = XDP_DROP},
	{"refused by RST", .limit.refuse = true, .sources = 10000, .runs = RUNS_CHEAP,
	 .verdict = XDP_TX},
	{"flood, a copy of a remembered one", .limit.full = true, .same = true, .sources = 1,
	 .runs = RUNS_CHEAP, .verdict = XDP_DROP},
	{"flood, one source", .limit.full = true, .sources = 1, .runs = RUNS_CHEAP,
	 .verdict = XDP_DROP},
	{"flood, 10,000 sources", .limit.full = true, .sources = 10000, .runs = RUNS_CHEAP,
	 .verdict = XDP_DROP},
	{"flood, 1,000,000 sources", .limit.full = true, .sources = 1000000, .runs = RUNS_CHEAP,
	 .verdict = XDP_DROP},
	{"flood, 16,777,216 sources", .limit.full = true, .sources = SOURCES_ALL,
	 .runs = RUNS_CHEAP, .verdict = XDP_DROP},
	{"flood, 1,000 prefixes listed", .limit.full = true, .sources = 1000000, .runs = RUNS_CHEAP,
	 .prefixes = 1000, .verdict = XDP_DROP},
	{"flood, 100,000 prefixes listed", .limit.full = true, .sources = 1000000,
	 .runs = RUNS_CHEAP, .prefixes = 100000, .verdict = XDP_DROP},
	{"flood, 100,000 listed, 100,000 known", .limit.full = true, .sources = 1000000,
	 .runs = RUNS_CHEAP, .prefixes = 100000, .learned = 100000, .verdict = XDP_DROP},
	{"admitted, 100,000 listed, 100,000 known", .sources = 10000, .runs = RUNS_DEAR,
	 .prefixes = 100000, .learned = 100000, .verdict = XDP_PASS},
	ALONE("an insert of an attempt, alone", "insert_attempt", 1),
	ALONE("an insert of a source, alone", "insert_source", 1),
	ALONE("a hit in the table of sources, alone", "hit", 10),
	ALONE("the listener's look-up, alone", "listener", 1),
	ALONE("the count of ticks, alone", "ticks", 10),
	ALONE("the coarse clock, alone", "coarse_clock", 10),
	ALONE("the precise clock, alone", "precise_clock", 10),
	ALONE("a call within the program, alone", "own_call", 10),
	ALONE("SipHash-1-3 of two words, alone", "siphash", 10),
	ALONE("the presence filter's hash, alone", "quick_hash", 10),
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static struct drive_bpf *drive;
static struct lab lab;

/* --- the world -------------------------------------------------------------------------------- */

/* A network namespace with a listener. Returns 0 or -errno. */
static int make_world(void)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(25)};
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;

	if (unshare(CLONE_NEWNET))
		return -errno;
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &up) ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, BACKLOG))
		return -errno;
	return 0;
}

static int put_prefixes(uint32_t count)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	int trie = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "classes_v4", sizeof(struct class_key_v4),
				  sizeof(__u32), 1048576, &opts);
	const __u32 slot = 0, class = CLASS_KNOWN;
	int bad = 0;

	if (trie < 0)
		return -errno;
	for (uint32_t i = 0; i < count && !bad; i++) {
		struct class_entry e = {.bits = CLASSES_PREFIX, .family = FAMILY_V4};
		struct class_key_v4 key = {.bits = CLASSES_PREFIX};
		uint64_t units = 0;

		key.addr = htonl(CLASSES_FIRST + (i << (32 - CLASSES_PREFIX)));
		e.addr = (union addr){.word = {0, 0, V4_MAPPED_WORD, key.addr}};
		listed_add(lab.presence, slot, &e, lab.control->seed[1], &units);
		bad = bpf_map_update_elem(trie, &key, &class, BPF_ANY) ? -errno : 0;
	}
	lab.control->present |= 1U << PRESENCE_LISTED(slot);
	if (!bad && bpf_map_update_elem(bpf_map__fd(lab.gate->maps.classes_v4), &slot, &trie, 0))
		bad = -errno;
	close(trie);
	return bad;
}

static int put_learned(uint32_t count)
{
	const struct learned l = {.until_ns = NEVER_NS, .class = CLASS_KNOWN};
	int fd = bpf_map__fd(lab.gate->maps.learned);

	for (uint32_t i = 0; i < count; i++) {
		struct prefix_key key = {.bits = 128};

		key.addr = (union addr){
			.word = {0, 0, V4_MAPPED_WORD, htonl(LEARNED_FIRST + (i << 8))}};
		listed_learn(lab.presence, &key, lab.control->seed[1]);
		if (bpf_map_update_elem(fd, &key, &l, BPF_ANY))
			return -errno;
	}
	lab.control->present |= 1U << PRESENCE_LEARNED;
	return 0;
}

/* --- one measurement -------------------------------------------------------------------------- */

struct runner {
	pthread_t thread;
	pthread_barrier_t *together;
	int cpu;
	uint32_t runs, verdict;
	double ns;
};

static void *run_on(void *data)
{
	struct runner *r = data;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(r->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		r->ns = -errno;
	pthread_barrier_wait(r->together);
	if (r->ns >= 0)
		r->ns = lab_run(&lab, bpf_program__fd(drive->progs.drive), r->runs, &r->verdict);
	return NULL;
}

/*
 * The program behind the driver, on so many CPUs at once. Returns the nanoseconds of a frame on each
 * of them (the mean), or a negative error.
 */
static double measure(int program, const struct cost_case *c, int cpus, uint32_t *verdict)
{
	struct runner runner[CPUS] = {};
	pthread_barrier_t together;
	const __u32 zero = 0;
	double sum = 0;

	if (bpf_map_update_elem(bpf_map__fd(drive->maps.measured), &zero, &program, BPF_ANY))
		return -errno;
	pthread_barrier_init(&together, NULL, (unsigned int)cpus);
	for (int i = 0; i < cpus; i++) {
		runner[i] = (struct runner){.cpu = i, .together = &together, .runs = c->runs};
		if (pthread_create(&runner[i].thread, NULL, run_on, &runner[i]))
			return -EAGAIN;
	}
	for (int i = 0; i < cpus; i++) {
		pthread_join(runner[i].thread, NULL);
		if (runner[i].ns < 0)
			sum = -1e9;
		sum += runner[i].ns;
	}
	pthread_barrier_destroy(&together);
	*verdict = runner[0].verdict;
	return sum < 0 ? -EIO : sum / cpus;
}

/* Nanoseconds of a frame, and of the same with an empty program behind the driver. */
struct cost {
	double above, empty;
};

static int measure_case(const struct cost_case *c, int cpus, struct cost *cost)
{
	const struct bpf_program *p;
	uint32_t verdict, passes;
	double ns;
	int fd;

	p = c->program ? bpf_object__find_program_by_name(drive->obj, c->program)
		       : lab.gate->progs.sluice_gate;
	if (!p)
		return -ENOENT;
	fd = bpf_program__fd(p);
	drive->bss->stands_still = c->same;
	drive->data->sources = c->sources;
	drive->data->port = c->port ? c->port : 25;
	cost->empty = measure(bpf_program__fd(drive->progs.empty), c, cpus, &passes);
	ns = measure(fd, c, cpus, &verdict);
	if (cost->empty < 0 || ns < 0)
		return -EIO;
	if (verdict != c->verdict) {
		fprintf(stderr, "%s: the verdict was %u, and %u was expected\n", c->name, verdict,
			c->verdict);
		return -EPROTO;
	}
	cost->above = (ns - cost->empty) / (c->times ? c->times : 1);
	return 0;
}

/* The gate anew, with empty tables, and what the case wants to be in them. */
static int prepare(const struct cost_case *c)
{
	int bad;

	if (c->program && lab.gate)
		return 0; /* it never meets the gate */
	lab_close(&lab);
	bad = lab_open(&lab);
	if (bad)
		return bad;
	lab_template(&lab, drive);
	bad = lab_limit(&lab, &c->limit);
	if (!bad && c->prefixes)
		bad = put_prefixes(c->prefixes);
	if (!bad && c->learned)
		bad = put_learned(c->learned);
	return bad;
}

static int print_case(const struct cost_case *c, int rounds)
{
	double above[CPUS][ROUNDS_MOST], empty[CPUS][ROUNDS_MOST];
	struct cost cost;
	int bad = 0;

	for (int round = 0; round < rounds && !bad; round++) {
		bad = prepare(c);
		for (int cpus = 1; cpus <= CPUS && !bad; cpus++) {
			bad = measure_case(c, cpus, &cost);
			above[cpus - 1][round] = cost.above;
			empty[cpus - 1][round] = cost.empty;
		}
	}
	if (bad)
		return bad;
	printf("{\"case\": \"%s\", \"ns\": %.1f, \"empty_ns\": %.1f, \"ns_two_cpus\": %.1f, "
	       "\"empty_ns_two_cpus\": %.1f}\n",
	       c->name, lab_median(above[0], rounds), lab_median(empty[0], rounds),
	       lab_median(above[1], rounds), lab_median(empty[1], rounds));
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	int rounds = argc == 2 ? atoi(argv[1]) : 0, bad;

	if (rounds < 1 || rounds > ROUNDS_MOST) {
		fprintf(stderr, "costs: a number of rounds from 1 to %d was expected\n",
			ROUNDS_MOST);
		return 2;
	}
	bad = make_world();
	drive = bad ? NULL : drive_bpf__open_and_load();
	if (!drive) {
		fprintf(stderr, "costs: cannot load the driver: %s\n",
			strerror(bad ? -bad : errno));
		return 1;
	}
	for (size_t i = 0; i < CASES && !bad; i++)
		bad = print_case(&cases[i], rounds);
	if (bad)
		fprintf(stderr, "costs: %s\n", strerror(-bad));
	return bad ? 1 : 0;
}
