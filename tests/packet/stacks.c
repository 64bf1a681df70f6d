// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * stacks.c - runs a row of the frame tables: for both families, bare and behind every stack of
 * VLAN tags, and where the row asks for it cut at every byte.
 */
#include "packet.h"

/* A judged SYN must have charged the words of its own source: read from the right place, that is. */
static const char small_buckets[] =
	"source-rate=60/min source-burst=3 subnet-rate=60/min subnet-burst=3";

static const struct {
	uint8_t tags;
	uint16_t tpid[2];
} stacks[] = {
	{0, {0, 0}},
	{1, {TAG_802_1Q, 0}},
	{1, {TAG_802_1AD, 0}},
	{2, {TAG_802_1Q, TAG_802_1Q}},
	{2, {TAG_802_1AD, TAG_802_1Q}},
	{2, {TAG_802_1Q, TAG_802_1AD}},
	{2, {TAG_802_1AD, TAG_802_1AD}},
};

static int run_cut(const struct row *row, const struct spec *whole, bool v6)
{
	struct step step = {.frame = *whole, UNJUDGED(TRUNCATED)};
	uint8_t frame[FRAME_MAX];
	size_t bytes = frame_build(whole, v6, frame);
	int wrong = 0;

	/* 14 bytes, the Ethernet header, is the least that the kernel runs. */
	for (step.frame.cut = 1; step.frame.cut <= bytes - 14 && !wrong; step.frame.cut++) {
		/* With all headers there it is the length in them that does not hold. */
		step.want.kind =
			step.frame.cut <= whole->payload ? FRAME_BAD_LENGTH : FRAME_TRUNCATED;
		wrong = step_run(row, &step, v6);
		if (wrong)
			complain("that was cut to %zu of %zu bytes", bytes - step.frame.cut, bytes);
	}
	return wrong;
}

static int run_once(const struct frame_row *fr, const struct spec *frame, bool v6)
{
	struct row row = {.policy = fr->policy ? fr->policy : small_buckets};
	struct step judged = {.frame = *frame, PASS(ADMITTED, UNKNOWN)};
	struct step unjudged = {.frame = *frame, UNJUDGED(SYN)};
	int wrong = setup_row(&row, v6) ? 1 : 0;

	unjudged.want.kind = fr->kind;
	if (!fr->policy)
		judged.owes = (struct owes){true, MS(1), S(1), S(1)};
	if (wrong)
		complain("the row could not be set up");
	/* First: what is not understood must not be remembered either. */
	if (fr->truncate && !wrong)
		wrong = run_cut(&row, frame, v6);
	return wrong ? wrong : step_run(&row, fr->kind == FRAME_SYN ? &judged : &unjudged, v6);
}

static int run_family(const struct frame_row *fr, bool v6)
{
	struct spec frame = fr->frame;
	int wrong = 0;

	if (frame.tags || frame.bytes)
		return run_once(fr, &frame, v6);
	for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]) && !wrong; i++) {
		frame.tags = stacks[i].tags;
		frame.tpid[0] = stacks[i].tpid[0];
		frame.tpid[1] = stacks[i].tpid[1];
		wrong = run_once(fr, &frame, v6);
		if (wrong)
			complain("that was %s, behind %d tags: %04x %04x", v6 ? "IPv6" : "IPv4",
				 frame.tags, frame.tpid[0], frame.tpid[1]);
	}
	return wrong;
}

int frame_row_run(const struct frame_row *fr)
{
	int wrong = 0;

	if (fr->families != ONLY_V6)
		wrong += run_family(fr, false);
	if (fr->families != ONLY_V4)
		wrong += run_family(fr, true);
	return wrong;
}
