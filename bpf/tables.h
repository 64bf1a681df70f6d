/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tables.h - the gate's state over plain memory, for tests and replay. Include before gate.h.
 *
 * Each table is a bounded chained hash; when it is full, the oldest entry makes room, which is
 * the nearest plain thing to the kernel's LRU_HASH.
 */
#ifndef TABLES_H
#define TABLES_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backlog.h"
#include "sessions.h"
#include "sluice.h"

#define PLAIN_KEY_BYTES	  24
#define PLAIN_VALUE_BYTES 64
#define PLAIN_NONE	  0xffffffffU

struct plain_entry {
	__u32 next;
	__u32 used;
	__u8 key[PLAIN_KEY_BYTES];
	__u64 value[PLAIN_VALUE_BYTES / 8];
};

struct plain_table {
	__u32 capacity; /* entries; the bound */
	__u32 cursor;	/* the entry that is filled next */
	__u32 key_bytes;
	__u32 value_bytes;
	struct plain_entry *entry;
	__u32 *head; /* capacity chains */
};

/* A class of a prefix; the longest match wins. A plain list: tests have few. */
struct plain_class {
	struct prefix prefix;
	union addr addr;
	enum class class;
};

struct state {
	const struct policy *policy;
	struct control *control;
	struct counters *counters;
	__u64 *remember_tat_ns;
	struct live *live;
	struct presence *presence;     /* NULL: the flood path is off */
	const struct backlog *backlog; /* of the one listener; NULL: there is none to be found */
	struct plain_table table[TABLES];
	const struct plain_class *classes;
	__u32 class_count;
	int (*fail_add)(enum table table); /* tests: refuse an insert; NULL otherwise */
};

/* Makes a table of a bounded number of entries. Returns 0 or -ENOMEM; plain_close frees it. */
static inline int plain_open(struct plain_table *t, __u32 capacity, __u32 key_bytes,
			     __u32 value_bytes)
{
	*t = (struct plain_table){
		.capacity = capacity, .key_bytes = key_bytes, .value_bytes = value_bytes};
	t->entry = calloc(capacity, sizeof(*t->entry));
	t->head = malloc(capacity * sizeof(*t->head));
	if (!t->entry || !t->head)
		return -ENOMEM;
	for (__u32 i = 0; i < capacity; i++)
		t->head[i] = PLAIN_NONE;
	return 0;
}

static inline void plain_close(struct plain_table *t)
{
	free(t->entry);
	free(t->head);
	t->entry = NULL;
	t->head = NULL;
}

static inline __u32 plain_chain(const struct plain_table *t, const void *key)
{
	const __u8 *byte = key;
	__u64 h = 0xcbf29ce484222325ULL; /* FNV-1a: no adversary here */

	for (__u32 i = 0; i < t->key_bytes; i++)
		h = (h ^ byte[i]) * 0x100000001b3ULL;
	return (h ^ h >> 32) % t->capacity;
}

static inline void *plain_find(struct plain_table *t, const void *key)
{
	for (__u32 i = t->head[plain_chain(t, key)]; i != PLAIN_NONE; i = t->entry[i].next)
		if (!memcmp(t->entry[i].key, key, t->key_bytes))
			return t->entry[i].value;
	return NULL;
}

static inline void plain_unlink(struct plain_table *t, __u32 victim)
{
	__u32 *link = &t->head[plain_chain(t, t->entry[victim].key)];

	while (*link != victim)
		link = &t->entry[*link].next;
	*link = t->entry[victim].next;
}

/* Adds a key that must not exist; the oldest entry makes room. Returns 0 or -EEXIST. */
static inline int plain_add(struct plain_table *t, const void *key, const void *value)
{
	__u32 i = t->cursor, chain = plain_chain(t, key);

	if (plain_find(t, key))
		return -EEXIST;
	t->cursor = (i + 1) % t->capacity;
	if (t->entry[i].used)
		plain_unlink(t, i);
	t->entry[i].used = 1;
	memcpy(t->entry[i].key, key, t->key_bytes);
	memcpy(t->entry[i].value, value, t->value_bytes);
	t->entry[i].next = t->head[chain];
	t->head[chain] = i;
	return 0;
}

/* Opens the tables with the given number of entries each. Returns 0 or -ENOMEM. */
static inline int state_open_tables(struct state *st, __u32 entries)
{
	const __u32 shape[TABLES][2] = {
		[TABLE_SOURCE] = {sizeof(struct prefix_key), sizeof(__u64)},
		[TABLE_SUBNET] = {sizeof(struct prefix_key), sizeof(__u64)},
		[TABLE_ADMITTED] = {sizeof(__u64), sizeof(struct admitted)},
		[TABLE_DEFERRED] = {sizeof(__u64), sizeof(__u64)},
		[TABLE_HOLDER] = {sizeof(struct prefix_key), sizeof(struct holder)},
		[TABLE_COMING] = {sizeof(struct prefix_key), sizeof(struct coming_of_source)},
		[TABLE_LEARNED] = {sizeof(struct prefix_key), sizeof(struct learned)},
	};

	for (int i = 0; i < TABLES; i++)
		if (plain_open(&st->table[i], entries, shape[i][0], shape[i][1]))
			return -ENOMEM;
	return 0;
}

static inline void state_close_tables(struct state *st)
{
	for (int i = 0; i < TABLES; i++)
		plain_close(&st->table[i]);
}

static inline void *state_find(struct state *st, enum table table, const void *key)
{
	return plain_find(&st->table[table], key);
}

static inline int state_add(struct state *st, enum table table, const void *key, const void *value)
{
	if (st->fail_add && st->fail_add(table))
		return -ENOMEM;
	return plain_add(&st->table[table], key, value);
}

static inline __u32 state_class(struct state *st, const struct attempt *a)
{
	const struct plain_class *best = NULL;

	for (__u32 i = 0; i < st->class_count; i++) {
		const struct plain_class *c = &st->classes[i];

		if (((a->source.half[0] ^ c->addr.half[0]) & c->prefix.mask.half[0]) ||
		    ((a->source.half[1] ^ c->addr.half[1]) & c->prefix.mask.half[1]))
			continue;
		if (!best || c->prefix.bits > best->prefix.bits)
			best = c;
	}
	return best ? best->class : CLASS_UNKNOWN;
}

static inline struct live *state_live(const struct state *st)
{
	return st->live;
}

static inline struct presence *state_presence(struct state *st)
{
	return st->presence;
}

static inline int state_backlog(struct state *st, const struct attempt *a, struct backlog *b)
{
	(void)a;
	if (!st->backlog)
		return -1;
	*b = *st->backlog;
	return 0;
}

#endif
