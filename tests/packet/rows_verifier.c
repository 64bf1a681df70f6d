// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rows_verifier.c - what the verifier has to walk. Newer kernels are more generous than 5.15 and
 * 6.1, on which the program must load too: their bounds are held here, with room to spare.
 */
#include "packet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <banner.skel.h>
#include <gate.skel.h>
#include <sessions.skel.h>

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

static int load_with_log(struct gate_bpf *s)
{
	bpf_program__set_log_buf(s->progs.sluice_gate, log_text, sizeof(log_text));
	bpf_program__set_log_level(s->progs.sluice_gate, LOG_STATS);
	return gate_bpf__load(s);
}

#define FUNCTIONS_MOST 64

/* The functions of the program in the order of their code, and what each takes of the stack. */
static struct {
	size_t start[FUNCTIONS_MOST + 1];
	long depth[FUNCTIONS_MOST];
	size_t count;
} functions;

static void add_function(size_t start)
{
	size_t i = functions.count;

	for (size_t k = 0; k < functions.count; k++)
		if (functions.start[k] == start)
			return;
	if (functions.count == FUNCTIONS_MOST)
		return;
	for (; i && functions.start[i - 1] > start; i--)
		functions.start[i] = functions.start[i - 1];
	functions.start[i] = start;
	functions.count++;
}

static bool is_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL;
}

/* The deepest stack from this function on; the kernel allows eight frames. */
static long deepest(const struct bpf_insn *insn, size_t function, int frames)
{
	long below = 0;

	for (size_t i = functions.start[function]; i < functions.start[function + 1]; i++) {
		size_t callee = 0;
		long sum;

		if (!is_call(&insn[i]) || frames == 8)
			continue;
		while (functions.start[callee] != i + 1 + (size_t)(long)insn[i].imm)
			callee++;
		sum = deepest(insn, callee, frames + 1);
		below = sum > below ? sum : below;
	}
	return functions.depth[function] + below;
}

/* "stack depth 80+0+304+...": of all functions, in the order of their code. */
static int read_depths(const char *at)
{
	if (!at)
		return -1;
	at += strlen("stack depth ");
	for (size_t i = 0; i < functions.count; i++) {
		long depth = strtol(at, (char **)&at, 10);

		depth = depth ? depth : 1; /* an empty one is rounded up too */
		functions.depth[i] = (depth + STACK_UNIT - 1) / STACK_UNIT * STACK_UNIT;
		if (i + 1 < functions.count && *at++ != '+')
			return -1;
	}
	return *at == '+' ? -1 : 0;
}

static int stack_holds(const struct row *row)
{
	struct gate_bpf *s = gate_bpf__open();
	const struct bpf_insn *insn;
	long sum = -1;
	size_t count;

	(void)row;
	if (!s || load_with_log(s)) {
		gate_bpf__destroy(s);
		return -1;
	}
	insn = bpf_program__insns(s->progs.sluice_gate);
	count = bpf_program__insn_cnt(s->progs.sluice_gate);
	functions.count = 0;
	add_function(0);
	for (size_t i = 0; i < count; i++)
		if (is_call(&insn[i]))
			add_function(i + 1 + (size_t)(long)insn[i].imm);
	functions.start[functions.count] = count;
	if (!read_depths(strstr(log_text, "stack depth ")))
		sum = deepest(insn, 0, 1);
	gate_bpf__destroy(s);
	if (sum >= 0 && sum <= STACK_MOST)
		return 0;
	complain("the frames take %ld bytes, at most %d were expected", sum, STACK_MOST);
	return 1;
}

static int walk_holds(const struct row *row)
{
	struct gate_bpf *s = gate_bpf__open();
	const char *at;
	long insns;
	int err;

	(void)row;
	err = s ? load_with_log(s) : -1;
	gate_bpf__destroy(s);
	if (err)
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

/* Both forms of the tracepoint: the second is what the daemon falls back to. */
static int sessions_load(bool raw)
{
	struct sessions_bpf *s = sessions_bpf__open();
	struct bpf_link *link = NULL;
	int err;

	if (!s)
		return -1;
	bpf_program__set_autoload(s->progs.sluice_sessions, !raw);
	bpf_program__set_autoload(s->progs.sluice_sessions_raw, raw);
	bpf_map__set_autocreate(s->maps.class_template_v4, false);
	bpf_map__set_autocreate(s->maps.class_template_v6, false);
	err = sessions_bpf__load(s);
	if (!err)
		link = bpf_program__attach(raw ? s->progs.sluice_sessions_raw
					       : s->progs.sluice_sessions);
	err = link ? 0 : -1;
	bpf_link__destroy(link);
	sessions_bpf__destroy(s);
	return err;
}

static int sessions_load_typed(const struct row *row)
{
	(void)row;
	return sessions_load(false);
}

static int sessions_load_raw(const struct row *row)
{
	(void)row;
	return sessions_load(true);
}

static int banner_loads(const struct row *row)
{
	struct banner_bpf *s = banner_bpf__open();
	int err;

	(void)row;
	if (!s)
		return -1;
	bpf_map__set_autocreate(s->maps.class_template_v4, false);
	bpf_map__set_autocreate(s->maps.class_template_v6, false);
	err = banner_bpf__load(s);
	banner_bpf__destroy(s);
	return err;
}

const struct row rows_verifier[] = {
	{"The stack that all calls take together fits kernels that round every frame up.",
	 .run = stack_holds},
	{"The verifier's walk is far from its limit, as older kernels walk further.",
	 .run = walk_holds},
	{"Sessions are counted by the typed tracepoint.", .run = sessions_load_typed},
	{"Sessions are counted by the raw tracepoint, where the typed one is refused.",
	 .run = sessions_load_raw},
	{"The program that times the banner loads.", .run = banner_loads},
	{},
};
