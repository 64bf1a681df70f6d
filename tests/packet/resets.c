// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resets.c - the RST that answers a SYN, written down from RFC 9293 section 3.5.2, and the
 * Internet checksum as RFC 1071 section 4.1 gives it: byte by byte, in no hurry, so that nothing
 * here can share a mistake with the program.
 */
#include "packet.h"

#include <arpa/inet.h>
#include <string.h>

static uint16_t internet_checksum(const uint8_t *byte, size_t bytes, uint32_t sum)
{
	for (size_t i = 0; i + 1 < bytes; i += 2)
		sum += byte[i] * 256U + byte[i + 1];
	if (bytes % 2)
		sum += byte[bytes - 1] * 256U;
	while (sum > 0xffff)
		sum = sum % 0x10000 + sum / 0x10000;
	return 0xffff - sum;
}

/* Of a TCP segment with its pseudo header: addresses lie behind each other, 4 or 16 bytes each. */
static uint16_t tcp_checksum(const uint8_t *addresses, size_t address_bytes, const uint8_t *tcp,
			     size_t tcp_bytes)
{
	uint8_t whole[2 * 16 + 8 + 4096] = {};
	uint8_t *p = whole;

	memcpy(p, addresses, 2 * address_bytes);
	p += 2 * address_bytes;
	p[2] = tcp_bytes / 256;
	p[3] = tcp_bytes % 256;
	p[7] = 6;
	memcpy(p + 8, tcp, tcp_bytes);
	return internet_checksum(whole, 2 * address_bytes + 8 + tcp_bytes, 0);
}

static size_t behind_tags(const uint8_t *frame)
{
	size_t l3 = 14;

	while (frame[l3 - 2] == 0x81 || frame[l3 - 2] == 0x88)
		l3 += 4;
	return l3;
}

const char *checksums_wrong(const uint8_t *frame, size_t bytes)
{
	size_t l3 = behind_tags(frame);
	const uint8_t *ip = frame + l3;

	if (ip[0] >> 4 == 6)
		return tcp_checksum(ip + 8, 16, ip + 40, bytes - l3 - 40) ? "TCP" : NULL;
	if (internet_checksum(ip, 20, 0))
		return "IP";
	return tcp_checksum(ip + 12, 4, ip + 20, bytes - l3 - 20) ? "TCP" : NULL;
}

static void store(uint8_t *p, uint16_t x)
{
	p[0] = x / 256;
	p[1] = x % 256;
}

static void expect_tcp(uint8_t *tcp, const struct spec *s)
{
	uint32_t ack = htonl(s->isn + 1 + s->payload);

	memset(tcp, 0, 20); /* sequence number and window: 0; no options */
	store(tcp, s->to_port ? s->to_port : SMTP);
	store(tcp + 2, s->from_port ? s->from_port : 40000);
	memcpy(tcp + 8, &ack, 4);
	tcp[12] = 5 << 4;
	tcp[13] = RST | ACK;
}

static size_t expect_v4(uint8_t *ip, const struct spec *s, const union addr *from,
			const union addr *to)
{
	const uint8_t fixed[12] = {0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0};

	memcpy(ip, fixed, sizeof(fixed));
	memcpy(ip + 12, to->byte + 12, 4);
	memcpy(ip + 16, from->byte + 12, 4);
	store(ip + 10, internet_checksum(ip, 20, 0));
	expect_tcp(ip + 20, s);
	store(ip + 20 + 16, tcp_checksum(ip + 12, 4, ip + 20, 20));
	return 40;
}

static size_t expect_v6(uint8_t *ip, const struct spec *s, const union addr *from,
			const union addr *to)
{
	const uint8_t fixed[8] = {0x60, 0, 0, 0, 0, 20, 6, 64};

	memcpy(ip, fixed, sizeof(fixed));
	memcpy(ip + 8, to, 16);
	memcpy(ip + 24, from, 16);
	expect_tcp(ip + 40, s);
	store(ip + 40 + 16, tcp_checksum(ip + 8, 16, ip + 40, 20));
	return 60;
}

size_t reset_expect(const struct spec *s, bool v6, uint8_t *frame)
{
	uint8_t syn[FRAME_MAX];
	union addr from, to;
	uint32_t family;
	size_t l3;

	frame_build(s, v6, syn);
	l3 = behind_tags(syn);
	twin_address(s->from ? s->from : "192.0.2.1", v6, &from, &family);
	twin_address(s->to ? s->to : "198.51.100.25", family == FAMILY_V6, &to, &family);
	memcpy(frame, syn, l3); /* VLAN tags and type as they came */
	memcpy(frame, syn + 6, 6);
	memcpy(frame + 6, syn, 6);
	return l3 + (family == FAMILY_V6 ? expect_v6(frame + l3, s, &from, &to)
					 : expect_v4(frame + l3, s, &from, &to));
}
