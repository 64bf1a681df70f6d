// SPDX-License-Identifier: GPL-2.0-or-later
/* The RST that answers a SYN: every byte of it, and its checksums by other arithmetic. */
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "frames.h"
#include "reset.h"
#include "rig.h"

/* A parsed SYN in a buffer of its exact size. */
struct answer {
	__u8 before[SHAPE_MAX_BYTES];
	__u8 *data;
	void *room;
	size_t had, l3, l4;
	struct frame f;
};

static void answer_open(struct answer *a, const struct shape *s)
{
	a->had = shape_write(s, a->before, &a->l3, &a->l4);
	a->room = frames_copy(a->before, a->had, &a->data);
	CU_ASSERT_EQUAL_FATAL(frame_parse(a->data, a->data + a->had, frames_policy(), &a->f),
			      FRAME_SYN);
}

static __u32 get32(const __u8 *p)
{
	return (__u32)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static void check_tcp(const struct shape *s, const __u8 *tcp, const __u8 *before)
{
	__u32 payload = s->payload_bytes + s->tcp_bytes - s->doff * 4;
	static const __u8 fixed[] = {0x50, 0x14, 0, 0}; /* five words, RST and ACK, no window */

	CHECK(!memcmp(tcp, before + 2, 2) && !memcmp(tcp + 2, before, 2), "ports");
	CHECK_U64(get32(tcp + 4), 0);
	CHECK_U64(get32(tcp + 8), (__u32)(s->isn + 1 + payload));
	CHECK(!memcmp(tcp + 12, fixed, 4), "offset, flags, window");
	CHECK(tcp[18] == 0 && tcp[19] == 0, "urgent pointer");
}

static void check_v4(const __u8 *ip, const __u8 *before)
{
	/* No options, 40 bytes, id 0, DF, hop limit 64, TCP. */
	static const __u8 fixed[] = {0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6};

	CHECK(!memcmp(ip, fixed, sizeof(fixed)), "the fixed part of the IPv4 header");
	CHECK(!memcmp(ip + 12, before + 16, 4) && !memcmp(ip + 16, before + 12, 4), "addresses");
	CHECK_U64(checksum_ipv4(ip), 0);
	CHECK_U64(checksum_tcp(ip + 12, ip + 16, 4, ip + 20, 20), 0);
}

static void check_v6(const __u8 *ip, const __u8 *before)
{
	static const __u8 fixed[] = {0x60, 0, 0, 0, 0, 20, 6, 64};

	CHECK(!memcmp(ip, fixed, sizeof(fixed)), "the fixed part of the IPv6 header");
	CHECK(!memcmp(ip + 8, before + 24, 16) && !memcmp(ip + 24, before + 8, 16), "addresses");
	CHECK_U64(checksum_tcp(ip + 8, ip + 24, 16, ip + 40, 20), 0);
}

static void check_reset(const struct shape *s)
{
	struct answer a;
	size_t ip_bytes = s->v6 ? 40 : 20, bytes;

	answer_open(&a, s);
	bytes = reset_build(a.data, a.data + a.had, &a.f);
	CHECK_U64(bytes, a.l3 + ip_bytes + 20);
	CHECK(bytes <= a.had, "the RST is longer than the SYN");
	CHECK(!memcmp(a.data, a.before + 6, 6) && !memcmp(a.data + 6, a.before, 6), "MACs");
	CHECK(!memcmp(a.data + 12, a.before + 12, a.l3 - 12), "the VLAN tags and the EtherType");
	(s->v6 ? check_v6 : check_v4)(a.data + a.l3, a.before + a.l3);
	check_tcp(s, a.data + a.l3 + ip_bytes, a.before + a.l4);
	CHECK(!memcmp(a.data + bytes, a.before + bytes, a.had - bytes), "behind the RST");
	free(a.room);
}

static void test_plain(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int vlans = 0; vlans <= 2; vlans++) {
			struct shape s = shape_syn(v6);

			s.vlans = vlans;
			check_reset(&s);
			s.padding_bytes = 6;
			check_reset(&s);
		}
}

static void test_what_goes(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int n = 0; n <= 8; n++) {
			struct shape s = shape_syn(v6);

			s.vlans = n % 3;
			s.ihl = 5 + n;
			s.exts = n;
			for (int i = 0; i < n; i++) {
				s.ext[i] = ext_kinds[i];
				s.ext_units[i] = 2;
			}
			s.doff = 5 + n;
			s.tcp_bytes = 4 * s.doff;
			s.flags = 0xc2; /* an ECN SYN gets a plain RST */
			check_reset(&s);
			s.payload_bytes = 1 + 173 * n;
			check_reset(&s);
		}
}

/* ACK is ISN + 1 + payload, modulo 2^32. */
static void test_the_acknowledgment_wraps(void)
{
	static const __u32 isns[] = {0, 1, 0x7fffffff, 0xfffffffe, 0xffffffff, 0xffffff00};

	for (int v6 = 0; v6 < 2; v6++)
		for (int i = 0; i < 6; i++)
			for (int payload = 0; payload <= 512; payload += 256) {
				struct shape s = shape_syn(v6);

				s.isn = isns[i];
				s.payload_bytes = payload;
				check_reset(&s);
			}
}

/* Sums that fold once, twice, and to zero: carries are where checksums go wrong. */
static void test_checksums_of_random_frames(void)
{
	__u64 random = 11;

	for (int round = 0; round < 20000; round++) {
		struct shape s = shape_syn(round & 1);

		s.source = rig_random(&random);
		s.dest = rig_random(&random) & 0x7fffffff; /* no group: nobody answers for one */
		s.isn = rig_random(&random);
		s.source_port = rig_random(&random);
		s.dest_port = round % 3 ? 25 : 65535;
		if (round % 7 == 0)
			s.source = s.isn = 0xffffffff;
		if (round % 7 == 0)
			s.dest = 0x7fffffff;
		check_reset(&s);
	}
}

/* It does not fit: nothing was written, and nothing behind the end was looked at. */
static void test_untouched_when_it_does_not_fit(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int vlans = 0; vlans <= 2; vlans++) {
			struct shape s = shape_syn(v6);
			struct answer a;

			s.vlans = vlans;
			answer_open(&a, &s);
			for (size_t n = 0; n < a.l3 + (v6 ? 60 : 40); n++) {
				__u8 *data;
				void *room = frames_copy(a.before, n, &data);

				CHECK_U64(reset_build(data, data + n, &a.f), 0);
				CHECK(!memcmp(data, a.before, n), "touched at %zu bytes", n);
				free(room);
			}
			free(a.room);
		}
}

/* A RST is not a SYN: it never answers itself. */
static void test_a_reset_is_not_judged(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct shape s = shape_syn(v6);
		struct answer a;
		struct frame f;
		__u32 bytes;

		s.source_port = 25; /* the answer goes to a guarded port too */
		answer_open(&a, &s);
		bytes = reset_build(a.data, a.data + a.had, &a.f);
		CHECK_U64(frames_parse(a.data, bytes, &f), FRAME_NOT_SYN);
		free(a.room);
	}
}

void suite_reset(void)
{
	static CU_TestInfo tests[] = {
		{"IPv4 and IPv6, 0 to 2 VLAN tags", test_plain},
		{"options, extension headers and payload go", test_what_goes},
		{"the acknowledgment wraps", test_the_acknowledgment_wraps},
		{"checksums of random frames", test_checksums_of_random_frames},
		{"untouched when it does not fit", test_untouched_when_it_does_not_fit},
		{"a RST is not judged", test_a_reset_is_not_judged},
		CU_TEST_INFO_NULL,
	};

	unit_suite("reset", tests);
}
