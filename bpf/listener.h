/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listener.h - asks the listener that a SYN would reach how full its accept queue is.
 *
 * A SYN that the queue has no room for is dropped by the kernel, or answered by a SYN cookie whose
 * ACK is then lost: the client believes that it is connected and waits for a banner that never
 * comes (net/ipv4/tcp_input.c, tcp_conn_request; tcp_ipv4.c, tcp_v4_syn_recv_sock).
 */
#ifndef LISTENER_H
#define LISTENER_H

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "backlog.h"
#include "kernel_types.h"
#include "sluice.h"

/* Set before the load: false where this kernel does not let XDP look a listener up. */
const volatile _Bool ask_listener = 1;

/*
 * Reads the queue of the listener that the kernel would choose for this attempt, reuseport groups
 * and dual-stack sockets included, as it is the kernel's own look-up. Returns 0, or -1: there is
 * none here (a container behind NAT, say), or an old connection of the same addresses and ports.
 */
static __attribute__((__noinline__)) int listener_ask(void *ctx, const struct attempt *a,
						      struct backlog *b)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *found;
	struct tcp_sock *listener;
	int answer = -1;

	if (!ask_listener || !ctx)
		return -1;
	if (a->family == FAMILY_V4) {
		tuple.ipv4.saddr = a->source.word[3];
		tuple.ipv4.daddr = a->dest.word[3];
		tuple.ipv4.sport = a->source_port;
		tuple.ipv4.dport = a->dest_port;
		found = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &a->source, 16);
		__builtin_memcpy(tuple.ipv6.daddr, &a->dest, 16);
		tuple.ipv6.sport = a->source_port;
		tuple.ipv6.dport = a->dest_port;
		found = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!found)
		return -1;
	if (found->state == TCP_STATE_LISTEN) {
		listener = bpf_skc_to_tcp_sock(found);
		if (listener) {
			const struct request_sock_queue *q = &listener->inet_conn.icsk_accept_queue;
			__u32 requests = q->qlen.counter;

			b->slot = held_slot(
				listener->inet_conn.icsk_inet.sk.__sk_common.skc_rcv_saddr,
				a->dest_port);
			b->waiting = listener->inet_conn.icsk_inet.sk.sk_ack_backlog;
			b->young = q->young.counter;
			b->most = listener->inet_conn.icsk_inet.sk.sk_max_ack_backlog;
			/* inet_csk_reqsk_queue_is_full(), a little early: some lapse all the time */
			b->blind = requests + b->most / 8 >= b->most;
			answer = 0;
		}
	}
	bpf_sk_release(found);
	return answer;
}

#endif
