// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * stages.c - what each step of the flood path costs, and how large the programs are.
 *
 *	stages ROUNDS
 *
 * One line of JSON for each stage: nanoseconds above an empty program when the path is cut behind
 * it, one SYN again and again, the median of the rounds. Then one for each program: instructions as
 * the verifier leaves them, and bytes of machine code. A function that the verifier has found dead
 * is not there any more.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab.h"
#include "stages.h"

#include "banner.skel.h"
#include "hold.skel.h"
#include "sessions.skel.h"
#include "stages.skel.h"

#define ROUNDS_MOST 25
#define RUNS	    300000

static const char *const sentences[STAGES] = {
#define X(id, sentence) [STAGE_##id] = sentence,
	STAGE_TABLE(X)
#undef X
};

static struct lab lab;

/* The path cut behind a stage, over the maps of the lab. Returns 0 or -errno. */
static int load_stage(uint32_t stage, struct stages_bpf **loaded)
{
	struct stages_bpf *s = stages_bpf__open();
	struct bpf_map *map;
	int bad = 0;

	if (!s)
		return -errno;
	*loaded = s;
	s->rodata->stop_after = stage;
	bpf_program__set_autoload(s->progs.sluice_gate, false);
	bpf_object__for_each_map(map, s->obj)
	{
		const struct bpf_map *same =
			bpf_map__is_internal(map)
				? NULL
				: bpf_object__find_map_by_name(lab.gate->obj, bpf_map__name(map));

		if (same && !bad)
			bad = bpf_map__reuse_fd(map, bpf_map__fd(same));
	}
	return bad ? bad : stages_bpf__load(s);
}

static int measure(struct stages_bpf *stage[STAGES], int empty, int rounds,
		   double above[STAGES][ROUNDS_MOST])
{
	uint32_t verdict;

	lab_put_syn(&lab, 0x0a000001, 25, 1);
	for (int round = 0; round < rounds; round++) {
		double floor = lab_run(&lab, empty, RUNS, &verdict);

		for (uint32_t i = 0; i < STAGES; i++) {
			int fd = bpf_program__fd(stage[i]->progs.sluice_stages);
			double ns = lab_run(&lab, fd, RUNS, &verdict);

			if (ns < 0 || floor < 0 || verdict != XDP_DROP) {
				fprintf(stderr, "stages: '%s' was not reached: verdict %u\n",
					sentences[i], verdict);
				return -EPROTO;
			}
			above[i][round] = ns - floor;
		}
	}
	return 0;
}

static int measure_stages(int rounds)
{
	static double above[STAGES][ROUNDS_MOST];
	static struct stages_bpf *stage[STAGES];
	const struct limit full = {.full = true};
	int empty = lab_empty_program(), bad;
	uint32_t verdict;

	bad = empty < 0 ? empty : lab_limit(&lab, &full);
	for (uint32_t i = 0; i < STAGES && !bad; i++)
		bad = load_stage(i, &stage[i]);
	if (!bad) {
		/* Another attempt spends the budget, lest this one be remembered. */
		lab_put_syn(&lab, 0x0a000002, 25, 2);
		lab_run(&lab, bpf_program__fd(lab.gate->progs.sluice_gate), 1, &verdict);
		bad = measure(stage, empty, rounds, above);
	}
	for (uint32_t i = 0; i < STAGES && !bad; i++)
		printf("{\"stage\": \"%s\", \"ns\": %.1f}\n", sentences[i],
		       lab_median(above[i], (size_t)rounds));
	for (uint32_t i = 0; i < STAGES; i++)
		stages_bpf__destroy(stage[i]);
	return bad;
}

static int print_size(const char *name, int fd)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	printf("{\"program\": \"%s\", \"insns\": %zu, \"jited_bytes\": %u, \"functions\": %u, "
	       "\"verified_insns\": %u}\n",
	       name, info.xlated_prog_len / sizeof(struct bpf_insn), info.jited_prog_len,
	       info.nr_jited_func_lens, info.verified_insns);
	return 0;
}

static int print_sizes(void)
{
	struct banner_bpf *banner = banner_bpf__open_and_load();
	struct hold_bpf *hold = hold_bpf__open_and_load();
	struct sessions_bpf *sessions = sessions_bpf__open();
	int bad;

	if (!banner || !hold || !sessions)
		return errno ? -errno : -EIO;
	bpf_program__set_autoload(sessions->progs.sluice_sessions_raw, false);
	bad = sessions_bpf__load(sessions);
	if (!bad)
		bad = print_size("gate", bpf_program__fd(lab.gate->progs.sluice_gate));
	if (!bad)
		bad = print_size("sessions", bpf_program__fd(sessions->progs.sluice_sessions));
	if (!bad)
		bad = print_size("hold", bpf_program__fd(hold->progs.sluice_hold));
	if (!bad)
		bad = print_size("banner", bpf_program__fd(banner->progs.sluice_banner));
	banner_bpf__destroy(banner);
	hold_bpf__destroy(hold);
	sessions_bpf__destroy(sessions);
	return bad;
}

int main(int argc, char **argv)
{
	int rounds = argc == 2 ? atoi(argv[1]) : 0, bad;

	if (rounds < 1 || rounds > ROUNDS_MOST) {
		fprintf(stderr, "stages: a number of rounds from 1 to %d was expected\n",
			ROUNDS_MOST);
		return 2;
	}
	bad = unshare(CLONE_NEWNET) ? -errno : lab_open(&lab);
	if (!bad)
		bad = measure_stages(rounds);
	if (!bad)
		bad = print_sizes();
	if (bad)
		fprintf(stderr, "stages: %s\n", strerror(-bad));
	return bad ? 1 : 0;
}
