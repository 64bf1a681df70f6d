// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bench.c - the loaded program, its maps, and one frame at a time through it.
 *
 * BPF_PROG_TEST_RUN takes the frame with 8 bytes of metadata before it, which the program, loaded
 * with test_clock, reads as the time. It gives back the metadata and what became of the frame.
 */
#include "packet.h"

#include "listed.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <gate.skel.h>

#include "mark.h"

/* More than any row touches, and far from where an LRU table begins to evict. */
#define BENCH_ENTRIES 16384

struct bench bench;

static cpu_set_t usable; /* as we were started, before any thread is bound to one */
static char libbpf_said[8192];

/* Kept for the case that the load fails; when it may not succeed, one sentence is enough. */
static int keep_words(enum libbpf_print_level level, const char *format, va_list args)
{
	size_t used = strlen(libbpf_said);

	if (level != LIBBPF_WARN)
		return 0;
	return vsnprintf(libbpf_said + used, sizeof(libbpf_said) - used, format, args);
}

static int load(struct gate_bpf *s)
{
	s->rodata->test_clock = 1;
	bpf_map__set_max_entries(s->maps.sources, BENCH_ENTRIES);
	bpf_map__set_max_entries(s->maps.subnets, BENCH_ENTRIES);
	bpf_map__set_max_entries(s->maps.admitted, BENCH_ENTRIES);
	bpf_map__set_max_entries(s->maps.deferred, BENCH_ENTRIES);
	return gate_bpf__load(s);
}

int bench_open(const char **why)
{
	int err;

	libbpf_set_print(keep_words);
	bench.skeleton = gate_bpf__open();
	if (!bench.skeleton) {
		*why = "the skeleton cannot be opened";
		return -errno;
	}
	err = load(bench.skeleton);
	if (err) {
		*why = err == -EPERM ? "loading BPF programs is not permitted here: run it as root"
				     : libbpf_said;
		bench_close();
		return err;
	}
	bench.program = bpf_program__fd(bench.skeleton->progs.sluice_gate);
	bench.possible_cpus = libbpf_num_possible_cpus();
	sched_getaffinity(0, sizeof(usable), &usable);
	bench.usable_cpus = CPU_COUNT(&usable);
	bench.control = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED,
			     bpf_map__fd(bench.skeleton->maps.control), 0);
	bench.presence = mmap(NULL, sizeof(struct presence), PROT_READ | PROT_WRITE, MAP_SHARED,
			      bpf_map__fd(bench.skeleton->maps.presence), 0);
	if (bench.control == MAP_FAILED || bench.presence == MAP_FAILED ||
	    bench.possible_cpus < 1) {
		*why = "the control map or the presence filter cannot be mapped";
		return -EIO;
	}
	if (unshare(CLONE_NEWNET)) {
		*why = "a network namespace of its own cannot be had";
		return -errno;
	}
	return 0;
}

void bench_close(void)
{
	gate_bpf__destroy(bench.skeleton);
	bench.skeleton = NULL;
}

/* Deletes every key; none of the tables has keys longer than a prefix_key. */
static int clear_table(const struct bpf_map *map)
{
	int fd = bpf_map__fd(map);
	struct prefix_key key;

	while (!bpf_map_get_next_key(fd, NULL, &key))
		if (bpf_map_delete_elem(fd, &key))
			return -errno;
	return 0;
}

static int clear_per_cpu(const struct bpf_map *map, size_t bytes)
{
	uint32_t zero = 0;
	void *nothing = calloc(bench.possible_cpus, bytes);
	int err = -ENOMEM;

	if (nothing)
		err = bpf_map_update_elem(bpf_map__fd(map), &zero, nothing, BPF_ANY) ? -errno : 0;
	free(nothing);
	return err;
}

static int clear_one(const struct bpf_map *map, size_t bytes)
{
	uint32_t zero = 0;
	void *nothing = calloc(1, bytes);
	int err = -ENOMEM;

	if (nothing)
		err = bpf_map_update_elem(bpf_map__fd(map), &zero, nothing, BPF_ANY) ? -errno : 0;
	free(nothing);
	return err;
}

int bench_clear(void)
{
	static const struct policy none;
	int err = 0;

	for (uint32_t slot = 0; slot < 2; slot++) {
		bpf_map_delete_elem(bpf_map__fd(bench.skeleton->maps.classes_v4), &slot);
		bpf_map_delete_elem(bpf_map__fd(bench.skeleton->maps.classes_v6), &slot);
		err = err ? err : bench_policy(slot, &none);
	}
	memset((void *)bench.control, 0, sizeof(*bench.control));
	memset(bench.presence, 0, sizeof(*bench.presence));
	err = err ? err : clear_table(bench.skeleton->maps.sources);
	err = err ? err : clear_table(bench.skeleton->maps.subnets);
	err = err ? err : clear_table(bench.skeleton->maps.admitted);
	err = err ? err : clear_table(bench.skeleton->maps.deferred);
	err = err ? err : clear_table(bench.skeleton->maps.holders);
	err = err ? err : clear_table(bench.skeleton->maps.coming);
	err = err ? err : clear_table(bench.skeleton->maps.learned);
	err = err ? err : clear_one(bench.skeleton->maps.live, sizeof(struct live));
	/* Its size is a matter of the program alone. */
	err = err ? err
		  : clear_per_cpu(bench.skeleton->maps.workspaces,
				  bpf_map__value_size(bench.skeleton->maps.workspaces));
	return err ? err : clear_per_cpu(bench.skeleton->maps.counters, sizeof(struct counters));
}

int bench_policy(uint32_t set, const struct policy *p)
{
	int fd = bpf_map__fd(bench.skeleton->maps.policies);

	return bpf_map_update_elem(fd, &set, p, BPF_ANY) ? -errno : 0;
}

int bench_trie_slot(uint32_t slot, bool v6, int trie)
{
	const struct bpf_map *slots =
		v6 ? bench.skeleton->maps.classes_v6 : bench.skeleton->maps.classes_v4;

	return bpf_map_update_elem(bpf_map__fd(slots), &slot, &trie, BPF_ANY) ? -errno : 0;
}

static int test_run(uint64_t now_ns, const uint8_t *frame, size_t bytes, uint32_t n,
		    struct outcome *out)
{
	uint8_t in[sizeof(now_ns) + FRAME_MAX];
	uint8_t back[sizeof(struct hold_mark) + sizeof(now_ns) + FRAME_MAX], *at = back;
	struct xdp_md context = {.data = sizeof(now_ns), .data_end = sizeof(now_ns) + bytes};
	const struct hold_mark mark = {HOLD_MAGIC};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = sizeof(now_ns) + bytes,
		    .data_out = back, .data_size_out = sizeof(back), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = n);

	memcpy(in, &now_ns, sizeof(now_ns));
	memcpy(in + sizeof(now_ns), frame, bytes);
	if (bpf_prog_test_run_opts(bench.program, &opts))
		return -errno;
	/* The metadata comes back in front: it shows where the frame begins. */
	out->marked = opts.data_size_out >= sizeof(mark) && !memcmp(back, &mark, sizeof(mark));
	if (out->marked)
		at += sizeof(mark);
	if (back + opts.data_size_out < at + sizeof(now_ns) || memcmp(at, &now_ns, sizeof(now_ns)))
		return -EPROTO;
	at += sizeof(now_ns);
	out->action = opts.retval;
	out->bytes = (size_t)(back + opts.data_size_out - at);
	memcpy(out->frame, at, out->bytes);
	return 0;
}

int bench_frame(uint64_t now_ns, const uint8_t *frame, size_t bytes, struct outcome *out)
{
	return test_run(now_ns, frame, bytes, 1, out);
}

int bench_repeat(uint64_t now_ns, const uint8_t *frame, size_t bytes, uint32_t n)
{
	struct outcome last;

	return test_run(now_ns, frame, bytes, n, &last);
}

int bench_counters(struct counters *sum)
{
	struct counters *each = calloc(bench.possible_cpus, sizeof(*each));
	uint32_t zero = 0;
	int err = -ENOMEM;

	memset(sum, 0, sizeof(*sum));
	if (each)
		err = bpf_map_lookup_elem(bpf_map__fd(bench.skeleton->maps.counters), &zero, each)
			      ? -errno
			      : 0;
	for (int cpu = 0; !err && cpu < bench.possible_cpus; cpu++)
		for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++)
			((uint64_t *)sum)[i] += ((const uint64_t *)&each[cpu])[i];
	free(each);
	return err;
}

uint64_t bench_debt(enum bucket_table table, const struct prefix_key *key, uint64_t now_ns)
{
	const struct bpf_map *map =
		table == SOURCES ? bench.skeleton->maps.sources : bench.skeleton->maps.subnets;
	uint64_t tat_ns;

	if (bpf_map_lookup_elem(bpf_map__fd(map), key, &tat_ns) || tat_ns < now_ns)
		return 0;
	return tat_ns - now_ns;
}

int bench_live(const struct live *l)
{
	uint32_t zero = 0;
	int fd = bpf_map__fd(bench.skeleton->maps.live);

	return bpf_map_update_elem(fd, &zero, l, BPF_ANY) ? -errno : 0;
}

int bench_holder(const struct prefix_key *key, const struct holder *h)
{
	int fd = bpf_map__fd(bench.skeleton->maps.holders);

	return bpf_map_update_elem(fd, key, h, BPF_ANY) ? -errno : 0;
}

int bench_learned(const struct prefix_key *key, const struct learned *l)
{
	int fd = bpf_map__fd(bench.skeleton->maps.learned);

	listed_learn(bench.presence, key, bench.control->seed[1]);
	bench.control->present |= 1U << PRESENCE_LEARNED;
	return bpf_map_update_elem(fd, key, l, BPF_ANY) ? -errno : 0;
}

int bench_pin(int nth)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int cpu = 0; cpu < CPU_SETSIZE && nth >= 0; cpu++)
		if (CPU_ISSET(cpu, &usable) && !nth--)
			CPU_SET(cpu, &set);
	return -pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}
