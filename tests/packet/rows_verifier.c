// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rows_verifier.c - what the verifier has to walk. Newer kernels are more generous than 5.15 and
 * 6.1, on which the program must load too: their bounds are held here, with room to spare.
 */
#include "packet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gate.skel.h>

#define LOG_BYTES 65536
#define LOG_STATS 4 /* BPF_LOG_STATS: the sums alone */

/*
 * Before Linux 6.9, and later without the JIT, every frame is rounded up to 32 bytes, also an empty
 * one (check_max_stack_depth).
 */
#define STACK_UNIT 32
#define STACK_MOST 480 /* of 512, for all frames that can be on it at once */

/* Of 1,000,000; older kernels prune less and may walk several times as many. */
#define INSNS_MOST 250000

static char log_text[LOG_BYTES];

static int load_with_log(void)
{
	struct gate_bpf *s = gate_bpf__open();
	int err;

	if (!s)
		return -1;
	bpf_program__set_log_buf(s->progs.sluice_gate, log_text, sizeof(log_text));
	bpf_program__set_log_level(s->progs.sluice_gate, LOG_STATS);
	err = gate_bpf__load(s);
	gate_bpf__destroy(s);
	return err;
}

/* "stack depth 136+0+256+0": of all functions, though never all of them are on it. */
static int stack_holds(const struct row *row)
{
	const char *at;
	long sum = 0;

	(void)row;
	if (load_with_log())
		return -1;
	at = strstr(log_text, "stack depth ");
	if (!at)
		return -1;
	for (at += strlen("stack depth "); *at >= '0' && *at <= '9'; at += *at == '+') {
		long depth = strtol(at, (char **)&at, 10);

		/* An empty one calls nobody and is called by the parser, before the judge. */
		sum += (depth + STACK_UNIT - 1) / STACK_UNIT * STACK_UNIT;
	}
	sum += STACK_UNIT; /* gcra_charge(), empty, at the end of the chain */
	if (sum <= STACK_MOST)
		return 0;
	complain("the frames take %ld bytes, at most %d were expected", sum, STACK_MOST);
	return 1;
}

static int walk_holds(const struct row *row)
{
	const char *at;
	long insns;

	(void)row;
	if (load_with_log())
		return -1;
	at = strstr(log_text, "processed ");
	if (!at)
		return -1;
	insns = strtol(at + strlen("processed "), NULL, 10);
	if (insns <= INSNS_MOST)
		return 0;
	complain("the verifier walked %ld instructions, at most %d were expected", insns,
		 INSNS_MOST);
	return 1;
}

const struct row rows_verifier[] = {
	{"The stack that all calls take together fits kernels that round every frame up.",
	 .run = stack_holds},
	{"The verifier's walk is far from its limit, as older kernels walk further.",
	 .run = walk_holds},
	{},
};
