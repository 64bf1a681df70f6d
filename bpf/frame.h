/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frame.h - Ethernet frame to struct attempt, or the name of what it is instead.
 *
 * Every byte is bounds-checked against data_end before it is read (the verifier insists, and the
 * same code runs natively under ASan). Nothing here drops anything: what is not a SYN to a
 * guarded port passes, and its kind is counted. The TCP checksum is not looked at:
 * offload leaves it partial.
 *
 * Sources: IEEE 802.1Q, RFC 791, RFC 8200 section 4 (extension headers), RFC 4302 section 2 (AH
 * counts its length in 4-byte units), RFC 9293 section 3.1.
 */
#ifndef FRAME_H
#define FRAME_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stddef.h>

#include "sluice.h"

#define FRAME_MAX_VLANS	      2
#define FRAME_MAX_EXT_HEADERS 8

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FRAME_TO_HOST16(x) __builtin_bswap16(x)
#else
#define FRAME_TO_HOST16(x) (x)
#endif

/* TCP flags, byte 13 of the header. ECE, CWR, PSH and URG do not matter, nor AE in byte 12. */
#define FRAME_TCP_FIN 0x01
#define FRAME_TCP_SYN 0x02
#define FRAME_TCP_RST 0x04
#define FRAME_TCP_ACK 0x10

/*
 * Returns the offset that it is given. The verifier forgets how it came about: without this it
 * would walk the rest of the parse anew for every combination of extension headers.
 */
VERIFIED_ALONE int frame_forget(int offset)
{
	__asm__ volatile("" : "+r"(offset)); /* or the compiler sees through it */
	return offset;
}

/* Above the largest offset there can be, 22 + 40 + 8 * 2048: a bound for the verifier alone. */
#define FRAME_OFFSET_MASK 0x7fff

/* A judged frame, with what reset.h needs to answer it. Offsets are from the frame's start. */
struct frame {
	struct attempt attempt;
	__u32 l3_offset; /* 14, 18 or 22: behind the VLAN tags */
	__u32 l4_offset;
	__u32 payload_bytes; /* TCP payload of the SYN (TCP Fast Open, RFC 7413) */
};

/* Between two layers of the parse. */
struct frame_l4 {
	__u32 offset; /* of the TCP header */
	__u32 bytes;  /* of the IP payload from there on, by the IP header */
	__u32 first_fragment;
};

static __always_inline enum frame_kind frame_parse_v4(const __u8 *data, const __u8 *data_end,
						      __u32 l3_offset, struct frame *f,
						      struct frame_l4 *l4)
{
	const struct iphdr *ip = (const void *)(data + l3_offset);
	__u32 header, total, fragment;

	if ((const void *)(ip + 1) > (const void *)data_end)
		return FRAME_TRUNCATED;
	if (ip->version != 4 || ip->ihl < 5)
		return FRAME_MALFORMED;
	if (ip->protocol != IPPROTO_TCP)
		return FRAME_NOT_TCP;
	fragment = FRAME_TO_HOST16(ip->frag_off);
	if (fragment & 0x1fff)
		return FRAME_FRAGMENT;
	header = ip->ihl * 4U;
	total = FRAME_TO_HOST16(ip->tot_len);
	if (total < header)
		return FRAME_BAD_LENGTH;

	f->attempt.family = FAMILY_V4;
	f->attempt.source.word[0] = 0;
	f->attempt.source.word[1] = 0;
	f->attempt.source.word[2] = V4_MAPPED_WORD;
	f->attempt.source.word[3] = ip->saddr;
	f->attempt.dest = f->attempt.source;
	f->attempt.dest.word[3] = ip->daddr;
	l4->offset = l3_offset + header;
	l4->bytes = total - header;
	l4->first_fragment = fragment & 0x2000;
	return FRAME_SYN;
}

/* Kinds of IPv6 extension header that can stand before TCP. */
static __always_inline int frame_is_ext_header(__u8 next)
{
	switch (next) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
	case 139: /* HIP, RFC 7401 */
	case 140: /* Shim6, RFC 5533 */
		return 1;
	}
	return 0;
}

static __always_inline enum frame_kind frame_parse_v6(const __u8 *data, const __u8 *data_end,
						      __u32 l3_offset, struct frame *f,
						      struct frame_l4 *l4)
{
	const struct ipv6hdr *ip = (const void *)(data + l3_offset);
	__u32 offset = l3_offset + sizeof(*ip);
	__u32 end;
	__u8 next;

	if ((const void *)(ip + 1) > (const void *)data_end)
		return FRAME_TRUNCATED;
	if (ip->version != 6)
		return FRAME_MALFORMED;
	end = offset + FRAME_TO_HOST16(ip->payload_len);
	next = ip->nexthdr;
	l4->first_fragment = 0;

	for (int i = 0; i < FRAME_MAX_EXT_HEADERS && frame_is_ext_header(next); i++) {
		const __u8 *ext;

		offset = frame_forget(offset) & FRAME_OFFSET_MASK;
		ext = data + offset;
		if (ext + 8 > data_end)
			return FRAME_TRUNCATED;
		if (next == IPPROTO_FRAGMENT) {
			if ((ext[2] << 8 | ext[3]) & 0xfff8)
				return FRAME_FRAGMENT;
			l4->first_fragment |= ext[3] & 1;
			offset += 8;
		} else if (next == IPPROTO_AH) {
			offset += (ext[1] + 2U) * 4;
		} else {
			if (next == IPPROTO_ROUTING && ext[3])
				return FRAME_ROUTED;
			offset += (ext[1] + 1U) * 8;
		}
		next = ext[0];
	}
	if (frame_is_ext_header(next))
		return FRAME_EXT_HEADERS;
	if (next != IPPROTO_TCP)
		return FRAME_NOT_TCP;
	if (end < offset)
		return l4->first_fragment ? FRAME_FRAGMENT : FRAME_BAD_LENGTH;

	f->attempt.family = FAMILY_V6;
	__builtin_memcpy(&f->attempt.source, &ip->saddr, sizeof(f->attempt.source));
	__builtin_memcpy(&f->attempt.dest, &ip->daddr, sizeof(f->attempt.dest));
	l4->offset = offset;
	l4->bytes = end - offset;
	return FRAME_SYN;
}

static __always_inline int frame_port_guarded(const struct policy *p, __u16 port)
{
	__u32 host = FRAME_TO_HOST16(port);

	return p->port_bits[host >> 3] >> (host & 7) & 1;
}

/* Is the destination one of the guarded addresses? None named means all. */
static __always_inline int frame_address_guarded(const struct policy *p, const union addr *a)
{
	for (__u32 i = 0; i < MAX_ADDRESSES && i < p->addresses; i++)
		if (p->address[i].half[0] == a->half[0] && p->address[i].half[1] == a->half[1])
			return 1;
	return p->addresses == 0;
}

/* To more than one host, by MAC or IP (RFC 1122 section 4.2.3.10): an RST would be from them all. */
static __always_inline int frame_is_group(const __u8 *data, const struct attempt *a)
{
	if (data[0] & 1)
		return 1;
	return a->family == FAMILY_V4 ? a->dest.byte[12] >= 224 : a->dest.byte[0] == 0xff;
}

static __always_inline enum frame_kind frame_parse_tcp(const __u8 *data, const __u8 *data_end,
						       const struct policy *p, struct frame *f,
						       const struct frame_l4 *l4)
{
	/* What is missing is in a later fragment, or nowhere. */
	enum frame_kind incomplete = l4->first_fragment ? FRAME_FRAGMENT : FRAME_BAD_LENGTH;
	const struct tcphdr *tcp = (const void *)(data + l4->offset);
	const __u8 *byte = (const __u8 *)tcp;
	__u32 header;

	if (l4->bytes < sizeof(*tcp))
		return incomplete;
	if ((const void *)(tcp + 1) > (const void *)data_end)
		return FRAME_TRUNCATED;
	if (!frame_port_guarded(p, tcp->dest))
		return FRAME_OTHER_PORT;
	if ((byte[13] & (FRAME_TCP_SYN | FRAME_TCP_ACK | FRAME_TCP_RST | FRAME_TCP_FIN)) !=
	    FRAME_TCP_SYN)
		return FRAME_NOT_SYN;
	header = (byte[12] >> 4) * 4U;
	if (header < sizeof(*tcp))
		return FRAME_MALFORMED;
	if (header > l4->bytes)
		return incomplete;
	if (byte + header > data_end)
		return FRAME_TRUNCATED;
	if (byte + l4->bytes > data_end)
		return FRAME_BAD_LENGTH;

	if (frame_is_group(data, &f->attempt))
		return FRAME_GROUP;

	f->attempt.source_port = tcp->source;
	f->attempt.dest_port = tcp->dest;
	f->attempt.isn = tcp->seq;
	f->l4_offset = l4->offset;
	f->payload_bytes = l4->bytes - header;
	return FRAME_SYN;
}

/*
 * Parses one frame. Returns FRAME_SYN with *f filled for a SYN to a guarded port, or what the
 * frame is instead with *f undefined. Whether the address is guarded is asked of the attempt
 * afterwards, frame_address_guarded().
 */
static __always_inline enum frame_kind frame_parse(const void *start, const void *end,
						   const struct policy *p, struct frame *f)
{
	const __u8 *data = start, *data_end = end;
	struct frame_l4 l4;
	enum frame_kind kind;
	__u32 l3_offset = ETH_HLEN; /* not kept in *f meanwhile: that can be a map's memory */
	__u16 type;

	if (data + ETH_HLEN > data_end)
		return FRAME_TRUNCATED;
	type = data[12] << 8 | data[13];
	for (int i = 0; i < FRAME_MAX_VLANS; i++) {
		if (type != ETH_P_8021Q && type != ETH_P_8021AD)
			break;
		if (data + l3_offset + 4 > data_end)
			return FRAME_TRUNCATED;
		type = data[l3_offset + 2] << 8 | data[l3_offset + 3];
		l3_offset += 4;
	}
	if (type == ETH_P_8021Q || type == ETH_P_8021AD)
		return FRAME_VLAN_DEPTH;
	f->l3_offset = l3_offset;
	if (type == ETH_P_IP)
		kind = frame_parse_v4(data, data_end, l3_offset, f, &l4);
	else if (type == ETH_P_IPV6)
		kind = frame_parse_v6(data, data_end, l3_offset, f, &l4);
	else
		return FRAME_NOT_IP;
	if (kind != FRAME_SYN)
		return kind;
	return frame_parse_tcp(data, data_end, p, f, &l4);
}

#endif
