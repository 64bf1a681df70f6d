// SPDX-License-Identifier: GPL-2.0-or-later
#include "look.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

/* Only so that keys and fingerprints are the kernel's: nothing is judged here. */
#include "tables.h"

#include "state.h"

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

/* Reads a value whose size must be ours: another one is another ABI, or no map of ours. */
static int read_value(int fd, const void *key, void *value, size_t size)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &length) || info.value_size != size)
		return -EPROTO;
	return bpf_map_lookup_elem(fd, key, value);
}

static int read_first(look_map_fn *map, void *data, const char *name, void *value, size_t size,
		      struct config_error *err)
{
	__u32 zero = 0;
	int bad = read_value(map(data, name), &zero, value, size);

	return bad ? fail(err, bad, "the map %s cannot be read: %s", name,
			  bad == -EPROTO ? "it is of another version" : strerror(-bad))
		   : 0;
}

static bool read_entry(look_map_fn *map, void *data, const char *name, const void *key, void *value,
		       size_t size)
{
	return !read_value(map(data, name), key, value, size);
}

/* The budget differs by CPU, and a SYN comes in on any. */
static void read_budget(look_map_fn *map, void *data, struct look *l)
{
	int cpus = libbpf_num_possible_cpus(), fd = map(data, "workspaces");
	struct bpf_map_info info = {};
	__u32 length = sizeof(info), zero = 0;
	char *values;

	if (fd < 0 || cpus < 1 || bpf_obj_get_info_by_fd(fd, &info, &length))
		return;
	info.value_size = (info.value_size + 7) / 8 * 8;
	values = calloc((size_t)cpus, info.value_size);
	if (values && !bpf_map_lookup_elem(fd, &zero, values)) {
		l->remember_tat_ns = ~0ULL;
		for (int i = 0; i < cpus; i++) {
			uint64_t tat_ns; /* the first word of a workspace */

			memcpy(&tat_ns, values + (size_t)i * info.value_size, sizeof(tat_ns));
			if (tat_ns < l->remember_tat_ns)
				l->remember_tat_ns = tat_ns;
		}
	}
	free(values);
}

static uint32_t find_class(int trie, const struct attempt *a)
{
	struct class_key_v4 v4 = {.bits = 32, .addr = a->source.word[3]};
	struct class_key_v6 v6 = {.bits = 128};
	__u32 class = CLASS_UNKNOWN;

	memcpy(v6.addr, a->source.byte, sizeof(v6.addr));
	if (bpf_map_lookup_elem(trie, a->family == FAMILY_V4 ? (void *)&v4 : (void *)&v6, &class) ||
	    class >= CLASSES)
		return CLASS_UNKNOWN;
	return class;
}

/* As state_class() of maps.h does it. */
static uint32_t read_class(look_map_fn *map, void *data, const struct policy *p,
			   const struct attempt *a)
{
	bool v4 = a->family == FAMILY_V4;
	__u32 slot = p->class_slot & 1, id, class;
	char name[32];
	int trie, outer;

	snprintf(name, sizeof(name), "%s%u", v4 ? LOOK_TRIE_V4 : LOOK_TRIE_V6, slot);
	trie = map(data, name);
	if (trie >= 0)
		return find_class(trie, a);
	outer = map(data, v4 ? "classes_v4" : "classes_v6");
	if (outer < 0 || bpf_map_lookup_elem(outer, &slot, &id))
		return CLASS_UNKNOWN;
	trie = bpf_map_get_fd_by_id(id);
	if (trie < 0)
		return CLASS_UNKNOWN;
	class = find_class(trie, a);
	close(trie);
	return class;
}

int look_source(look_map_fn *map, void *data, const struct attempt *a, struct look *l,
		struct config_error *err)
{
	uint32_t family = a->family & 1;
	__u32 active;
	int bad;

	*l = (struct look){.now_ns = now_ns()};
	bad = read_first(map, data, "control", &l->control, sizeof(l->control), err);
	if (!bad)
		bad = read_first(map, data, "live", &l->live, sizeof(l->live), err);
	if (bad)
		return bad;
	active = l->control.active & 1;
	bad = read_value(map(data, "policies"), &active, &l->policy, sizeof(l->policy));
	if (bad)
		return fail(err, bad, "the map policies cannot be read: %s", strerror(-bad));
	state_prefix_key(&l->source, &a->source, &l->policy.source[family]);
	state_prefix_key(&l->subnet, &a->source, &l->policy.subnet[family]);
	l->has_source_tat = read_entry(map, data, "sources", &l->source, &l->source_tat_ns,
				       sizeof(l->source_tat_ns));
	l->has_subnet_tat = read_entry(map, data, "subnets", &l->subnet, &l->subnet_tat_ns,
				       sizeof(l->subnet_tat_ns));
	l->has_holder = read_entry(map, data, "holders", &l->source, &l->holder, sizeof(l->holder));
	l->has_coming = read_entry(map, data, "coming", &l->source, &l->coming, sizeof(l->coming));
	l->has_learned =
		read_entry(map, data, "learned", &l->source, &l->learned, sizeof(l->learned));
	l->listed = read_class(map, data, &l->policy, a);
	read_budget(map, data, l);
	return 0;
}

void look_attempt(look_map_fn *map, void *data, const struct attempt *a, struct look_attempt *seen)
{
	struct control c;
	__u32 zero = 0;
	__u64 fingerprint;

	*seen = (struct look_attempt){};
	if (read_value(map(data, "control"), &zero, &c, sizeof(c)))
		return;
	fingerprint = attempt_fingerprint(c.seed, a);
	if (!read_entry(map, data, "deferred", &fingerprint, &seen->deferred_ns,
			sizeof(seen->deferred_ns)))
		seen->deferred_ns = 0;
	if (!read_entry(map, data, "admitted", &fingerprint, &seen->admitted,
			sizeof(seen->admitted)))
		return;
	seen->admitted_ns = seen->admitted.at_ns;
	if (seen->admitted.passes & REPLAY_HELD)
		seen->held_until_ns = REPLAY_TIME(seen->admitted.passes);
}
