// SPDX-License-Identifier: GPL-2.0-or-later
/* What is a SYN of ours and what is not, byte by byte. */
#include <arpa/inet.h>
#include <string.h>

#include "frames.h"
#include "rig.h"

#define CHECK_KIND(s, kind) check_kind(__LINE__, s, FRAME_##kind)

static void check_kind(unsigned int line, const struct shape *s, unsigned int expected)
{
	struct frame f;
	unsigned int got = shape_parse(s, &f);

	if (got != expected)
		unit_fail(__FILE__, line, "IPv%d: %s, expected %s", s->v6 ? 6 : 4,
			  frames_kind_name(got), frames_kind_name(expected));
}

/* All that the parser says of a SYN is what was written into it. */
static void check_syn(unsigned int line, const struct shape *s)
{
	__u8 bytes[SHAPE_MAX_BYTES];
	size_t l3, l4, n = shape_write(s, bytes, &l3, &l4);
	union addr source = rig_addr_v4(s->source), dest = rig_addr_v4(s->dest);
	struct frame f;
	unsigned int kind = frames_parse(bytes, n, &f);

	if (kind != FRAME_SYN) {
		unit_fail(__FILE__, line, "IPv%d: %s, expected syn", s->v6 ? 6 : 4,
			  frames_kind_name(kind));
		return;
	}
	if (s->v6) {
		source = rig_addr_v6(0x20010db800aa00bbULL, s->source);
		dest = rig_addr_v6(0x20010db800aa00bcULL, s->dest);
	}
	CHECK_U64(f.attempt.family, s->v6 ? FAMILY_V6 : FAMILY_V4);
	CHECK(!memcmp(&f.attempt.source, &source, 16), "line %u: the source address", line);
	CHECK(!memcmp(&f.attempt.dest, &dest, 16), "line %u: the destination address", line);
	CHECK_U64(ntohs(f.attempt.source_port), s->source_port);
	CHECK_U64(ntohs(f.attempt.dest_port), s->dest_port);
	CHECK_U64(ntohl(f.attempt.isn), s->isn);
	CHECK_U64(f.l3_offset, l3);
	CHECK_U64(f.l4_offset, l4);
	CHECK_U64(f.payload_bytes, s->payload_bytes + s->tcp_bytes - s->doff * 4);
}

#define CHECK_SYN(s) check_syn(__LINE__, s)

static void test_plain(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct shape s = shape_syn(v6);

		CHECK_SYN(&s);
		s.padding_bytes =
			6; /* Ethernet's least length: what is behind the packet is not TCP */
		CHECK_SYN(&s);
		s.payload_bytes = 1;
		CHECK_SYN(&s);
		s.payload_bytes = 1400; /* TCP Fast Open */
		CHECK_SYN(&s);
	}
}

static void test_every_ihl(void)
{
	for (int ihl = 0; ihl < 16; ihl++) {
		struct shape s = shape_syn(false);

		s.ihl = ihl;
		if (ihl < 5)
			CHECK_KIND(&s, MALFORMED);
		else
			CHECK_SYN(&s);
		s.payload_bytes = 77;
		s.vlans = 2;
		if (ihl >= 5)
			CHECK_SYN(&s);
	}
}

static void test_every_version(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int version = 0; version < 16; version++) {
			struct shape s = shape_syn(v6);
			__u8 bytes[SHAPE_MAX_BYTES];
			size_t l3, n = shape_write(&s, bytes, &l3, NULL);
			unsigned int kind;
			struct frame f;

			bytes[l3] = version << 4 | (bytes[l3] & 15);
			kind = frames_parse(bytes, n, &f);
			CHECK(kind == (version == (v6 ? 6 : 4) ? FRAME_SYN : FRAME_MALFORMED),
			      "EtherType of IPv%d, version %d: %s", v6 ? 6 : 4, version,
			      frames_kind_name(kind));
		}
}

static void test_vlans(void)
{
	static const __u16 tpids[] = {0x8100, 0x88a8};

	for (int v6 = 0; v6 < 2; v6++)
		for (int pick = 0; pick < 8; pick++) {
			struct shape s = shape_syn(v6);

			for (int i = 0; i < 3; i++)
				s.tpid[i] = tpids[pick >> i & 1];
			for (s.vlans = 0; s.vlans <= 2; s.vlans++)
				CHECK_SYN(&s);
			CHECK_KIND(&s, VLAN_DEPTH); /* three */
			s.vlans = 1;
			s.tpid[0] = 0x9100; /* a vendor's: not IP to us */
			CHECK_KIND(&s, NOT_IP);
		}
}

static void test_ethertypes(void)
{
	struct shape s = shape_syn(false);
	__u8 bytes[SHAPE_MAX_BYTES];
	size_t n = shape_write(&s, bytes, NULL, NULL);
	struct frame f;

	for (unsigned int type = 0; type < 65536; type++) {
		unsigned int kind;

		if (type == 0x0800 || type == 0x86dd || type == 0x8100 || type == 0x88a8)
			continue;
		bytes[12] = type >> 8;
		bytes[13] = type & 255;
		kind = frame_parse(bytes, bytes + n, frames_policy(), &f);
		CHECK(kind == FRAME_NOT_IP, "%04x: %s", type, frames_kind_name(kind));
	}
}

/* 0 to 8 extension headers, each kind at each place, and a ninth. */
static void test_extension_headers(void)
{
	__u64 random = 7;

	for (int exts = 0; exts <= 9; exts++)
		for (int round = 0; round < 400; round++) {
			struct shape s = shape_syn(true);

			s.exts = exts;
			for (int i = 0; i < exts; i++) {
				s.ext[i] = ext_kinds[round < EXT_KINDS ? (__u64)round
								       : rig_below(&random, 8)];
				s.ext_units[i] = round % 3 ? rig_below(&random, 12) : 1;
				/* AH counts words less two, and stays a multiple of eight bytes */
				s.ext_units[i] &= s.ext[i] == EXT_AH ? 0xfe : 0xff;
			}
			s.vlans = round % 3;
			s.payload_bytes = round % 5;
			if (exts <= 8)
				CHECK_SYN(&s);
			else
				CHECK_KIND(&s, EXT_HEADERS);
		}
}

/* The longest header of each kind: (255 + 1) * 8 bytes, AH (255 + 2) * 4. */
static void test_longest_extension_headers(void)
{
	for (int kind = 0; kind < EXT_KINDS; kind++) {
		struct shape s = shape_syn(true);

		s.exts = 1;
		s.ext[0] = ext_kinds[kind];
		s.ext_units[0] = 255;
		CHECK_SYN(&s);
	}
}

static void test_not_tcp(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int protocol = 0; protocol < 256; protocol++) {
			struct shape s = shape_syn(v6);
			bool ext = false;

			for (int i = 0; i < EXT_KINDS; i++)
				ext |= v6 && protocol == ext_kinds[i];
			s.protocol = protocol;
			if (protocol == 6)
				CHECK_SYN(&s);
			else if (!ext)
				CHECK_KIND(&s, NOT_TCP);
			s.exts = v6;
			s.ext[0] = EXT_DESTINATION;
			if (protocol != 6 && !ext)
				CHECK_KIND(&s, NOT_TCP);
		}
}

/* In IPv4 the numbers of extension headers are protocols of their own: AH is not TCP. */
static void test_v4_has_no_extension_headers(void)
{
	for (int kind = 0; kind < EXT_KINDS; kind++) {
		struct shape s = shape_syn(false);

		s.protocol = ext_kinds[kind];
		CHECK_KIND(&s, NOT_TCP);
	}
}

static void test_routing_header(void)
{
	struct shape s = shape_syn(true);

	s.exts = 2;
	s.ext[0] = EXT_DESTINATION;
	s.ext[1] = EXT_ROUTING;
	CHECK_SYN(&s);
	s.segments_left = 1;
	CHECK_KIND(&s, ROUTED);
	s.segments_left = 255;
	CHECK_KIND(&s, ROUTED);
}

/* SYN without ACK, RST and FIN, whatever else: 16 of the 256. */
static void test_every_flag_byte(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		int syns = 0;

		for (int flags = 0; flags < 256; flags++) {
			struct shape s = shape_syn(v6);
			struct frame f;
			bool syn = flags & 0x02 && !(flags & 0x10) && !(flags & 0x04) &&
				   !(flags & 0x01);

			s.flags = flags;
			if (syn)
				CHECK_SYN(&s);
			else
				CHECK_KIND(&s, NOT_SYN);
			syns += shape_parse(&s, &f) == FRAME_SYN;
		}
		CHECK_U64(syns, 16);
	}
}

/* RFC 3168: ECE and CWR. AccECN: AE besides, a bit of the byte that holds the data offset. */
static void test_ecn_syns(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int reserved = 0; reserved < 16; reserved++) {
			struct shape s = shape_syn(v6);
			__u8 bytes[SHAPE_MAX_BYTES];
			size_t l4, n;
			struct frame f;

			s.flags = 0xc2;
			n = shape_write(&s, bytes, NULL, &l4);
			bytes[l4 + 12] = 5 << 4 | reserved;
			CHECK(frames_parse(bytes, n, &f) == FRAME_SYN, "reserved bits %x",
			      reserved);
		}
}

static void test_every_data_offset(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int doff = 0; doff < 16; doff++) {
			struct shape s = shape_syn(v6);

			s.doff = doff;
			s.tcp_bytes = 60;
			if (doff < 5)
				CHECK_KIND(&s, MALFORMED);
			else
				CHECK_SYN(&s);
			s.tcp_bytes = 20; /* the options that doff speaks of are not there */
			if (doff > 5)
				CHECK_KIND(&s, BAD_LENGTH);
		}
}

/* A data offset below five is not our port's business on other ports, nor in other segments. */
static void test_ports(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int port = 0; port < 65536; port++) {
			struct shape s = shape_syn(v6);

			s.dest_port = port;
			s.source_port = 25;
			if (port == 25 || port == 465 || port == 65535)
				CHECK_SYN(&s);
			else
				CHECK_KIND(&s, OTHER_PORT);
		}
}

static void test_guarded_addresses(void)
{
	static struct policy p;
	const union addr listed[] = {rig_addr_v4(0xc0000219), rig_addr_v6(1, 2)};
	const union addr others[] = {rig_addr_v4(0xc000021a), rig_addr_v6(1, 3), rig_addr_v6(2, 2),
				     rig_addr_v6(0, 0xc0000219)};

	CHECK(frame_address_guarded(&p, &listed[0]), "none named means any");
	p.addresses = 2;
	p.address[0] = listed[0];
	p.address[1] = listed[1];
	for (int i = 0; i < 2; i++)
		CHECK(frame_address_guarded(&p, &listed[i]), "address %d", i);
	for (int i = 0; i < 4; i++)
		CHECK(!frame_address_guarded(&p, &others[i]), "address %d", i);
	p.addresses = 1;
	CHECK(!frame_address_guarded(&p, &listed[1]), "behind the last one");
	p.addresses = MAX_ADDRESSES;
	p.address[MAX_ADDRESSES - 1] = others[0];
	CHECK(frame_address_guarded(&p, &others[0]), "the last one");
}

/* Cut off after every byte: never a SYN, never read beyond, and the headers' end has its name. */
static void cut_everywhere(unsigned int line, const struct shape *s)
{
	__u8 bytes[SHAPE_MAX_BYTES];
	size_t l4, n = shape_write(s, bytes, NULL, &l4), headers = l4 + s->doff * 4;
	struct frame f;

	for (size_t cut = 0; cut < n; cut++) {
		unsigned int kind = frames_parse(bytes, cut, &f);
		unsigned int expected = cut < headers ? FRAME_TRUNCATED : FRAME_BAD_LENGTH;

		if (kind != expected) {
			unit_fail(__FILE__, line,
				  "IPv%d cut after %zu of %zu bytes, %zu of headers: %s, "
				  "expected %s",
				  s->v6 ? 6 : 4, cut, n, headers, frames_kind_name(kind),
				  frames_kind_name(expected));
			return;
		}
	}
	CHECK(frames_parse(bytes, n, &f) == FRAME_SYN, "the whole frame is no SYN");
}

static void test_cut_headers(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int vlans = 0; vlans <= 2; vlans++) {
			struct shape s = shape_syn(v6);

			s.vlans = vlans;
			cut_everywhere(__LINE__, &s);
			s.ihl = 15;
			s.exts = 8;
			for (int i = 0; i < 8; i++) {
				s.ext[i] = ext_kinds[i];
				s.ext_units[i] = 2;
			}
			s.doff = 15;
			s.tcp_bytes = 60;
			cut_everywhere(__LINE__, &s);
		}
}

/* The headers are all there, and the IP length exceeds the frame. */
static void test_cut_payload(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct shape s = shape_syn(v6);

		s.payload_bytes = 100;
		cut_everywhere(__LINE__, &s);
		s.payload_bytes = 0;
		s.length_error = 1;
		CHECK_KIND(&s, BAD_LENGTH);
		s.length_error = 10000;
		CHECK_KIND(&s, BAD_LENGTH);
	}
}

/* An IP length that does not hold the headers, though the frame does. */
static void test_short_lengths(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int ext = 0; ext < 2; ext++) {
			struct shape s = shape_syn(v6);
			int most;

			s.doff = 8;
			s.tcp_bytes = 32;
			s.ihl = ext ? 8 : 5;
			s.exts = ext;
			s.ext[0] = EXT_HOP_BY_HOP;
			most = s.tcp_bytes + (v6 ? 8 * ext : s.ihl * 4);
			for (int missing = 1; missing <= most; missing++) {
				s.length_error = -missing;
				CHECK_KIND(&s, BAD_LENGTH);
			}
		}
}

/* Padding never becomes payload: it is the IP length that counts. */
static void test_length_in_padding(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct shape s = shape_syn(v6);
		struct frame f;

		s.padding_bytes = 10;
		for (s.length_error = 0; s.length_error <= 10; s.length_error++) {
			CHECK_U64(shape_parse(&s, &f), FRAME_SYN);
			CHECK_U64(f.payload_bytes, s.length_error);
		}
		CHECK_KIND(&s, BAD_LENGTH); /* eleven */
	}
}

static void test_fragments_v4(void)
{
	for (int bit = 0; bit < 13; bit++) { /* every offset bit, M or not */
		struct shape s = shape_syn(false);

		s.fragment = 1 << bit;
		CHECK_KIND(&s, FRAGMENT);
		s.fragment |= 0x2000;
		CHECK_KIND(&s, FRAGMENT);
	}
	for (int flags = 0; flags < 8; flags++) { /* reserved, DF, M: a first fragment is judged */
		struct shape s = shape_syn(false);

		s.fragment = flags << 13;
		CHECK_SYN(&s);
		s.payload_bytes = 8;
		CHECK_SYN(&s);
	}
}

static void test_fragments_v6(void)
{
	for (int bit = 0; bit < 16; bit++) {
		struct shape s = shape_syn(true);

		s.exts = 1;
		s.ext[0] = EXT_FRAGMENT;
		s.ext_fragment = 1 << bit;
		if (bit >= 3)
			CHECK_KIND(&s, FRAGMENT);
		else
			CHECK_SYN(&s); /* M and the reserved bits: a first, or the only, fragment */
	}
}

/* A first fragment with less than the whole TCP header: the rest comes later, or never. */
static void test_incomplete_first_fragments(void)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (int bytes = 0; bytes <= 40; bytes += 8) {
			struct shape s = shape_syn(v6);
			__u8 frame[SHAPE_MAX_BYTES];
			size_t l4;
			unsigned int kind;
			struct frame f;

			s.fragment = 0x2000;
			s.exts = v6;
			s.ext[0] = EXT_FRAGMENT;
			s.ext_fragment = 1;
			s.doff = 10;
			s.tcp_bytes = 40;
			s.length_error = bytes - 40;
			shape_write(&s, frame, NULL, &l4);
			kind = frames_parse(frame, l4 + bytes, &f);
			CHECK(kind == (bytes < 40 ? FRAME_FRAGMENT : FRAME_SYN),
			      "IPv%d, %d bytes of TCP: %s", v6 ? 6 : 4, bytes,
			      frames_kind_name(kind));
			if (kind == FRAME_SYN)
				CHECK_U64(f.payload_bytes, 0);
		}
}

/* The fragment's own header chain may end in the next fragment (RFC 7112 forbids, attackers do). */
static void test_headers_in_the_next_fragment(void)
{
	struct shape s = shape_syn(true);
	__u8 frame[SHAPE_MAX_BYTES];
	struct frame f;

	s.exts = 2;
	s.ext[0] = EXT_FRAGMENT;
	s.ext_fragment = 1;
	s.ext[1] = EXT_DESTINATION;
	s.ext_units[1] = 3;
	s.length_error = -20 - 16; /* half of the options header is here */
	shape_write(&s, frame, NULL, NULL);
	CHECK(frames_parse(frame, 14 + 40 + 8 + 16, &f) == FRAME_FRAGMENT, "%s",
	      frames_kind_name(frames_parse(frame, 14 + 40 + 8 + 16, &f)));
}

/* A frame whose destination MAC has the group bit is for others too, whatever its IP says. */
static void test_group_mac(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct shape s = shape_syn(v6);
		__u8 frame[SHAPE_MAX_BYTES];
		struct frame f;
		size_t l4, bytes;

		bytes = shape_write(&s, frame, NULL, &l4);
		CHECK(frames_parse(frame, bytes, &f) == FRAME_SYN, "a plain one");
		frame[0] |= 1;
		CHECK(frames_parse(frame, bytes, &f) == FRAME_GROUP, "%s",
		      frames_kind_name(frames_parse(frame, bytes, &f)));
	}
}

static void test_the_groups_of_kinds(void)
{
	/* What has a name behind FRAME_OFF counts as unjudged; what stands before it does not. */
	CU_ASSERT_EQUAL(FRAME_SYN, 0);
	CU_ASSERT(FRAME_LAST_NOT_OURS < FRAME_TRUNCATED);
	CU_ASSERT(FRAME_OTHER_ADDRESS <= FRAME_LAST_NOT_OURS);
	CU_ASSERT(FRAME_FRAGMENT > FRAME_LAST_NOT_OURS);
}

void suite_frame(void)
{
	static CU_TestInfo tests[] = {
		{"a plain SYN, padding, payload", test_plain},
		{"every IHL", test_every_ihl},
		{"a frame to a group of hosts", test_group_mac},
		{"every IP version", test_every_version},
		{"0 to 3 VLAN tags of both kinds", test_vlans},
		{"every other EtherType", test_ethertypes},
		{"0 to 9 extension headers of every kind", test_extension_headers},
		{"the longest extension headers", test_longest_extension_headers},
		{"every other protocol", test_not_tcp},
		{"IPv4 has no extension headers", test_v4_has_no_extension_headers},
		{"routing headers", test_routing_header},
		{"every byte of flags", test_every_flag_byte},
		{"ECN and AccECN SYNs", test_ecn_syns},
		{"every data offset", test_every_data_offset},
		{"every port", test_ports},
		{"guarded addresses", test_guarded_addresses},
		{"cut off in the headers, at every byte", test_cut_headers},
		{"cut off in the payload, at every byte", test_cut_payload},
		{"an IP length that does not hold the headers", test_short_lengths},
		{"an IP length that reaches into the padding", test_length_in_padding},
		{"IPv4 fragments", test_fragments_v4},
		{"IPv6 fragments", test_fragments_v6},
		{"first fragments without the whole header", test_incomplete_first_fragments},
		{"extension headers that end in the next fragment",
		 test_headers_in_the_next_fragment},
		{"which kinds are unjudged", test_the_groups_of_kinds},
		CU_TEST_INFO_NULL,
	};

	unit_suite("frame", tests);
}
