/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * checksum.h - the Internet checksum (RFC 1071) by bytes, for tests: shares nothing with reset.h.
 */
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds bytes as big-endian 16-bit words, an odd last byte padded with zero. */
static inline uint64_t checksum_add(uint64_t sum, const uint8_t *byte, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += (uint64_t)byte[i] << (i % 2 ? 0 : 8);
	return sum;
}

/* 0 for data that carries its right checksum, and that is not all zero. */
static inline uint16_t checksum_finish(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return 0xffff - sum;
}

/* The checksum of an IPv4 header as it lies there: 0 if right. */
static inline uint16_t checksum_ipv4(const uint8_t *ip)
{
	return checksum_finish(checksum_add(0, ip, (ip[0] & 15) * 4));
}

/* Of a TCP segment with the pseudo header of its addresses (4 or 16 bytes each): 0 if right. */
static inline uint16_t checksum_tcp(const uint8_t *source, const uint8_t *dest,
				    size_t address_bytes, const uint8_t *tcp, size_t n)
{
	const uint8_t rest[6] = {0, 0, n >> 8, n & 255, 0, 6};
	uint64_t sum = checksum_add(0, source, address_bytes);

	sum = checksum_add(sum, dest, address_bytes);
	sum = checksum_add(sum, rest, sizeof(rest));
	return checksum_finish(checksum_add(sum, tcp, n));
}

#endif
