/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * maps.h - the gate's state over the kernel's maps. Include before gate.h.
 *
 * Sizes of the four tables are set by the daemon before the load (kernel.c), from the config.
 */
#ifndef MAPS_H
#define MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "sluice.h"

#include "frame.h"
#include "listener.h"

/*
 * Bounds of what is kept of sessions. A session that finds no room is not counted: it holds a slot
 * that nobody sees, until the daemon's check of the kernel's own list.
 */
#define SESSIONS_ENTRIES 65536
#define HOLDERS_ENTRIES	 65536
#define LEARNED_ENTRIES	 131072
#define COMING_ENTRIES	 16384	/* sources with an attempt on its way; the eldest makes room */
#define ENDS_BYTES	 262144 /* a ring: 3,600 ends of sessions that the daemon has not seen yet */

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

/* What the parser hands to the judge, and he back. */
struct seen {
	struct frame frame;
	__u64 now_ns;
	__u64 tick;  /* in which the clock was read */
	__u32 maybe; /* MAYBE_: who it may be */
	__u32 pad;
	struct decision decision;
};

/*
 * What each CPU has for itself: the tat of its share of the remembering budget, and the place for
 * the SYN at hand, which the short stack has no room for. No two programs of this kind run on a
 * CPU at a time.
 */
struct workspace {
	__u64 remember_tat_ns; /* the first: state_seen() */
	struct seen seen;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct workspace);
} workspaces SEC(".maps");

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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct live);
} live SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, HOLDERS_ENTRIES);
	__type(key, struct prefix_key);
	__type(value, struct holder);
} holders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, COMING_ENTRIES);
	__type(key, struct prefix_key);
	__type(value, struct coming_of_source);
} coming SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct presence);
} presence SEC(".maps");

/* Not LRU: a live session is never forgotten for a new one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SESSIONS_ENTRIES);
	__type(key, __u64);
	__type(value, struct session);
} sessions SEC(".maps");

/* Written by the daemon alone: what a packet says of its source can be a lie. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LEARNED_ENTRIES);
	__type(key, struct prefix_key);
	__type(value, struct learned);
} learned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, ENDS_BYTES);
} ends SEC(".maps");

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
	struct live *live;
	void *packet; /* the XDP context: whose network namespace is asked for the listener */
};

static __always_inline struct live *state_live(const struct state *st)
{
	__u32 zero = 0;

	(void)st; /* the maps are global here */
	return bpf_map_lookup_elem(&live, &zero);
}

/* Fills the state of this CPU but for live. Returns 0, or -1: nothing can be judged (fail open). */
static __always_inline int state_load_words(struct state *st)
{
	struct workspace *mine;
	__u32 zero = 0, active;

	mine = bpf_map_lookup_elem(&workspaces, &zero);
	if (!mine)
		return -1;
	st->remember_tat_ns = &mine->remember_tat_ns;
	st->control = bpf_map_lookup_elem(&control, &zero);
	st->counters = bpf_map_lookup_elem(&counters, &zero);
	st->live = NULL;
	st->packet = NULL;
	if (!st->control || !st->counters)
		return -1;
	active = *(volatile __u32 *)&st->control->active & 1;
	st->policy = bpf_map_lookup_elem(&policies, &active);
	return st->policy ? 0 : -1;
}

/* All of it, likewise. */
static __always_inline int state_load(struct state *st)
{
	if (state_load_words(st))
		return -1;
	st->live = state_live(st);
	return st->live ? 0 : -1;
}

/* The place for the SYN at hand, of the workspace that the state was filled from. */
static __always_inline struct seen *state_seen(const struct state *st)
{
	return &((struct workspace *)st->remember_tat_ns)->seen;
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
	case TABLE_HOLDER:
		return bpf_map_lookup_elem(&holders, key);
	case TABLE_COMING:
		return bpf_map_lookup_elem(&coming, key);
	case TABLE_LEARNED:
		return bpf_map_lookup_elem(&learned, key);
	case TABLES:
		break;
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
	case TABLE_HOLDER:
		return bpf_map_update_elem(&holders, key, value, BPF_NOEXIST);
	case TABLE_COMING:
		return bpf_map_update_elem(&coming, key, value, BPF_NOEXIST);
	case TABLE_LEARNED:
	case TABLES:
		break; /* never from a packet */
	}
	return -1;
}

/* The class that the lists give the source. No trie in the slot, or no match: unknown. */
static __always_inline __u32 state_class(struct state *st, const struct attempt *a)
{
	__u32 slot = st->policy->class_slot & 1;
	__u32 *found = NULL;
	void *trie;

	if (a->family == FAMILY_V4) {
		struct class_key_v4 key = {.bits = 32, .addr = a->source.word[3]};

		trie = bpf_map_lookup_elem(&classes_v4, &slot);
		if (trie)
			found = bpf_map_lookup_elem(trie, &key);
	} else {
		struct class_key_v6 key = {.bits = 128};

		__builtin_memcpy(key.addr, a->source.byte, sizeof(key.addr));
		trie = bpf_map_lookup_elem(&classes_v6, &slot);
		if (trie)
			found = bpf_map_lookup_elem(trie, &key);
	}
	return found && *found < CLASSES ? *found : CLASS_UNKNOWN;
}

/* Set before the load: false in tests that hold the flood path against the whole way. */
const volatile _Bool use_presence = 1;

/* NULL: the flood path is off. */
static __always_inline struct presence *state_presence(struct state *st)
{
	__u32 zero = 0;

	(void)st; /* the maps are global here */
	return use_presence ? bpf_map_lookup_elem(&presence, &zero) : NULL;
}

static __always_inline int state_backlog(struct state *st, const struct attempt *a,
					 struct backlog *b)
{
	return listener_ask(st->packet, a, b);
}

#endif
