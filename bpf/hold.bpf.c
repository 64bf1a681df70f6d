// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hold.bpf.c - tc ingress: a SYN that the gate has marked goes into the waiting room.
 *
 * The gate has charged it and says by metadata that its turn comes later. The room is an ifb
 * device (daemon/hold.c) that gives the frame back to this interface in its turn; it then passes
 * neither this program (tc_skip_classify) nor native XDP again. Generic XDP it does pass again, and
 * is known there by its source address, which sluice_hold_gen has replaced by a secret one: it is
 * the one thing that a frame carries through the room and that no sender can know.
 *
 * The filter that runs this has the action mirred, which takes what matches to the device. (A
 * redirect by the program itself does not tell ifb where the frame is from on Linux 6.1, and ifb
 * drops it.)
 * Everything else goes on to whoever is behind us; and so does a marked frame when there is no
 * room: it is a little early then, and not lost.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>
#include <stddef.h>

#include "mark.h"
#include "sluice.h"

char LICENSE[] SEC("license") = "GPL";

/* Both are the gate's, shared at the load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

/* What a classifier says: 0 is no match, -1 the filter's own class and action. */
enum answer { GOES_ON = 0, WAITS = -1 };

static __always_inline int marked(const struct __sk_buff *skb)
{
	const struct hold_mark *mark = (void *)(long)skb->data_meta;

	return (const void *)(mark + 1) <= (const void *)(long)skb->data &&
	       mark->magic == HOLD_MAGIC;
}

/* Does the device still exist? A redirect to one that does not would lose the frame. */
static __always_inline int is_there(struct __sk_buff *skb, __u32 ifindex)
{
	__u32 mtu = 0;

	return ifindex && bpf_check_mtu(skb, ifindex, &mtu, 0, 0) >= 0;
}

static __always_inline enum answer hold(struct __sk_buff *skb, int generic)
{
	struct control *c;
	struct counters *n;
	__u32 zero = 0;

	if (!marked(skb))
		return GOES_ON;
	c = bpf_map_lookup_elem(&control, &zero);
	n = bpf_map_lookup_elem(&counters, &zero);
	if (!c || !n)
		return GOES_ON;
	if (!is_there(skb, c->hold_ifindex)) {
		n->hold_no_room++;
		return GOES_ON;
	}
	if (generic && bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_source), &c->hold_tag,
					   ETH_ALEN, 0)) {
		n->hold_no_room++;
		return GOES_ON;
	}
	n->hold_queued++;
	skb->priority = HOLD_CLASS;
	return WAITS;
}

SEC("tc")
int sluice_hold(struct __sk_buff *skb)
{
	return hold(skb, 0);
}

SEC("tc")
int sluice_hold_gen(struct __sk_buff *skb)
{
	return hold(skb, 1);
}
