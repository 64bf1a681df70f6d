/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * maps.h - the gate's state over the kernel's maps. Include before gate.h.
 *
 * Sizes of the four tables are set by the daemon before the load (kernel.c), from the config.
 */
#ifndef MAPS_H
#define MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sluice.h"

enum table { TABLE_SOURCE, TABLE_SUBNET, TABLE_ADMITTED, TABLE_DEFERRED };

#define LPM_TRIE_ENTRIES 1048576

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct policy);
} policies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

/* The tat of each CPU's share of the remembering budget. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} remember SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct prefix_key);
	__type(value, __u64);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct prefix_key);
	__type(value, __u64);
} subnets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct admitted);
} admitted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, __u64);
	__type(value, __u64);
} deferred SEC(".maps");

/* The class lists: two slots a family, the policy set says which is in force. */
struct class_trie_v4 {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LPM_TRIE_ENTRIES);
	__type(key, struct class_key_v4);
	__type(value, __u32);
} class_template_v4 SEC(".maps");

struct class_trie_v6 {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LPM_TRIE_ENTRIES);
	__type(key, struct class_key_v6);
	__type(value, __u32);
} class_template_v6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct class_trie_v4);
} classes_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct class_trie_v6);
} classes_v6 SEC(".maps");

struct state {
	const struct policy *policy;
	struct control *control;
	struct counters *counters;
	__u64 *remember_tat_ns;
};

/* Fills the state of this CPU. Returns 0, or -1 (then nothing can be judged: fail open). */
static __always_inline int state_load(struct state *st)
{
	__u32 zero = 0, active;

	st->control = bpf_map_lookup_elem(&control, &zero);
	st->counters = bpf_map_lookup_elem(&counters, &zero);
	st->remember_tat_ns = bpf_map_lookup_elem(&remember, &zero);
	if (!st->control || !st->counters || !st->remember_tat_ns)
		return -1;
	active = *(volatile __u32 *)&st->control->active & 1;
	st->policy = bpf_map_lookup_elem(&policies, &active);
	return st->policy ? 0 : -1;
}

static __always_inline void *state_find(struct state *st, enum table table, const void *key)
{
	(void)st; /* the maps are global here */
	switch (table) {
	case TABLE_SOURCE:
		return bpf_map_lookup_elem(&sources, key);
	case TABLE_SUBNET:
		return bpf_map_lookup_elem(&subnets, key);
	case TABLE_ADMITTED:
		return bpf_map_lookup_elem(&admitted, key);
	case TABLE_DEFERRED:
		return bpf_map_lookup_elem(&deferred, key);
	}
	return NULL;
}

static __always_inline int state_add(struct state *st, enum table table, const void *key,
				     const void *value)
{
	(void)st; /* the maps are global here */
	switch (table) {
	case TABLE_SOURCE:
		return bpf_map_update_elem(&sources, key, value, BPF_NOEXIST);
	case TABLE_SUBNET:
		return bpf_map_update_elem(&subnets, key, value, BPF_NOEXIST);
	case TABLE_ADMITTED:
		return bpf_map_update_elem(&admitted, key, value, BPF_NOEXIST);
	case TABLE_DEFERRED:
		return bpf_map_update_elem(&deferred, key, value, BPF_NOEXIST);
	}
	return -1;
}

/* No trie in the slot, or no match: unknown. */
static __always_inline enum class state_class(struct state *st, const struct attempt *a) {
	__u32 slot = st->policy->class_slot & 1; __u32 *class = NULL; void * trie;

	if (a->family ==
	    FAMILY_V4){struct class_key_v4 key = {.bits = 32, .addr = a->source.word[3]};

		       trie = bpf_map_lookup_elem(&classes_v4, &slot);
		       if (trie) class = bpf_map_lookup_elem(trie, &key);}
else
{
	struct class_key_v6 key = {.bits = 128};

	__builtin_memcpy(key.addr, a->source.byte, sizeof(key.addr));
	trie = bpf_map_lookup_elem(&classes_v6, &slot);
	if (trie)
		class = bpf_map_lookup_elem(trie, &key);
}
return class && *class < CLASSES ? *class : CLASS_UNKNOWN;
}

#endif
