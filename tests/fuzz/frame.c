// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Parses any bytes as a frame, and if they are a SYN of ours builds the RST, and holds both to
 * what reset.h and frame.h promise. An end of the process is a finding.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
 *		-D_GNU_SOURCE -Ibpf -Itests/unit tests/fuzz/frame.c -o build/fuzz-frame
 *	build/fuzz-frame -max_len=400
 *
 * The unit ring runs the same function on mutated frames (tests/unit/test_fuzz.c).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "frame.h"
#include "reset.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define PROMISE(condition)                                                                      \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* Port 25 only, by hand: the parser asks nothing else of a policy. */
static const struct policy *policy_25(void)
{
	static struct policy p;

	p.port_bits[25 / 8] = 1 << 25 % 8;
	return &p;
}

static void promise_syn(const struct frame *f, const uint8_t *data, size_t n)
{
	const uint8_t *tcp = data + f->l4_offset;
	size_t ip_bytes = f->attempt.family == FAMILY_V4 ? 20 : 40;

	PROMISE(f->attempt.family < FAMILIES);
	PROMISE(f->l3_offset == 14 || f->l3_offset == 18 || f->l3_offset == 22);
	PROMISE(f->l4_offset >= f->l3_offset + ip_bytes);
	PROMISE(f->l4_offset + 20 + (size_t)f->payload_bytes <= n);
	PROMISE(data[f->l3_offset] >> 4 == (f->attempt.family == FAMILY_V4 ? 4 : 6));
	PROMISE(tcp[2] == 0 && tcp[3] == 25 && !memcmp(&f->attempt.dest_port, tcp + 2, 2));
	PROMISE(!memcmp(&f->attempt.source_port, tcp, 2) && !memcmp(&f->attempt.isn, tcp + 4, 4));
	PROMISE(tcp[12] >> 4 >= 5);
	PROMISE((tcp[13] & 0x17) == 0x02);
}

static void promise_reset(const struct frame *f, uint8_t *data, size_t n)
{
	size_t address_bytes = f->attempt.family == FAMILY_V4 ? 4 : 16;
	size_t ip_bytes = f->attempt.family == FAMILY_V4 ? 20 : 40;
	uint32_t bytes = reset_build(data, data + n, f);
	const uint8_t *ip = data + f->l3_offset, *tcp = ip + ip_bytes;
	const uint8_t *source = tcp - 2 * address_bytes, *dest = tcp - address_bytes;

	PROMISE(bytes == f->l3_offset + ip_bytes + 20 && bytes <= n);
	PROMISE(f->attempt.family == FAMILY_V6 || checksum_ipv4(ip) == 0);
	PROMISE(checksum_tcp(source, dest, address_bytes, tcp, 20) == 0);
	PROMISE(!memcmp(source, (const uint8_t *)&f->attempt.dest + 16 - address_bytes,
			address_bytes));
	PROMISE(!memcmp(dest, (const uint8_t *)&f->attempt.source + 16 - address_bytes,
			address_bytes));
	PROMISE(tcp[13] == 0x14);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	uint8_t *room = malloc(n + 2), *data;
	struct frame f = {};
	enum frame_kind kind;

	if (!room)
		return 0;
	data = room + 2; /* the IP header aligned, as in drivers */
	if (n)
		memcpy(data, bytes, n);
	kind = frame_parse(data, data + n, policy_25(), &f);
	PROMISE(kind < FRAME_KINDS);
	PROMISE(n == 0 || !memcmp(data, bytes, n));
	if (kind == FRAME_SYN) {
		promise_syn(&f, data, n);
		promise_reset(&f, data, n);
	}
	free(room);
	return 0;
}
