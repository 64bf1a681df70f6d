// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * quick.c - the regression guard of speed: instructions of each program, and what a decision costs.
 *
 * Costs are of BPF_PROG_TEST_RUN, in nanoseconds above an empty program of the same run, and are
 * compared as multiples of what a frame of another port costs there: so the speed of the machine
 * cancels out. What is recorded (tests/bench/recorded) may be exceeded by the tolerances below, which
 * leave room for other kernels and for a machine that does other things.
 *
 *	quick RECORDED		compares; closes with N passed, N failed, N skipped
 *	quick -r RECORDED	records
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab.h"

#include "banner.skel.h"
#include "hold.skel.h"
#include "sessions.skel.h"

#define INSNS_TOLERANCE 1.20
#define COST_TOLERANCE	3.0

#define RUNS	   200000 /* of one frame, timed together */
#define SINGLES	   20000  /* of frames that differ, timed one by one */
#define ROUNDS	   5	  /* in turns; the median counts */
#define CASES_MOST 16

/* One figure: a name of one word, and what was measured. */
struct figure {
	char name[48];
	double value, tolerance;
};

static struct figure figure[2 * CASES_MOST];
static size_t figures;

static struct lab lab;

static void note(const char *name, double value, double tolerance)
{
	if (figures == sizeof(figure) / sizeof(*figure))
		return;
	snprintf(figure[figures].name, sizeof(figure[0].name), "%s", name);
	figure[figures].value = value;
	figure[figures++].tolerance = tolerance;
}

/* --- instructions ----------------------------------------------------------------------------- */

static int count_insns(const char *name, int fd)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	note(name, info.xlated_prog_len / sizeof(struct bpf_insn), INSNS_TOLERANCE);
	return 0;
}

/* --- costs ------------------------------------------------------------------------------------ */

/* Frames that are each an attempt of their own, one by one: the median. */
static double run_singles(int fd, uint32_t first, uint32_t *verdict)
{
	static double ns[SINGLES];

	for (uint32_t i = 0; i < SINGLES; i++) {
		lab_put_syn(&lab, 0x0a000000 + (first + i) % 100, 25, first + i);
		ns[i] = lab_run(&lab, fd, 1, verdict);
	}
	return lab_median(ns, SINGLES);
}

struct situation {
	const char *name;
	uint16_t port;
	struct limit limit;
	bool fresh; /* each frame is an attempt of its own */
	uint32_t verdict;
};

static const struct situation situations[] = {
	{.name = "other-port", .port = 26, .verdict = XDP_PASS},
	{.name = "flood", .port = 25, .limit.full = true, .verdict = XDP_DROP},
	{.name = "source-denied", .port = 25, .limit.denied = true, .verdict = XDP_DROP},
	{.name = "copy-of-admitted", .port = 25, .verdict = XDP_DROP},
	{.name = "admitted", .port = 25, .fresh = true, .verdict = XDP_PASS},
};

#define SITUATIONS (sizeof(situations) / sizeof(situations[0]))

/* One situation, once. Returns ns a decision or a negative error. */
static double measure(int fd, const struct situation *s, uint32_t *verdict)
{
	static uint32_t number;
	double ns;

	if (lab_limit(&lab, &s->limit))
		return -EIO;
	if (s->fresh) {
		number += SINGLES;
		return run_singles(fd, number, verdict);
	}
	/* Another attempt spends the budget, lest this one be remembered. */
	number++;
	lab_put_syn(&lab, 0x0a010000 + number, 25, number);
	lab_run(&lab, fd, 1, verdict);
	if (s->limit.denied) {
		lab_put_syn(&lab, 0x0a020000, 25, ++number); /* charges the source */
		lab_run(&lab, fd, 1, verdict);
	}
	lab_put_syn(&lab, 0x0a020000, s->port, ++number);
	lab_run(&lab, fd, 1, verdict);
	ns = lab_run(&lab, fd, RUNS, verdict);
	return ns;
}

/* Costs in multiples of that of a frame of another port. */
static int measure_costs(void)
{
	double above[SITUATIONS][ROUNDS], unit;
	int fd = bpf_program__fd(lab.gate->progs.sluice_gate), empty = lab_empty_program();
	uint32_t verdict;

	if (empty < 0)
		return empty;
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < SITUATIONS; i++) {
			const struct situation *s = &situations[i];
			double floor = s->fresh ? run_singles(empty, 0, &verdict)
						: lab_run(&lab, empty, RUNS, &verdict);

			above[i][round] = measure(fd, s, &verdict) - floor;
			if (verdict != s->verdict) {
				printf("%s: the verdict was %u, and %u was expected\n", s->name,
				       verdict, s->verdict);
				return -EPROTO;
			}
		}
	unit = lab_median(above[0], ROUNDS);
	for (size_t i = 0; i < SITUATIONS; i++) {
		double ns = lab_median(above[i], ROUNDS);

		printf("%-20s %7.0f ns above an empty program\n", situations[i].name, ns);
		if (i)
			note(situations[i].name, ns / (unit > 1 ? unit : 1), COST_TOLERANCE);
	}
	return 0;
}

static int measure_all(void)
{
	struct banner_bpf *banner = banner_bpf__open_and_load();
	struct hold_bpf *hold = hold_bpf__open_and_load();
	struct sessions_bpf *sessions = sessions_bpf__open();
	int bad;

	bad = lab_open(&lab);
	if (bad)
		return bad;
	if (!banner || !hold || !sessions)
		return errno ? -errno : -EIO;
	bpf_program__set_autoload(sessions->progs.sluice_sessions_raw, false);
	bad = sessions_bpf__load(sessions);
	if (bad)
		return bad;
	bad = count_insns("insns-gate", bpf_program__fd(lab.gate->progs.sluice_gate));
	if (!bad)
		bad = count_insns("insns-sessions",
				  bpf_program__fd(sessions->progs.sluice_sessions));
	if (!bad)
		bad = count_insns("insns-hold", bpf_program__fd(hold->progs.sluice_hold));
	if (!bad)
		bad = count_insns("insns-banner", bpf_program__fd(banner->progs.sluice_banner));
	return bad ? bad : measure_costs();
}

/* --- the record ------------------------------------------------------------------------------- */

static int record(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return -errno;
	fprintf(f,
		"# SPDX-License-Identifier: GPL-2.0-or-later\n"
		"# make bench-record: instructions, and costs in multiples of a frame of another port\n");
	for (size_t i = 0; i < figures; i++)
		fprintf(f, "%s %.2f\n", figure[i].name, figure[i].value);
	return fclose(f) ? -errno : 0;
}

static double recorded(const char *path, const char *name)
{
	char line[128], word[48];
	FILE *f = fopen(path, "r");
	double value, found = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%47s %lf", word, &value) == 2 && !strcmp(word, name))
			found = value;
	if (f)
		fclose(f);
	return found;
}

static int compare(const char *path)
{
	int failed = 0;

	for (size_t i = 0; i < figures; i++) {
		const struct figure *g = &figure[i];
		double was = recorded(path, g->name), most = was * g->tolerance;
		bool good = was >= 0 && g->value <= most;

		printf("%s %-20s %9.2f, recorded %9.2f, at most %9.2f\n", good ? "ok  " : "FAIL",
		       g->name, g->value, was, most);
		failed += !good;
	}
	printf("%zu passed, %d failed, 0 skipped\n", figures - failed, failed);
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	bool records = argc == 3 && !strcmp(argv[1], "-r");
	int bad;

	if (argc != 2 && !records) {
		fprintf(stderr, "quick [-r] RECORDED was expected\n");
		return 2;
	}
	bad = measure_all();
	if (bad == -EPERM) {
		printf("loading BPF programs is not permitted here: run it as root\n"
		       "0 passed, 0 failed, 1 skipped\n");
		return 0;
	}
	if (bad) {
		printf("the programs cannot be measured: %s\n0 passed, 1 failed, 0 skipped\n",
		       strerror(-bad));
		return 1;
	}
	return records ? record(argv[2]) : compare(argv[1 + records]);
}
