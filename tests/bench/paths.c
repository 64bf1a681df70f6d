// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * paths.c - the gate natively, one path of it so many times, for who counts instructions.
 *
 *	paths PATH TIMES
 *
 * Parse and judgement, over plain tables; built without inlining, but for what the kernel's program
 * has inline too: so callgrind can tell the gate from its tables.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tables.h"

#include "frame.h"
#include "gate.h"

#include "lab.h"

#define ENTRIES	   4096
#define NOW_NS	   (1000 * NSEC_PER_SEC)
#define TIMES_MOST 100000

static struct lab lab;
static struct state st;
static struct policy policy;
static struct control control;
static struct counters counters;
static struct live live;
static struct presence presence;
static __u64 remember_tat_ns;

struct path {
	const char *name;
	uint16_t port;
	struct limit limit;
	bool fresh; /* each an attempt of its own */
	int verdict;
};

static const struct path paths[] = {
	{"not ours", 26, .verdict = -1},
	{"flood", 25, {.full = true}, true, VERDICT_DEFER},
	{"denied by its own bucket", 25, {.denied = true}, true, VERDICT_DEFER},
	{"copy of an admitted one", 25, .verdict = VERDICT_DROP},
	{"admitted", 25, .fresh = true, .verdict = VERDICT_PASS},
	{"refused", 25, {.refuse = true}, true, VERDICT_REFUSE},
};

#define PATHS (sizeof(paths) / sizeof(paths[0]))

/* Returns the verdict, or -1: not to be judged. */
static __attribute__((__noinline__)) int judge_one(void)
{
	static struct frame frame;

	if (frame_parse(lab.frame, lab.frame + FRAME_BYTES, &policy, &frame) != FRAME_SYN ||
	    !frame_address_guarded(&policy, &frame.attempt.dest))
		return -1;
	return gate_judge(&st, &frame.attempt, NOW_NS).verdict;
}

static int set_up(const struct path *p)
{
	lab_policy(&policy, &p->limit);
	if (p->limit.refuse)
		policy.tier_override.until_ns = NOW_NS + NSEC_PER_SEC;
	control.seed[0] = 1;
	control.seed[1] = 2;
	control.global_tat_ns = p->limit.full ? NOW_NS + 2000 * NSEC_PER_SEC : 0;
	st = (struct state){.policy = &policy,
			    .control = &control,
			    .counters = &counters,
			    .remember_tat_ns = &remember_tat_ns,
			    .live = &live,
			    .presence = &presence};
	return state_open_tables(&st, ENTRIES);
}

static int run(const struct path *p, uint32_t times)
{
	int verdict = -1;

	if (set_up(p))
		return 1;
	/* One is admitted, or spends the budget of those to be remembered; a second one is no news. */
	for (uint32_t i = 0; i < times + 2; i++) {
		lab_put_syn(&lab, 0x0a000001, p->port, p->fresh ? i : 0);
		verdict = judge_one();
	}
	state_close_tables(&st);
	if (verdict != p->verdict) {
		fprintf(stderr, "paths: %s: the verdict was %d, and %d was expected\n", p->name,
			verdict, p->verdict);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t times = argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;

	if (argc == 1)
		for (size_t i = 0; i < PATHS; i++)
			printf("%s\n", paths[i].name);
	for (size_t i = 0; i < PATHS && times && times <= TIMES_MOST; i++)
		if (!strcmp(argv[1], paths[i].name))
			return run(&paths[i], times);
	return argc == 1 ? 0 : 2;
}
