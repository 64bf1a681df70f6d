/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * presence.h - is this certainly nobody that we know? Pure.
 *
 * Whether somebody is listed, was learned, or has been here with this very attempt are four look-ups
 * in tables, cold ones in a flood. A few bits answer the same for nearly all (a blocked Bloom filter:
 * Putze, Sanders and Singler, 2007): where one is not set it is a sure no, and else the tables are
 * asked. Each question costs one cache line: what is asked of one hash lies side by side.
 *
 * Attempts: a word has 48 bits and the number of the stretch of time that they are of, so that what
 * is old need not be cleared. Two words, of even and of odd stretches: a stretch is longer than an
 * attempt is remembered, so this one and the one before know all.
 *
 * The hashes here are quick ones, keyed with the seed of this load: whoever could make them collide
 * would gain nothing but that the tables are asked.
 */
#ifndef PRESENCE_H
#define PRESENCE_H

#include "sluice.h"

#define PRESENCE_TRIES 4
#define PRESENCE_MIX   0x9e3779b97f4a7c15ULL /* 2^64 by the golden ratio: odd, bits well mixed */

static __always_inline __u64 presence_mix(__u64 hash, __u64 word, __u64 seed)
{
	hash = (hash ^ word) * (seed | 1);
	return hash ^ hash >> 32;
}

/* --- attempts --------------------------------------------------------------------------------- */

FRAME_OF_ITS_OWN __u64 presence_mix_v6(__u64 hash, const struct attempt *a, const __u64 seed[2])
{
	hash = presence_mix(hash, a->source.half[0], seed[0]);
	hash = presence_mix(hash, a->source.half[1], seed[1]);
	hash = presence_mix(hash, a->dest.half[0], seed[0]);
	return presence_mix(hash, a->dest.half[1], seed[1]);
}

static __always_inline __u64 presence_attempt(const struct attempt *a, const __u64 seed[2])
{
	__u64 ports_isn = (__u64)a->source_port << 48 | (__u64)a->dest_port << 32 | a->isn;
	__u64 hash = presence_mix(seed[0], ports_isn, seed[1]);

	if (a->family == FAMILY_V4)
		hash = presence_mix(hash, (__u64)a->source.word[3] << 32 | a->dest.word[3],
				    seed[0]);
	else
		hash = presence_mix_v6(hash, a, seed);
	return presence_mix(hash, 0, PRESENCE_MIX);
}

static __always_inline __u64 presence_stretch(__u64 now_ns)
{
	return (now_ns >> PRESENCE_SHIFT) & 0xffff;
}

static __always_inline __u64 *presence_word(struct presence *p, __u64 stretch, __u64 attempt)
{
	return &p->attempt[attempt & (PRESENCE_WORDS - 1)].word[stretch & 1];
}

/* Its three bits of the 48 of a word. */
static __always_inline __u64 presence_bits(__u64 attempt)
{
	return 1ULL << ((attempt >> 58) * 3 >> 2) | 1ULL << ((attempt >> 52 & 63) * 3 >> 2) |
	       1ULL << ((attempt >> 46 & 63) * 3 >> 2);
}

/*
 * Notes one. Returns 0, or -1 when others wrote the word four times meanwhile, which takes four
 * stretches of time. (NULL is never passed; the verifier asks for the check.)
 */
VERIFIED_ALONE int presence_set(__u64 *word, __u64 stretch, __u64 bits)
{
	if (!word)
		return -1;
	for (int i = 0; i < PRESENCE_TRIES; i++) {
		__u64 old = *(volatile __u64 *)word;

		if (old >> PRESENCE_BITS == stretch) {
			if (bits & ~old)
				__sync_fetch_and_or(word, bits);
			return 0;
		}
		if (__sync_val_compare_and_swap(word, old, stretch << PRESENCE_BITS | bits) == old)
			return 0;
	}
	return -1;
}

static __always_inline int presence_word_has(__u64 word, __u64 stretch, __u64 bits)
{
	return word >> PRESENCE_BITS == stretch && !(bits & ~word);
}

/* May this attempt have been noted within this stretch or the one before? */
static __always_inline int presence_maybe(struct presence *p, __u64 attempt, __u64 now_ns)
{
	__u64 stretch = presence_stretch(now_ns), before = (stretch - 1) & 0xffff;
	__u64 bits = presence_bits(attempt);

	return presence_word_has(*(volatile __u64 *)presence_word(p, stretch, attempt), stretch,
				 bits) ||
	       presence_word_has(*(volatile __u64 *)presence_word(p, before, attempt), before,
				 bits);
}

/* --- sources ---------------------------------------------------------------------------------- */

/* What a source is called among the listed and the learned ones: the hash of its /24 or /48. */
static __always_inline __u64 presence_source(const union addr *a, __u64 seed)
{
	__u64 key = a->half[0];

	if (!key && a->word[2] == V4_MAPPED_WORD)
		key = (__u64)(a->word[3] & PRESENCE_MASK_V4) << 32 | 4;
	else
		key &= PRESENCE_MASK_V6;
	return presence_mix(presence_mix(seed, key, seed), 0, PRESENCE_MIX);
}

static __always_inline struct presence_source *presence_source_at(struct presence *p, __u64 source)
{
	return &p->source[source & (PRESENCE_SOURCES - 1)];
}

/* Its two bits of the 64 of a word. */
static __always_inline __u64 presence_source_bits(__u64 source)
{
	return 1ULL << (source >> 58) | 1ULL << (source >> 52 & 63);
}

#endif
