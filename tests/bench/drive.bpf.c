// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * drive.bpf.c - what the benches measure with: SYNs that differ, made in the kernel, and the floors.
 *
 * BPF_PROG_TEST_RUN repeats one frame, and a repeated SYN is a copy of itself. `drive` writes a new
 * one each time and goes on into the program to be measured by a tail call; what that costs is
 * measured with `empty` behind it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "sluice.h"

#include "drive.h"
#include "presence.h"
#include "siphash.h"

#define HEADERS_BYTES 54 /* Ethernet, IPv4, TCP */
#define GOLDEN	      2654435761U
#define SOURCES_BASE  0x0a000000U /* 10.0.0.0 */

char LICENSE[] SEC("license") = "GPL";

/* Written by the bench while it stands still. */
__u32 sources = 1;	/* SYNs come from so many, at most 2^24, in no order; 0: all of IPv4 */
__u32 stands_still = 0; /* the same attempt each time */
__u32 first = 0;	/* ISN to begin with */
__u32 port = 25;
__u32 notes_time = 0;  /* of the first and the last SYN, by the gate's clock */
__u32 out_ifindex = 0; /* of generate */
__u8 template[HEADERS_BYTES + 2] = {};
__u32 ip_sum = 0;  /* of the template: lab_put_syn() with a source, a port and an ISN of 0 */
__u32 tcp_sum = 0; /* with the pseudo header */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct driven);
} driven SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} measured SEC(".maps");

/* As the gate's tables of admitted attempts and of sources. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct admitted);
} attempts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct prefix_key);
	__type(value, __u64);
} by_source SEC(".maps");

/* RFC 1071, of what has been summed up. */
static __always_inline __u16 checksum(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return bpf_htons(~sum);
}

/* Writes the next SYN. Returns 0, or -1: the frame is too short. */
static __always_inline int write_syn(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	const void *end = (void *)(long)ctx->data_end;
	__u32 zero = 0, number = 0, source;
	struct driven *mine = bpf_map_lookup_elem(&driven, &zero);

	if (!mine || (const void *)(data + HEADERS_BYTES) > end)
		return -1;
	/* CPUs go through numbers of their own. */
	if (!stands_still)
		number = (__u32)++mine->number + first + (bpf_get_smp_processor_id() << 28);
	if (notes_time) {
		__u64 now_ns = bpf_ktime_get_coarse_ns();

		if (!mine->first_ns)
			mine->first_ns = mine->last_ns = now_ns;
		if (now_ns - mine->last_ns > mine->gap_ns)
			mine->gap_ns = now_ns - mine->last_ns;
		mine->last_ns = now_ns;
	}
	source = number * GOLDEN;
	if (sources)
		source = SOURCES_BASE + source % sources;
	__builtin_memcpy(data, template, HEADERS_BYTES);
	*(__u32 *)(data + 26) = bpf_htonl(source);
	*(__u16 *)(data + 36) = bpf_htons(port);
	*(__u32 *)(data + 38) = bpf_htonl(number);
	source = (source >> 16) + (source & 0xffff);
	*(__u16 *)(data + 24) = checksum(ip_sum + source);
	source += port + (number >> 16) + (number & 0xffff);
	*(__u16 *)(data + 50) = checksum(tcp_sum + source);
	return 0;
}

SEC("xdp")
int drive(struct xdp_md *ctx)
{
	if (write_syn(ctx))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &measured, 0);
	return XDP_ABORTED;
}

/* For live frames: out of an interface. */
SEC("xdp")
int generate(struct xdp_md *ctx)
{
	if (write_syn(ctx))
		return XDP_ABORTED;
	return bpf_redirect(out_ifindex, 0);
}

SEC("xdp")
int empty(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

SEC("xdp")
int drop(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

/* The least that any filter of SYNs to a port does. */
SEC("xdp")
int parse_and_drop(struct xdp_md *ctx)
{
	const __u8 *data = (void *)(long)ctx->data;
	const void *end = (void *)(long)ctx->data_end;

	if ((const void *)(data + HEADERS_BYTES) > end)
		return XDP_PASS;
	if (*(const __u16 *)(data + 12) != bpf_htons(0x0800) || data[14] != 0x45 || data[23] != 6)
		return XDP_PASS;
	if (*(const __u16 *)(data + 36) != bpf_htons(25) || (data[47] & 0x17) != 2)
		return XDP_PASS;
	return XDP_DROP;
}

/* Inserts into an LRU table: into a full one, where each takes another's place. */
static __always_inline int insert_into(struct xdp_md *ctx, void *map, const void *value, int wide)
{
	const __u8 *data = (void *)(long)ctx->data;
	const void *end = (void *)(long)ctx->data_end;
	struct prefix_key key = {};

	if ((const void *)(data + HEADERS_BYTES) > end)
		return XDP_ABORTED;
	key.addr.word[0] = *(const __u32 *)(data + 38);
	key.addr.word[1] = wide ? *(const __u32 *)(data + 26) : 0;
	bpf_map_update_elem(map, &key, value, BPF_NOEXIST);
	return XDP_PASS;
}

SEC("xdp")
int insert_attempt(struct xdp_md *ctx)
{
	static const struct admitted a;

	return insert_into(ctx, &attempts, &a, 0);
}

SEC("xdp")
int insert_source(struct xdp_md *ctx)
{
	static const __u64 tat_ns;

	return insert_into(ctx, &by_source, &tat_ns, 1);
}

/* --- ten times one thing ---------------------------------------------------------------------- */

#define TEN(x)	x x x x x x x x x x
#define KEEP(x) __asm__ volatile("" : "+r"(x))

SEC("xdp")
int ticks(struct xdp_md *ctx)
{
	__u64 x = (__u64)ctx->ingress_ifindex;

	TEN(x += bpf_jiffies64(); KEEP(x);)
	return x ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int coarse_clock(struct xdp_md *ctx)
{
	__u64 x = (__u64)ctx->ingress_ifindex;

	TEN(x += bpf_ktime_get_coarse_ns(); KEEP(x);)
	return x ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int precise_clock(struct xdp_md *ctx)
{
	__u64 x = (__u64)ctx->ingress_ifindex;

	TEN(x += bpf_ktime_get_ns(); KEEP(x);)
	return x ? XDP_PASS : XDP_ABORTED;
}

static __attribute__((__noinline__)) __u64 own_function(__u64 x)
{
	KEEP(x);
	return x + 1;
}

SEC("xdp")
int own_call(struct xdp_md *ctx)
{
	__u64 x = (__u64)ctx->ingress_ifindex;

	TEN(x = own_function(x); KEEP(x);)
	return x ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int hit(struct xdp_md *ctx)
{
	struct prefix_key key = {};
	const __u64 tat_ns = 1;
	__u64 x = (__u64)ctx->ingress_ifindex, *found;

	found = bpf_map_lookup_elem(&by_source, &key);
	if (!found)
		bpf_map_update_elem(&by_source, &key, &tat_ns, BPF_NOEXIST);
	TEN(found = bpf_map_lookup_elem(&by_source, &key); x += found ? *found : 0; KEEP(x);)
	return x ? XDP_PASS : XDP_ABORTED;
}

/* The hash that tables are asked by, and the one of the presence filter: two words, as of IPv4. */
SEC("xdp")
int siphash(struct xdp_md *ctx)
{
	__u64 seed[2] = {1, 2}, x = (__u64)ctx->ingress_ifindex;
	struct siphash h;

	KEEP(seed[0]);
	KEEP(seed[1]);
	TEN(siphash_start(&h, seed); siphash_word(&h, x); siphash_word(&h, x);
	    x += siphash_end(&h, 2); KEEP(x);)
	return x ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int quick_hash(struct xdp_md *ctx)
{
	__u64 seed[2] = {1, 2}, x = (__u64)ctx->ingress_ifindex;

	KEEP(seed[0]);
	KEEP(seed[1]);
	TEN(x = presence_mix(seed[0], x, seed[1]); x = presence_mix(x, seed[1], seed[0]);
	    x = presence_mix(x, 0, PRESENCE_MIX); KEEP(x);)
	return x ? XDP_PASS : XDP_ABORTED;
}

/* The look-up of the listener that a SYN would reach, alone. */
SEC("xdp")
int listener(struct xdp_md *ctx)
{
	const __u8 *data = (void *)(long)ctx->data;
	const void *end = (void *)(long)ctx->data_end;
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *found;

	if ((const void *)(data + HEADERS_BYTES) > end)
		return XDP_ABORTED;
	tuple.ipv4.saddr = *(const __u32 *)(data + 26);
	tuple.ipv4.daddr = *(const __u32 *)(data + 30);
	tuple.ipv4.sport = *(const __u16 *)(data + 34);
	tuple.ipv4.dport = *(const __u16 *)(data + 36);
	found = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!found)
		return XDP_DROP;
	bpf_sk_release(found);
	return XDP_PASS;
}
