// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rows_resets.c - the RST that refuses a SYN, to the byte. Every refused frame of every table is
 * compared whole with the one that resets.c writes down; these rows are about the shapes of SYNs.
 */
#include "packet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED(...)                                                               \
	"tiers=refuse", .step = {{0,                                               \
				  {.from = "192.0.2.1", .isn = 1000, __VA_ARGS__}, \
				  REFUSE(LOAD, UNKNOWN)}}

/* The length is that of the headers alone: 54 bytes for IPv4, 74 for IPv6, 4 more for each tag. */
static int lengths(const struct row *row)
{
	int wrong = 0;

	for (int v6 = 0; v6 < FAMILIES; v6++)
		for (uint8_t tags = 0; tags <= 2; tags++) {
			struct spec s = {.isn = tags, .tags = tags, .tcp_options = 20};
			size_t want = (v6 ? 74 : 54) + 4 * tags;
			uint8_t frame[FRAME_MAX];
			struct outcome out = {};

			wrong += setup_row(row, v6) ? 1 : 0;
			wrong +=
				bench_frame(BENCH_START_NS, frame, frame_build(&s, v6, frame), &out)
					? 1
					: 0;
			if (out.action == XDP_TX && out.bytes == want)
				continue;
			complain("expected %zu bytes by XDP_TX, got %zu by action %u", want,
				 out.bytes, out.action);
			wrong++;
		}
	return wrong;
}

static uint32_t any(void)
{
	return (uint32_t)random() << 16 ^ random();
}

/* One SYN of a random shape. */
static struct spec any_syn(char from[32], char to[32])
{
	struct spec s = {.from = from, .to = to};

	snprintf(from, 32, "%u.%u.%u.%u", any() & 255, any() & 255, any() & 255, any() & 255);
	/* Not to a group: nobody answers for one. */
	snprintf(to, 32, "%u.%u.%u.%u", any() % 224, any() & 255, any() & 255, any() & 255);
	s.from_port = 1 + any() % 65535;
	s.isn = any();
	s.tags = any() % 3;
	s.payload = any() % 3 ? 0 : any() % 1200;
	s.tcp_options = any() % 11 * 4;
	s.ip_options = any() % 11 * 4;
	s.flags = SYN | (any() & (AE | ECE | CWR | PSH | URG));
	s.window = any();
	return s;
}

static int many(const struct row *row)
{
	int wrong = 0;

	srandom(25);
	for (int v6 = 0; v6 < FAMILIES && !wrong; v6++) {
		if (setup_row(row, v6))
			return 1;
		for (int i = 0; i < 4000 && !wrong; i++) {
			char from[32], to[32];
			struct step step = {.frame = any_syn(from, to), REFUSE(LOAD, UNKNOWN)};

			wrong = step_run(row, &step, v6);
			if (wrong)
				complain("that was SYN %d, from %s port %u, ISN %u", i, from,
					 step.frame.from_port, step.frame.isn);
		}
	}
	return wrong;
}

/* One after another all values of half a sequence number: sums of every remainder, every carry. */
static int every_sum(const struct row *row)
{
	for (int v6 = 0; v6 < FAMILIES; v6++) {
		struct spec s = {.from = "203.0.113.77", .isn = 0xfffe0000};
		uint8_t frame[FRAME_MAX], want[FRAME_MAX];
		const char *wrong = NULL;
		struct outcome out;

		if (setup_row(row, v6))
			return 1;
		for (uint32_t n = 0; n < 65536; n++, s.isn++) {
			size_t bytes = frame_build(&s, v6, frame);

			if (bench_frame(BENCH_START_NS, frame, bytes, &out) ||
			    out.action != XDP_TX || out.bytes != reset_expect(&s, v6, want))
				wrong = "action or length";
			else
				wrong = checksums_wrong(out.frame, out.bytes);
			if (!wrong && !memcmp(out.frame, want, out.bytes))
				continue;
			complain("ISN %08x, IPv%d: wrong %s", s.isn, v6 ? 6 : 4,
				 wrong ? wrong : "bytes");
			return 1;
		}
	}
	return 0;
}

const struct row rows_resets[] = {
	{"A bare SYN: addresses, ports and MACs exchanged, RST+ACK, sequence 0, ISN acknowledged.",
	 REFUSED()},
	{"Hardware that takes tags off: an RST would leave in another VLAN, so REFUSE acts as DEFER.",
	 "tiers=refuse", .classes = "192.0.2.9/32=blocked",
	 .step = {{0, FROM("192.0.2.1"), DEFER(LOAD, UNKNOWN), .first.untagged = true},
		  {0, FROM("192.0.2.9"), DEFER(BLOCKED, BLOCKED)}}},
	{"On the other interfaces refusals go on.", "tiers=refuse",
	 .step = {{0, FROM("192.0.2.1"), REFUSE(LOAD, UNKNOWN), .first.untagged_elsewhere = true}}},
	{"Monitor counts it as what enforce would do.", "mode=monitor tiers=refuse",
	 .step = {{0, FROM("192.0.2.1"), MONITOR(DEFER, LOAD, UNKNOWN), .first.untagged = true}}},
	{"54 bytes for IPv4, 74 for IPv6, and 4 for each VLAN tag: no options, no payload.",
	 "tiers=refuse", .run = lengths},
	{"TCP options are not answered.", REFUSED(.tcp_options = 20)},
	{"Forty bytes of them neither.", REFUSED(.tcp_options = 40)},
	{"The payload of a SYN is acknowledged with it, or the client would not believe the RST.",
	 REFUSED(.payload = 16)},
	{"A payload of one byte.", REFUSED(.payload = 1)},
	{"A payload of 1,400 bytes, behind options.", REFUSED(.payload = 1400, .tcp_options = 40)},
	{"What Ethernet pads is not payload.", REFUSED(.pad = 6)},
	{"Nor is anything else behind the datagram.", REFUSED(.pad = 500, .payload = 3)},
	{"One VLAN tag is kept with its priority: the answer belongs to the same VLAN.",
	 REFUSED(.tags = 1, .tcp_options = 20)},
	{"A service tag is.", REFUSED(.tags = 1, .tpid = {TAG_802_1AD})},
	{"Two tags are.", REFUSED(.tags = 2, .tcp_options = 20)},
	{"A service tag before a customer's is.",
	 REFUSED(.tags = 2, .tpid = {TAG_802_1AD, TAG_802_1Q}, .payload = 100)},
	{"IPv4 options go.", REFUSED(.ip_options = 4), .families = ONLY_V4},
	{"Forty bytes of them, with TCP options and payload behind a tag, all go.",
	 REFUSED(.ip_options = 40, .tcp_options = 40, .payload = 33, .tags = 1),
	 .families = ONLY_V4},
	{"A first fragment of IPv4 is answered whole.", REFUSED(.fragment = MORE),
	 .families = ONLY_V4},
	{"Extension headers go.", REFUSED(.ext = "h"), .families = ONLY_V6},
	{"Eight of them, behind two tags, too.",
	 REFUSED(.ext = "hdrfamis", .tags = 2, .tcp_options = 20), .families = ONLY_V6},
	{"A fragment header goes: the answer is in one piece.", REFUSED(.ext = "F"),
	 .families = ONLY_V6},
	{"Traffic class and flow label are not repeated.", REFUSED(.flow = 0xfffffff),
	 .families = ONLY_V6},
	{"A checksum that offload left partial is not carried on: the RST's is made from zero.",
	 REFUSED(.tcp_check = 0xdead)},
	{"A checksum field of all ones neither.", REFUSED(.tcp_check = 0xffff)},
	{"Window, urgent pointer and flags of the SYN leave no trace.",
	 REFUSED(.window = 0xffff, .urgent = 0xffff, .flags = SYN | AE | ECE | CWR | PSH | URG)},
	{"The time to live is our own.", REFUSED(.ttl = 1)},
	{"The last sequence number there is, acknowledged, is 0.", "tiers=refuse",
	 .step = {{0, {.isn = 0xffffffff}, REFUSE(LOAD, UNKNOWN)}}},
	{"With payload it wraps around.", "tiers=refuse",
	 .step = {{0, {.isn = 0xffffffff, .payload = 77}, REFUSE(LOAD, UNKNOWN)}}},
	{"Other ports are answered from where they were asked.", "tiers=refuse port=587",
	 .step = {{0, {.from_port = 1, .to_port = 587}, REFUSE(LOAD, UNKNOWN)}}},
	{"Whatever the addresses, ports and sequence numbers, the checksums are right: 8,000 SYNs.",
	 "tiers=refuse refuse-rate=100000/s", .run = many},
	{"They are right for every remainder that a sum of theirs can have: 65,536 ISNs in a row.",
	 "tiers=refuse refuse-rate=1000000/s", .run = every_sum},
	{},
};
