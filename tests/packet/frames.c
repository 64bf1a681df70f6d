// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * frames.c - frames from words, byte by byte: IEEE 802.3 and 802.1Q, RFC 791, RFC 8200, RFC 4302,
 * RFC 9293.
 */
#include "packet.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mac_dest[6] = {0x02, 0x51, 0x75, 0x00, 0x00, 0x25};
static const uint8_t mac_source[6] = {0x02, 0x51, 0x75, 0xaa, 0xbb, 0xcc};

bool is_v6(const char *text)
{
	return strchr(text, ':') != NULL;
}

void twin_address(const char *text, bool v6, union addr *addr, uint32_t *family)
{
	uint8_t a[4];

	memset(addr, 0, sizeof(*addr));
	*family = FAMILY_V6;
	if (is_v6(text)) {
		if (inet_pton(AF_INET6, text, addr) != 1)
			abort(); /* a row that is none */
		return;
	}
	if (inet_pton(AF_INET, text, a) != 1)
		abort();
	if (v6) {
		addr->byte[0] = 0x20;
		for (int i = 0; i < 4; i++)
			addr->byte[2 * i + 1] = a[i];
		addr->byte[15] = 1;
		return;
	}
	*family = FAMILY_V4;
	addr->byte[10] = addr->byte[11] = 0xff;
	memcpy(addr->byte + 12, a, 4);
}

uint32_t twin_prefix(uint32_t bits_v4)
{
	return bits_v4 % 8 ? 8 + bits_v4 / 8 * 16 + bits_v4 % 8 : bits_v4 / 8 * 16;
}

static uint8_t *put8(uint8_t *p, uint32_t x)
{
	*p = x;
	return p + 1;
}

static uint8_t *put16(uint8_t *p, uint32_t x)
{
	return put8(put8(p, x >> 8), x);
}

static uint8_t *put32(uint8_t *p, uint32_t x)
{
	return put16(put16(p, x >> 16), x);
}

static uint8_t *put(uint8_t *p, const void *from, size_t bytes)
{
	memcpy(p, from, bytes);
	return p + bytes;
}

static uint8_t *fill(uint8_t *p, uint8_t x, size_t bytes)
{
	memset(p, x, bytes);
	return p + bytes;
}

uint64_t frame_source_mac(void)
{
	uint64_t number = 0;

	memcpy(&number, mac_source, sizeof(mac_source));
	return number;
}

static uint8_t *put_ethernet(uint8_t *p, const struct spec *s, bool v6)
{
	p = put(p, mac_dest, 6);
	p = put(p, mac_source, 6);
	for (int i = 0; i < s->tags; i++) {
		p = put16(p, s->tpid[i] ? s->tpid[i] : TAG_802_1Q);
		p = put16(p, 0x6000 | (100 + i)); /* priority 3, VLAN 100 and up */
	}
	return put16(p, s->ethertype ? s->ethertype : v6 ? 0x86dd : 0x0800);
}

/* The checksum is wrong on purpose: what it says decides nothing. */
static uint8_t *put_tcp(uint8_t *p, const struct spec *s)
{
	uint16_t flags = s->flags ? s->flags & ~NO_FLAGS : SYN;
	uint8_t doff = s->doff ? s->doff & 15 : 5 + s->tcp_options / 4;
	uint8_t *start = p;

	p = put16(p, s->from_port ? s->from_port : 40000);
	p = put16(p, s->to_port ? s->to_port : SMTP);
	p = put32(p, s->isn);
	p = put32(p, flags & ACK ? 0x01020304 : 0);
	p = put16(p, doff << 12 | (flags & 0x1ff));
	p = put16(p, s->window ? s->window : 64240);
	p = put16(p, s->tcp_check ? s->tcp_check : 0x1443);
	p = put16(p, s->urgent);
	p = fill(p, 1, s->tcp_options); /* no-operations: read as ports they are 257 */
	for (int i = 0; i < s->payload; i++)
		p = put8(p, i * 7 + 0x45);
	return s->tcp_bytes ? start + s->tcp_bytes : p;
}

/* The header's kind (IANA protocol number) and what follows its first byte. */
struct ext {
	char letter;
	uint8_t kind;
	uint8_t bytes;	/* of the whole header */
	uint8_t length; /* the second byte, in the unit of its kind */
	uint8_t rest[6];
};

static const struct ext exts[] = {
	{'h', 0, 8, 0, {1, 4}},	    /* hop-by-hop options */
	{'H', 0, 64, 7, {1, 60}},   /* a long one */
	{'d', 60, 8, 0, {1, 4}},    /* destination options */
	{'r', 43, 24, 2, {2, 0}},   /* routing, arrived: no segments left */
	{'R', 43, 24, 2, {2, 1}},   /* routing, one segment left */
	{'f', 44, 8, 0, {0, 0}},    /* an atomic fragment (RFC 6946): first and last */
	{'F', 44, 8, 0, {0, 1}},    /* a first fragment, more to come */
	{'L', 44, 8, 0, {0, 0x61}}, /* a later one, at offset 96 */
	{'Z', 44, 8, 0, {0, 8}},    /* the last one, at offset 8 */
	{'a', 51, 24, 4, {0}},	    /* AH: its length counts 4 bytes, less 2 */
	{'m', 135, 8, 0, {0}},	    /* mobility */
	{'i', 139, 40, 4, {1}},	    /* HIP */
	{'s', 140, 8, 0, {0x80}},   /* Shim6 */
	{'e', 50, 24, 0, {0}},	    /* ESP: what follows is encrypted */
	{'n', 59, 8, 0, {0}},	    /* no next header */
	{'x', 253, 8, 0, {0}},	    /* for experiments (RFC 3692) */
	{'S', 43, 8, 255, {2, 0}},  /* claims 2,048 bytes and ends after 8 */
	{'A', 51, 8, 255, {0}},	    /* so does this AH with 1,028 */
};

static const struct ext *ext_find(char letter)
{
	for (size_t i = 0; i < sizeof(exts) / sizeof(exts[0]); i++)
		if (exts[i].letter == letter)
			return &exts[i];
	abort(); /* a row that is none */
}

static uint8_t ext_next(const struct spec *s, const char *rest)
{
	return *rest ? ext_find(*rest)->kind : s->protocol ? s->protocol : 6;
}

static uint8_t *put_exts(uint8_t *p, const struct spec *s)
{
	for (const char *e = s->ext ? s->ext : ""; *e; e++) {
		const struct ext *x = ext_find(*e);
		uint8_t *start = p;

		p = put8(p, ext_next(s, e + 1));
		p = put8(p, x->length);
		p = put(p, x->rest, 6);
		p = fill(p, 1, x->bytes - (p - start));
	}
	return p;
}

static uint8_t *build_v6(uint8_t *p, const struct spec *s, const union addr *from,
			 const union addr *to)
{
	uint8_t *ip = p, *length;

	p = put32(p, (s->version ? s->version : 6U) << 28 | s->flow);
	length = p;
	p = put16(p, 0);
	p = put8(p, ext_next(s, s->ext ? s->ext : ""));
	p = put8(p, s->ttl ? s->ttl : 57);
	p = put(p, from, 16);
	p = put(p, to, 16);
	p = put_exts(p, s);
	p = put_tcp(p, s);
	put16(length, p - ip - 40 + s->length_lie);
	return p;
}

static uint8_t *build_v4(uint8_t *p, const struct spec *s, const union addr *from,
			 const union addr *to)
{
	uint8_t ihl = s->ihl ? s->ihl & 15 : 5 + s->ip_options / 4;
	uint8_t *ip = p;

	p = put8(p, (s->version ? s->version : 4) << 4 | ihl);
	p = put8(p, 0x10);    /* type of service */
	p = put16(p, 0);      /* total length: below */
	p = put16(p, 0xbeef); /* identification */
	p = put16(p, s->fragment);
	p = put8(p, s->ttl ? s->ttl : 57);
	p = put8(p, s->protocol ? s->protocol : 6);
	p = put16(p, 0); /* header checksum: the kernel's to look at */
	p = put(p, from->byte + 12, 4);
	p = put(p, to->byte + 12, 4);
	p = fill(p, 1, s->ip_options);
	p = put_tcp(p, s);
	put16(ip + 2, p - ip + s->length_lie);
	return p;
}

static void addresses(const struct spec *s, bool v6, union addr *from, union addr *to,
		      uint32_t *family)
{
	twin_address(s->from ? s->from : "192.0.2.1", v6, from, family);
	twin_address(s->to ? s->to : "198.51.100.25", *family == FAMILY_V6, to, family);
}

size_t frame_build(const struct spec *s, bool v6, uint8_t *frame)
{
	union addr from, to;
	uint32_t family;
	uint8_t *p;

	if (s->bytes) {
		memcpy(frame, s->bytes, s->byte_count);
		return s->byte_count;
	}
	addresses(s, v6, &from, &to, &family);
	p = put_ethernet(frame, s, family == FAMILY_V6);
	p = family == FAMILY_V6 ? build_v6(p, s, &from, &to) : build_v4(p, s, &from, &to);
	p = fill(p, 0, s->pad);
	return p - frame - s->cut;
}
