/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel_types.h - the few members of the kernel's own structures that are read here.
 *
 * Only names count: where a member lies in the running kernel is found at the load, from the
 * kernel's BTF (CO-RE). So nothing here is copied, complete or in order.
 */
#ifndef KERNEL_TYPES_H
#define KERNEL_TYPES_H

#include <linux/types.h>

#define TCP_STATE_ESTABLISHED 1
#define TCP_STATE_SYN_RECV    3
#define TCP_STATE_CLOSE	      7
#define TCP_STATE_CLOSE_WAIT  8
#define TCP_STATE_LISTEN      10

#define ADDRESS_FAMILY_V4 2
#define ADDRESS_FAMILY_V6 10

#define IN_KERNEL __attribute__((preserve_access_index))

struct ns_common {
	unsigned int inum;
} IN_KERNEL;

struct net {
	struct ns_common ns;
} IN_KERNEL;

typedef struct {
	struct net *net;
} IN_KERNEL possible_net_t;

struct in6_addr_words {
	__u32 word[4];
};

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr_words skc_v6_daddr;
	struct in6_addr_words skc_v6_rcv_saddr;
} IN_KERNEL;

struct sock {
	struct sock_common __sk_common;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
} IN_KERNEL;

struct inet_sock {
	struct sock sk;
	__u16 inet_sport;
} IN_KERNEL;

typedef struct {
	int counter;
} IN_KERNEL atomic_t;

struct request_sock_queue {
	atomic_t qlen;
	atomic_t young;
} IN_KERNEL;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
} IN_KERNEL;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 bytes_received;
	__u32 copied_seq;
} IN_KERNEL;

#endif
