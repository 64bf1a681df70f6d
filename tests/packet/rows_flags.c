// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rows_flags.c - the whole of small spaces, instead of examples: all flags, all ports, all data
 * offsets, all header lengths.
 */
#include "packet.h"

/* Runs the same row for both families with one thing after another. */
static int for_all(const struct row *row, uint32_t count,
		   void (*nth)(struct step *step, uint32_t n, bool v6))
{
	int wrong = 0;

	for (int v6 = 0; v6 < FAMILIES && !wrong; v6++) {
		if (setup_row(row, v6))
			return 1;
		for (uint32_t n = 0; n < count && !wrong; n++) {
			struct step step = {.at_ns = n * MS(1), .frame.isn = n, UNJUDGED(NOT_SYN)};

			nth(&step, n, v6);
			wrong = step_run(row, &step, v6);
			if (wrong)
				complain("that was number %u, IPv%d", n, v6 ? 6 : 4);
		}
	}
	return wrong;
}

static const struct step admitted = {PASS(ADMITTED, UNKNOWN)};

static void nth_flags(struct step *step, uint32_t n, bool v6)
{
	(void)v6;
	step->frame.flags = n | NO_FLAGS; /* exactly these */
	if ((n & (SYN | ACK | RST | FIN)) == SYN)
		step->want = admitted.want;
}

static int all_flags(const struct row *row)
{
	return for_all(row, 512, nth_flags);
}

static void nth_port(struct step *step, uint32_t n, bool v6)
{
	(void)v6;
	step->frame.to_port = n * 17 + 1; /* odd steps reach all bits of all bytes */
	step->want.kind = FRAME_OTHER_PORT;
	if (step->frame.to_port == 25 || step->frame.to_port == 2525)
		step->want = admitted.want;
}

static int all_ports(const struct row *row)
{
	return for_all(row, 3855, nth_port);
}

static void nth_offset(struct step *step, uint32_t n, bool v6)
{
	uint32_t doff = n % 16, words = n / 16; /* of options that are there */

	(void)v6;
	step->frame.doff = doff ? doff : DOFF_0;
	step->frame.tcp_options = words * 4;
	if (doff < 5)
		step->want.kind = FRAME_MALFORMED;
	else if (doff > 5 + words)
		step->want.kind = FRAME_BAD_LENGTH;
	else
		step->want = admitted.want;
}

static int all_offsets(const struct row *row)
{
	return for_all(row, 16 * 11, nth_offset);
}

static void nth_length(struct step *step, uint32_t n, bool v6)
{
	int length = n; /* as the header says; the datagram is 40 + 20 + 20 long, or 20 + 20 + 20 */
	int headers = v6 ? 0 : 20, whole = headers + 40;

	step->frame.tcp_options = 20;
	step->frame.length_lie = length - whole;
	if (length != whole)
		step->want.kind = FRAME_BAD_LENGTH;
	else
		step->want = admitted.want;
}

static int all_lengths(const struct row *row)
{
	return for_all(row, 2000, nth_length);
}

const struct row rows_flags[] = {
	{"Of all 512 combinations of flags exactly those with SYN and without ACK, RST and FIN are "
	 "judged.",
	 NULL, .run = all_flags},
	{"Of ports all over the range exactly those in the list are guarded.", "port=25,2525",
	 .run = all_ports},
	{"Of all data offsets, with 0 to 40 bytes of options, those from 5 to what is there are read.",
	 NULL, .run = all_offsets},
	{"Of all lengths in the IP header only the right one is judged: a shorter one does not hold "
	 "the headers, a longer one exceeds the frame.",
	 NULL, .run = all_lengths},
	{},
};
