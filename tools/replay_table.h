/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay_table.h - a bounded table in which the oldest entry makes room, as those of tables.h.
 *
 * A replay asks its tables a hundred million times: keys are whole words, an entry is no larger
 * than it must be, and the places of the hash are twice as many as the entries. The hash is seeded
 * anew for every table, so that no capture can be made to be slow. Words are __u64 as in sluice.h,
 * which to the compiler is another type than uint64_t.
 */
#ifndef REPLAY_TABLE_H
#define REPLAY_TABLE_H

#include <errno.h>
#include <linux/types.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "sluice.h"

#define REPLAY_NONE UINT32_MAX

struct replay_table {
	__u64 seed[2];
	uint32_t capacity; /* entries; the bound. 0: nothing is in it, and nothing can be */
	uint32_t count;
	uint32_t cursor; /* the entry that is filled next */
	uint32_t mask;	 /* places - 1 */
	uint32_t key_words, entry_words;
	uint32_t value_bytes;
	uint32_t *place; /* the first entry of each chain */
	__u64 *entry;	 /* of each: the next in its chain, key, value */
};

/* Both halves of the product: every bit of the one meets every bit of the other. */
static inline __u64 replay_mix(__u64 a, __u64 b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (__u64)product ^ (__u64)(product >> 64);
}

/* Of one word, or of three: a prefix_key. */
static inline __u64 replay_hash(const __u64 seed[2], const __u64 *key, uint32_t words)
{
	__u64 h = replay_mix(key[0] ^ seed[0], seed[1]);

	return words == 1 ? h : replay_mix(h ^ key[1], replay_mix(key[2] ^ seed[1], seed[0]));
}

/* A seed that nobody knows; where the kernel has none yet, one that few do. */
static inline void replay_seed(__u64 seed[2])
{
	if (getrandom(seed, 16, GRND_NONBLOCK) != 16) {
		seed[0] = (uintptr_t)seed;
		seed[1] = 0x9e3779b97f4a7c15ULL;
	}
	seed[0] |= 1;
	seed[1] |= 1;
}

/* Returns 0 or -ENOMEM; replay_table_close frees it either way. */
static inline int replay_table_open(struct replay_table *t, uint32_t capacity, uint32_t key_words,
				    uint32_t value_bytes)
{
	uint32_t places = 1;

	while (places < capacity && places < 1U << 30)
		places *= 2;
	places *= 2;
	*t = (struct replay_table){
		.capacity = capacity, .mask = places - 1, .key_words = key_words};
	t->value_bytes = value_bytes;
	t->entry_words = 1 + key_words + (value_bytes + 7) / 8;
	replay_seed(t->seed);
	t->place = malloc(places * sizeof(*t->place));
	t->entry = malloc((size_t)capacity * t->entry_words * sizeof(*t->entry));
	if (!t->place || !t->entry)
		return -ENOMEM;
	memset(t->place, 0xff, places * sizeof(*t->place));
	return 0;
}

static inline void replay_table_close(struct replay_table *t)
{
	free(t->place);
	free(t->entry);
	*t = (struct replay_table){0};
}

static inline __u64 *replay_table_entry(const struct replay_table *t, uint32_t i)
{
	return t->entry + (size_t)i * t->entry_words;
}

static inline uint32_t *replay_table_place(const struct replay_table *t, const __u64 *key,
					   uint32_t words)
{
	return &t->place[replay_hash(t->seed, key, words) & t->mask];
}

/* A pointer to the value, or NULL. words is the key's, known where this is called. */
static inline void *replay_table_find(const struct replay_table *t, const void *key_,
				      uint32_t words)
{
	const __u64 *key = key_;
	uint32_t i;

	if (!t->count)
		return NULL;
	for (i = *replay_table_place(t, key, words); i != REPLAY_NONE;) {
		__u64 *entry = replay_table_entry(t, i);

		if (entry[1] == key[0] &&
		    (words == 1 || (entry[2] == key[1] && entry[3] == key[2])))
			return entry + 1 + words;
		i = (uint32_t)entry[0];
	}
	return NULL;
}

static inline void replay_table_unlink(struct replay_table *t, uint32_t victim)
{
	__u64 *entry = replay_table_entry(t, victim);
	uint32_t *place = replay_table_place(t, entry + 1, t->key_words);
	uint32_t i = *place;

	if (i == victim) {
		*place = (uint32_t)entry[0];
		return;
	}
	while ((uint32_t)replay_table_entry(t, i)[0] != victim)
		i = (uint32_t)replay_table_entry(t, i)[0];
	replay_table_entry(t, i)[0] = entry[0];
}

/*
 * Adds a key that must not exist; words is its own, known where this is called. Returns 0, -EEXIST,
 * or -ENOMEM where nothing can be in the table.
 */
static inline int replay_table_add(struct replay_table *t, const void *key, uint32_t words,
				   const void *value)
{
	uint32_t i = t->cursor, *place;
	__u64 *entry;

	if (!t->capacity)
		return -ENOMEM;
	if (replay_table_find(t, key, words))
		return -EEXIST;
	if (t->count == t->capacity)
		replay_table_unlink(t, i);
	else
		t->count++;
	t->cursor = i + 1 == t->capacity ? 0 : i + 1;
	place = replay_table_place(t, key, words);
	entry = replay_table_entry(t, i);
	entry[0] = *place;
	memcpy(entry + 1, key, words * sizeof(*entry));
	memcpy(entry + 1 + words, value, t->value_bytes);
	*place = i;
	return 0;
}

#endif
