// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SipHash-1-3 against the reference's published vectors and against a second implementation that
 * works byte by byte, as the paper describes it, and shares nothing with siphash.h.
 */
#include "rig.h"

#define WORDS 5

static __u64 turn(__u64 x, int by)
{
	return x << by | x >> (64 - by);
}

/* One SipRound: paper, section 2.2, with the state as an array. */
static void mix(__u64 v[4])
{
	for (int half = 0; half < 2; half++) {
		v[half * 2] += v[half ? 3 : 1];
		v[half ? 3 : 1] = turn(v[half ? 3 : 1], half ? 16 : 13) ^ v[half * 2];
	}
	v[0] = turn(v[0], 32);
	for (int half = 0; half < 2; half++) {
		v[half * 2] += v[half ? 1 : 3];
		v[half ? 1 : 3] = turn(v[half ? 1 : 3], half ? 17 : 21) ^ v[half * 2];
	}
	v[2] = turn(v[2], 32);
}

static __u64 little_endian(const __u8 *byte, size_t n)
{
	__u64 word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (__u64)byte[i] << 8 * i;
	return word;
}

static __u64 bytewise(const __u8 key[16], const __u8 *text, size_t bytes)
{
	const __u64 k0 = little_endian(key, 8), k1 = little_endian(key + 8, 8);
	__u64 v[4], word;

	for (int i = 0; i < 4; i++) /* "somepseudorandomlygeneratedbytes", big endian */
		v[i] = __builtin_bswap64(little_endian(
			       (const __u8 *)"somepseudorandomlygeneratedbytes" + 8 * i, 8)) ^
		       (i % 2 ? k1 : k0);
	for (size_t at = 0;; at += 8) {
		size_t n = bytes - at < 8 ? bytes - at : 8;

		word = little_endian(text + at, n);
		if (n < 8)
			word |= (__u64)bytes << 56;
		v[3] ^= word;
		mix(v);
		v[0] ^= word;
		if (n < 8)
			break;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		mix(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static __u64 ours(const __u64 key[2], const __u64 *word, __u32 words)
{
	struct siphash s;

	siphash_start(&s, key);
	for (__u32 i = 0; i < words; i++)
		siphash_word(&s, word[i]);
	return siphash_end(&s, words);
}

/* Key 00 01 .. 0f, message 00 01 .. of 0, 8, .. 40 bytes: the low halves of the reference. */
static void test_vectors(void)
{
	static const __u32 low[WORDS + 1] = {0x050fc4dc, 0x8d299a8e, 0x7d908b66,
					     0x67349c8c, 0x16a7b60d, 0x99e41531};
	const __u64 key[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
	__u8 bytes[8 * WORDS];
	__u64 word[WORDS];

	for (int i = 0; i < 8 * WORDS; i++)
		bytes[i] = i;
	for (int i = 0; i < WORDS; i++)
		word[i] = little_endian(bytes + 8 * i, 8);
	for (__u32 n = 0; n <= WORDS; n++) {
		CHECK_U64(ours(key, word, n) & 0xffffffff, low[n]);
		CHECK_U64(bytewise(bytes, bytes, 8 * n) & 0xffffffff, low[n]);
	}
}

static void test_against_bytewise(void)
{
	__u64 random = 1;

	for (int round = 0; round < 20000; round++) {
		__u64 word[WORDS], key[2] = {rig_random(&random), rig_random(&random)};
		__u8 bytes[8 * WORDS], key_bytes[16];
		__u32 n = rig_below(&random, WORDS + 1);

		for (int i = 0; i < 16; i++)
			key_bytes[i] = key[i / 8] >> 8 * (i % 8);
		for (int i = 0; i < 8 * WORDS; i++) {
			if (i % 8 == 0)
				word[i / 8] = rig_random(&random);
			bytes[i] = word[i / 8] >> 8 * (i % 8);
		}
		CHECK_U64(ours(key, word, n), bytewise(key_bytes, bytes, 8 * n));
	}
}

/* Each field that makes an attempt, and nothing else, changes its fingerprint; so does the seed. */
static void test_fingerprint(void)
{
	struct config c = rig_config();
	struct rig *r = rig_open_sized(&c, 16);
	const struct attempt base[] = {rig_v4(0x0a000001, 7), rig_v6(0x20010db800010000ULL, 1, 7)};

	for (int family = 0; family < 2; family++) {
		const struct attempt *b = &base[family];
		__u64 print = state_fingerprint(&r->st, b);
		struct attempt a[13];

		for (int i = 0; i < 13; i++)
			a[i] = *b;
		a[0].source_port ^= 1;
		a[1].dest_port ^= 1;
		a[2].isn ^= 0x80000000;
		a[3].source.word[3] ^= 1;
		a[4].dest.word[3] ^= 0x80;
		for (int i = 0; i < 3; i++) { /* of IPv6 every word counts */
			a[5 + i].source.word[i] ^= family;
			a[8 + i].dest.word[i] ^= family;
		}
		a[11].source = b->dest, a[11].dest = b->source; /* direction matters */
		a[12].source_port = b->dest_port, a[12].dest_port = b->source_port;
		for (int i = 0; i < 13; i++)
			CHECK((state_fingerprint(&r->st, &a[i]) == print) ==
				      (family == FAMILY_V4 && i >= 5 && i < 11),
			      "family %d, change %d", family, i);
		CHECK_U64(state_fingerprint(&r->st, b), print);
		r->control.seed[family] ^= 1;
		CHECK(state_fingerprint(&r->st, b) != print, "the seed does not matter");
	}
	rig_close(r);
}

void suite_siphash(void)
{
	static CU_TestInfo tests[] = {
		{"the reference's vectors", test_vectors},
		{"against a bytewise implementation", test_against_bytewise},
		{"the fingerprint is of the attempt, all of it", test_fingerprint},
		CU_TEST_INFO_NULL,
	};

	unit_suite("siphash", tests);
}
