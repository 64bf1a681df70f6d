// SPDX-License-Identifier: GPL-2.0-or-later
/* A bounded run of the fuzz target on mutated frames; the real one is tests/fuzz. */
#include <string.h>

#include "../fuzz/frame.c"

#include "frames.h"
#include "rig.h"

#define FUZZ_FRAMES 200000

static void random_shape(struct shape *s, __u64 *random)
{
	*s = shape_syn(rig_below(random, 2));
	s->vlans = rig_below(random, 4);
	s->ihl = 5 + rig_below(random, 11);
	s->exts = rig_below(random, 10);
	for (int i = 0; i < s->exts; i++) {
		s->ext[i] = ext_kinds[rig_below(random, EXT_KINDS)];
		s->ext_units[i] = rig_below(random, 4);
	}
	s->ext_fragment = rig_below(random, 8) ? 0 : rig_below(random, 16);
	s->tcp_bytes = 20 + 4 * rig_below(random, 11);
	s->doff = rig_below(random, 4) ? s->tcp_bytes / 4 : (int)rig_below(random, 16);
	s->payload_bytes = rig_below(random, 3) ? 0 : rig_below(random, 40);
	s->length_error = rig_below(random, 4) ? 0 : (int)rig_below(random, 80) - 40;
	s->padding_bytes = rig_below(random, 8);
}

/* Half of them lose bytes at the end, half have bytes or bits changed; some have neither. */
static size_t mutate(__u8 *bytes, size_t n, __u64 *random)
{
	if (rig_below(random, 3) == 0)
		n = rig_below(random, n + 1);
	for (int changes = rig_below(random, 4); n && changes > 0; changes--) {
		size_t at = rig_below(random, n);

		if (rig_below(random, 2))
			bytes[at] ^= 1 << rig_below(random, 8);
		else
			bytes[at] = rig_random(random);
	}
	return n;
}

static void test_mutated_frames(void)
{
	__u64 random = 2004;
	int kinds[FRAME_KINDS] = {};
	struct frame f;

	for (int i = 0; i < FUZZ_FRAMES; i++) {
		__u8 bytes[SHAPE_MAX_BYTES];
		struct shape s;
		size_t n;

		random_shape(&s, &random);
		n = mutate(bytes, shape_write(&s, bytes, NULL, NULL), &random);
		LLVMFuzzerTestOneInput(bytes, n);
		kinds[frames_parse(bytes, n, &f)]++;
	}
	/* Or the mutations were so wild that they tested nothing. */
	for (unsigned int kind = 0; kind < FRAME_KINDS; kind++)
		CHECK(kinds[kind] > 0 || kind == FRAME_OTHER_ADDRESS || kind == FRAME_OFF,
		      "no frame was %s", frames_kind_name(kind));
	CHECK(kinds[FRAME_SYN] > FUZZ_FRAMES / 10, "only %d SYNs", kinds[FRAME_SYN]);
}

void suite_fuzz(void)
{
	static CU_TestInfo tests[] = {
		{"200,000 mutated frames", test_mutated_frames},
		CU_TEST_INFO_NULL,
	};

	unit_suite("fuzz", tests);
}
