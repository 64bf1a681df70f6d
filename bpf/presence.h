/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * presence.h - is this certainly nobody that we know? Pure.
 *
 * While the global bucket denies every first SYN, all that a flood of them could still find out is
 * whether somebody is listed, was learned, or has been here with this very attempt. Four look-ups in
 * tables that are cold by then; a few bits answer the same for nearly all (a Bloom filter of one
 * hash): a bit that is not set is a sure no, and one that is sends the SYN the whole way.
 *
 * Attempts: a word has 48 bits and the number of the stretch of time that they are of, so that what
 * is old need not be cleared. Two arrays, of even and of odd stretches: a stretch is longer than an
 * attempt is remembered, so this one and the one before know all.
 */
#ifndef PRESENCE_H
#define PRESENCE_H

#include "sluice.h"

#define PRESENCE_TRIES 4

static __always_inline __u64 presence_stretch(__u64 now_ns)
{
	return (now_ns >> PRESENCE_SHIFT) & 0xffff;
}

static __always_inline __u64 *presence_word(struct presence *p, __u64 stretch, __u64 fingerprint)
{
	return &p->attempt[stretch & 1][fingerprint & (PRESENCE_WORDS - 1)];
}

static __always_inline __u64 presence_bit(__u64 fingerprint)
{
	return 1ULL << ((fingerprint >> 48) * PRESENCE_BITS >> 16);
}

/* Notes one. Returns 0, or -1 when others wrote the word four times meanwhile: it is not noted. */
VERIFIED_ALONE int presence_set(__u64 *word, __u64 stretch, __u64 bit)
{
	if (!word)
		return -1;
	for (int i = 0; i < PRESENCE_TRIES; i++) {
		__u64 old = *(volatile __u64 *)word;
		__u64 next =
			(old >> PRESENCE_BITS == stretch ? old : stretch << PRESENCE_BITS) | bit;

		if (old == next || __sync_val_compare_and_swap(word, old, next) == old)
			return 0;
	}
	return -1;
}

/* May this attempt have been noted within this stretch or the one before? */
static __always_inline int presence_maybe(struct presence *p, __u64 fingerprint, __u64 now_ns)
{
	__u64 stretch = presence_stretch(now_ns), before = (stretch - 1) & 0xffff;
	__u64 bit = presence_bit(fingerprint);
	__u64 word = *(volatile __u64 *)presence_word(p, stretch, fingerprint);

	if (word >> PRESENCE_BITS == stretch && word & bit)
		return 1;
	word = *(volatile __u64 *)presence_word(p, before, fingerprint);
	return word >> PRESENCE_BITS == before && word & bit;
}

/*
 * Which bit a source has among the listed and the learned ones: that of its /24 or /48, mixed with
 * the seed of this load, so that nobody can choose addresses that share one.
 */
static __always_inline __u64 presence_source(const union addr *a, __u64 seed)
{
	__u64 key = a->half[0];

	if (!key && a->word[2] == V4_MAPPED_WORD)
		key = (__u64)(a->word[3] & PRESENCE_MASK_V4) << 32 | 4;
	else
		key &= PRESENCE_MASK_V6;
	key = (key ^ seed) * (seed | 1);
	key = (key ^ key >> 32) * 0x9e3779b97f4a7c15ULL;
	return key >> (64 - PRESENCE_SOURCE_BITS);
}

static __always_inline int presence_has(const __u64 *bits, __u64 source)
{
	return bits[source / 64 & (PRESENCE_SOURCE_WORDS - 1)] >> source % 64 & 1;
}

#endif
