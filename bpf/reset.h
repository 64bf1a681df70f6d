/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reset.h - turns a SYN frame into the RST that refuses it, in place.
 *
 * RFC 9293 section 3.5.2: a SYN without ACK to a closed port is answered <SEQ=0><ACK=SEG.SEQ +
 * SEG.LEN><CTL=RST,ACK>, where SEG.LEN counts the SYN and the payload. VLAN tags stay; IP options,
 * extension headers, TCP options and payload go. All checksums are computed from zero, because
 * the SYN's own may be partial (offload).
 */
#ifndef RESET_H
#define RESET_H

#include "frame.h"

#define RESET_TCP_FLAGS (FRAME_TCP_RST | FRAME_TCP_ACK)
#define RESET_TTL	64

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define RESET_TO_NET32(x) __builtin_bswap32(x)
#else
#define RESET_TO_NET32(x) (x)
#endif
#define RESET_TO_NET16(x) FRAME_TO_HOST16(x)

/* RFC 1071. Sums are of 16-bit words as they lie in memory, so no byte order matters. */
static __always_inline __u32 reset_sum32(__u32 sum, __u32 word)
{
	return sum + (word & 0xffff) + (word >> 16);
}

static __always_inline __u16 reset_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* The sum of the pseudo header: addresses, length and protocol (RFC 9293 section 3.1). */
static __always_inline __u32 reset_pseudo_sum(const struct attempt *a)
{
	__u32 sum = RESET_TO_NET16(sizeof(struct tcphdr)) + RESET_TO_NET16(IPPROTO_TCP);

	sum = reset_sum32(sum, a->source.word[3]);
	sum = reset_sum32(sum, a->dest.word[3]);
	if (a->family == FAMILY_V4)
		return sum;
	for (int i = 0; i < 3; i++) {
		sum = reset_sum32(sum, a->source.word[i]);
		sum = reset_sum32(sum, a->dest.word[i]);
	}
	return sum;
}

static __always_inline void reset_tcp(struct tcphdr *tcp, const struct frame *f)
{
	const struct attempt *a = &f->attempt;
	__u32 isn = RESET_TO_NET32(a->isn); /* swapping is its own inverse */
	__u32 ack = RESET_TO_NET32(isn + 1 + f->payload_bytes);
	__u16 control = RESET_TO_NET16(5 << 12 | RESET_TCP_FLAGS);
	__u32 sum = reset_pseudo_sum(a);

	sum += a->source_port;
	sum += a->dest_port;
	sum = reset_sum32(sum, ack);
	sum += control;

	tcp->source = a->dest_port;
	tcp->dest = a->source_port;
	tcp->seq = 0;
	tcp->ack_seq = ack;
	__builtin_memcpy((__u8 *)tcp + 12, &control, sizeof(control));
	tcp->window = 0;
	tcp->check = reset_fold(sum);
	tcp->urg_ptr = 0;
}

static __always_inline void reset_ip_v4(struct iphdr *ip, const struct attempt *a)
{
	__u16 total = RESET_TO_NET16(sizeof(*ip) + sizeof(struct tcphdr));
	__u16 version_ihl_tos = RESET_TO_NET16(0x4500);
	__u16 dont_fragment = RESET_TO_NET16(0x4000);
	__u16 ttl_protocol = RESET_TO_NET16(RESET_TTL << 8 | IPPROTO_TCP);
	__u32 sum = (__u32)version_ihl_tos + total + dont_fragment + ttl_protocol;

	sum = reset_sum32(sum, a->source.word[3]);
	sum = reset_sum32(sum, a->dest.word[3]);

	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0;
	ip->tot_len = total;
	ip->id = 0;
	ip->frag_off = dont_fragment;
	ip->ttl = RESET_TTL;
	ip->protocol = IPPROTO_TCP;
	ip->check = reset_fold(sum);
	ip->saddr = a->dest.word[3];
	ip->daddr = a->source.word[3];
}

static __always_inline void reset_ip_v6(struct ipv6hdr *ip, const struct attempt *a)
{
	*(__u32 *)ip = RESET_TO_NET32(6U << 28);
	ip->payload_len = RESET_TO_NET16(sizeof(struct tcphdr));
	ip->nexthdr = IPPROTO_TCP;
	ip->hop_limit = RESET_TTL;
	__builtin_memcpy(&ip->saddr, &a->dest, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &a->source, sizeof(ip->daddr));
}

/*
 * Rewrites the frame from data on. Returns the length of the RST frame, which is never longer
 * than the SYN's was (the caller cuts the rest off), or 0 if it does not fit: untouched then.
 */
static __always_inline __u32 reset_build(void *data, const void *data_end, const struct frame *f)
{
	/* 14, 18 or 22; the frame lies in a map, of which the verifier knows nothing. */
	__u64 l3_offset = f->l3_offset & 31;
	__u8 *l3 = (__u8 *)data + l3_offset;
	__u8 mac[ETH_ALEN];

	if ((const __u8 *)data + ETH_HLEN > (const __u8 *)data_end)
		return 0;
	if (f->attempt.family == FAMILY_V4) {
		struct iphdr *ip = (void *)l3;
		struct tcphdr *tcp = (void *)(ip + 1);

		if ((const void *)(tcp + 1) > data_end)
			return 0;
		reset_ip_v4(ip, &f->attempt);
		reset_tcp(tcp, f);
	} else {
		struct ipv6hdr *ip = (void *)l3;
		struct tcphdr *tcp = (void *)(ip + 1);

		if ((const void *)(tcp + 1) > data_end)
			return 0;
		reset_ip_v6(ip, &f->attempt);
		reset_tcp(tcp, f);
	}
	__builtin_memcpy(mac, data, ETH_ALEN);
	__builtin_memmove(data, (__u8 *)data + ETH_ALEN, ETH_ALEN);
	__builtin_memcpy((__u8 *)data + ETH_ALEN, mac, ETH_ALEN);
	return l3_offset + sizeof(struct tcphdr) +
	       (f->attempt.family == FAMILY_V4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
}

#endif
